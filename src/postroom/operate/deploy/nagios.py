"""For Nagios: two services for each queue, its consumers and its backlog."""

import shlex

from .plan import Plan

HEAD = """\
# Postroom's checks, printed by `postroom deploy nagios`. Print it again after adding a queue.
# Its place: /etc/nagios4/conf.d/postroom.cfg (on some systems /etc/nagios/objects/, named in nagios.cfg)
# To take it up: sudo nagios4 -v /etc/nagios4/nagios.cfg && sudo systemctl reload nagios4
# Nagios runs the commands as its own user, who must be able to read the application and its secrets file.
# The contact group admins and the period 24x7 are those of the files Nagios comes with.

define host {
    host_name                   postroom
    alias                       Postroom's queues
    address                     127.0.0.1
    max_check_attempts          1
    contact_groups              admins
}

define service {
    name                        postroom-check
    register                    0
    host_name                   postroom
    check_interval              1
    retry_interval              1
    max_check_attempts          2
    check_period                24x7
    notification_period         24x7
    contact_groups              admins
}
"""


def nagios(plan: Plan) -> str:
    """The object definitions."""
    commands = "".join(_command(plan, check) for check in ("consumers", "queues"))
    return HEAD + commands + "".join(_services(queue) for queue in plan.queues)


def _command(plan: Plan, check: str) -> str:
    environment = [f"{name}={value}" for name, value in plan.environment.items()]
    words = shlex.join([*(["env", *environment] if environment else []), *plan.verb("check", check)])
    line = f"cd {shlex.quote(plan.directory)} && {words}"
    # A dollar sign begins a macro, a semicolon a comment.
    line = line.replace("$", "$$").replace(";", r"\;")
    return f"""
define command {{
    command_name                postroom-{check}
    command_line                {line} $ARG1$
}}
"""


def _services(queue: str) -> str:
    return f"""
define service {{
    use                         postroom-check
    service_description         consumers of {queue}
    check_command               postroom-consumers!{queue}
}}

define service {{
    use                         postroom-check
    service_description         backlog of {queue}
    check_command               postroom-queues!{queue}
}}
"""
