"""Prints the file for production: for supervisord, systemd, cron or Nagios, made from the queues and the settings."""

from typing import Any

from .application import application_for

OUTPUTS = ("supervisor", "systemd", "cron", "nagios")


def add_arguments(parser: Any) -> None:
    """The arguments of ``deploy``."""
    parser.add_argument("output", choices=OUTPUTS, help="for which program")
    parser.add_argument("--user", metavar="NAME", help="whom the processes belong to; by default you")


def run(args: Any) -> int:
    """Prints it. Whatever depends on queues is one line, or one block, for each."""
    import importlib

    app, _ = application_for(args)
    from postroom.operate.deploy.plan import plan

    output = importlib.import_module(f"postroom.operate.deploy.{args.output}")
    print(getattr(output, args.output)(plan(app, args.user)), end="")
    return 0
