"""For systemd: a template unit, of which each queue is an instance, and a target that wants them all."""

import re

from .plan import PATIENCE, Plan

HEAD = """\
# Postroom's processors, printed by `postroom deploy systemd`. Print it again after adding a queue.
# Two files, each beneath its name. To put them into their places, and to take them up:
#   … postroom deploy systemd | sudo awk '/^# file: /{file=$3} file{print > file}'
#   sudo systemctl daemon-reload && sudo systemctl enable postroom.target && sudo systemctl restart postroom.target
# To run new code: sudo systemctl restart postroom.target
"""

TEMPLATE = """
# file: /etc/systemd/system/postroom-queue@.service
[Unit]
Description=Postroom: the queue %I
Wants=network-online.target
After=network-online.target
PartOf=postroom.target
StartLimitIntervalSec=0

[Service]
# It says itself when it consumes, and goes on saying so for as long as it does. One that has gone deaf subscribes
# anew, and after another minute ends by itself: that comes first.
Type=notify
NotifyAccess=main
TimeoutStartSec=5min
WatchdogSec=90
Restart=always
RestartSec=2
# SIGTERM to the consumer alone, which stops its executors; after that time SIGKILL to whatever is left.
KillMode=mixed
TimeoutStopSec={patience}
User={user}
WorkingDirectory={directory}
{environment}ExecStart={command} --queue=%I
NoNewPrivileges=yes
ProtectSystem=strict
{written}ProtectHome={home}
PrivateTmp={tmp}
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
LockPersonality=yes
"""

TARGET = """
# file: /etc/systemd/system/postroom.target
[Unit]
Description=Postroom: the processors of all queues
{wants}
[Install]
WantedBy=multi-user.target
"""

WRITTEN = "# Where workers may write. For more: systemctl edit postroom-queue@.service\n"
SHARED_TMP = "no\n# On SQLite processes wake each other by sockets in the folder for temporary files: they share it."


def systemd(plan: Plan) -> str:
    """Both files, each after a line that says where it goes."""
    sqlite = any(folder in ("/tmp", "/var/tmp") for folder in plan.written)  # noqa: S108 - named, not used
    template = TEMPLATE.format(
        patience=PATIENCE,
        user=plan.user,
        directory=_specifiers(plan.directory),
        environment="".join(f"Environment={_quoted(f'{n}={v}')}\n" for n, v in plan.environment.items()),
        command=" ".join(_quoted(word).replace("$", "$$") for word in plan.process_queue("")[:-1]),
        written=WRITTEN + "".join(f"ReadWritePaths={_quoted(f'-{folder}')}\n" for folder in plan.written),
        home="read-only" if plan.within("/home", "/root") else "yes",
        tmp=SHARED_TMP if sqlite else "no" if plan.within("/tmp", "/var/tmp") else "yes",  # noqa: S108
    )
    wants = "".join(f"Wants=postroom-queue@{_instance(queue)}.service\n" for queue in plan.queues)
    return HEAD + template + TARGET.format(wants=wants)


def _instance(queue: str) -> str:
    """The queue's name as systemd-escape writes it: ``-`` would stand for ``/``, and no name begins with a dot."""
    return re.sub(r"^\.|[^a-zA-Z0-9_.:]", lambda found: rf"\x{ord(found[0]):02x}", queue)


def _quoted(word: str) -> str:
    word = _specifiers(word.replace("\\", "\\\\"))
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word, re.ASCII) else f'"{word}"'


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")
