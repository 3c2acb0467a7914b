"""For supervisord: a program for each queue, and a group of them all."""

import shlex

from .plan import PATIENCE, Plan

HEAD = """\
; Postroom's processors, printed by `postroom deploy supervisor`. Print it again after adding a queue.
; Its place: /etc/supervisor/conf.d/postroom.conf (on some systems /etc/supervisord.d/postroom.ini)
; To take it up: supervisorctl update
; To run new code: supervisorctl restart postroom-workers:*
; supervisord rotates the logs itself.
"""


def supervisor(plan: Plan) -> str:
    """The file. ``supervisorctl restart postroom-workers:*`` restarts all its programs."""
    programs = ",".join(f"postroom-{queue}" for queue in plan.queues)
    group = f"\n[group:postroom-workers]\nprograms={programs}\n"
    return HEAD + group + "".join(_program(plan, queue) for queue in plan.queues)


def _program(plan: Plan, queue: str) -> str:
    environment = ",".join(f'{name}="{value}"' for name, value in plan.environment.items())
    return f"""
[program:postroom-{queue}]
command={_text(shlex.join(plan.process_queue(queue)))}
directory={_text(plan.directory)}
user={plan.user}
{f"environment={_text(environment)}" if environment else "; no environment is needed"}
autostart=true
autorestart=true
startsecs=3
startretries=60
stopsignal=TERM
stopwaitsecs={PATIENCE}
killasgroup=true
redirect_stderr=true
stdout_logfile=/var/log/supervisor/postroom-{queue}.log
"""


def _text(value: str) -> str:
    """supervisord puts its own values in place of ``%(name)s``."""
    return value.replace("%", "%%")
