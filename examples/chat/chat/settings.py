"""Settings of the example. `run.py` makes the run folder and says in the environment where things are.

CHAT_DIR: the run folder, with the database, the queues' file and the secret key. CHAT_URL: where the web server
is, for the links in mails. CHAT_SMTP_PORT, CHAT_SMTP_DELAY: the mail catcher's port, and how many seconds it takes
for a mail. POSTROOM_BROKER, where set, beats POSTROOM below.
"""

import os
import shlex
from pathlib import Path

from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
RUN_DIR = Path(os.environ.get("CHAT_DIR", BASE_DIR / ".run"))

DEBUG = True  # an example for one's own machine: it answers on loopback alone
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
key_file = RUN_DIR / "secret_key"
SECRET_KEY = key_file.read_text() if key_file.exists() else get_random_secret_key()

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "postroom.django",
    "accounts",
    "teams",
    "activity",
    "mail",
]

EMAIL_HOST = "127.0.0.1"
EMAIL_PORT = int(os.environ.get("CHAT_SMTP_PORT", "1025"))
MAIL_STORE = RUN_DIR / "mails.db"  # where the mail catcher keeps what it caught, for /mailbox/
CHAT_URL = os.environ.get("CHAT_URL", "http://127.0.0.1:8000").rstrip("/")

POSTROOM = {
    "BROKER": f"sqlite:///{RUN_DIR / 'queues.db'}",
    "PUBLISH_TIMEOUT": 2,  # seconds: somebody waits for the page
    "PROGRAMS": {  # what `manage.py postroom run` starts beside the processors
        "web": ["python", "manage.py", "runserver", "--noreload", "--skip-checks", CHAT_URL.partition("//")[2]],
        "mails": (
            f"python -m mail.catcher {shlex.quote(str(MAIL_STORE))} --port {EMAIL_PORT}"
            f" --delay {os.environ.get('CHAT_SMTP_DELAY', '0')}"
        ),
    },
}

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "chat.security.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "activity.middleware.RecordPageViews",
]

ROOT_URLCONF = "chat.urls"
WSGI_APPLICATION = "chat.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "mail.context.mailbox",
            ],
        },
    },
]

# The web server and the workers write to one file: WAL lets readers go on, IMMEDIATE makes writers queue up.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": RUN_DIR / "chat.sqlite3",
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("email", "name")},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.ScryptPasswordHasher"]  # quicker than the default, and no weaker
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"
SESSION_COOKIE_NAME = "chat_session"  # cookies do not tell ports apart: other servers of this machine have their own
CSRF_COOKIE_NAME = "chat_csrf"
SECURE_REFERRER_POLICY = "same-origin"

EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = "Chat <chat@localhost>"

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
