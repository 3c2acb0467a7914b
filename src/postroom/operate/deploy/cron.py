"""For cron: the checks, each minute, into files that others read."""

import shlex

from .plan import Plan

FOLDER = "/var/lib/postroom"

HEAD = """\
# Postroom's checks, printed by `postroom deploy cron`. The checks know the queues themselves.
# Its place: /etc/cron.d/postroom
# The folder of the state files is to be made once: sudo install -d -o {user} {folder}
SHELL=/bin/sh
"""


def cron(plan: Plan) -> str:
    """The file, in the form of ``/etc/cron.d``: with the user in each line."""
    environment = "".join(f'{name}="{value}"\n' for name, value in plan.environment.items())
    head = HEAD.format(user=plan.user, folder=FOLDER)
    return head + environment + "".join(_line(plan, check) for check in ("consumers", "queues"))


def _line(plan: Plan, check: str) -> str:
    command = shlex.join(plan.verb("check", check, "--cron", f"{FOLDER}/{check}"))
    # A percent sign would end the line. What the check says is in the file; what it could not do is mailed by cron.
    words = f"cd {shlex.quote(plan.directory)} && {command} >/dev/null".replace("%", r"\%")
    return f"* * * * * {plan.user} {words}\n"
