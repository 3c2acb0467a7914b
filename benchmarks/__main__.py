"""``python -m benchmarks soak|bench [CASE] [--broker sqlite|rabbitmq] [--row NAME]``: runs a case, or lists them."""

import argparse
import importlib
import sys

SOAKS = {
    "sqlite-kill": "SIGKILL to publishers, consumers and executors on one SQLite file",
    "night": "faults in a running system, one after the other: which check fires, how soon, and what it says",
    "alarm": "RabbitMQ's memory alarm under load",
    "long-jobs": "jobs that outlast three heartbeats with the GIL held, and RabbitMQ's consumer_timeout",
    "broker-restarts": "SIGKILL to RabbitMQ during steady publish and consume, and while queues are declared",
    "cluster-kill": "SIGKILL to each of a cluster's three nodes in turn",
    "poison-neighbours": "events that kill or hang their executor, among a thousand good ones",
    "rubbish-in": "random bytes and JSON of the wrong shape through a typed queue",
    "bad-network": "connections to RabbitMQ that are held, cut, delayed and sliced, in each direction",
    "order": "order within 200 keys over 4 consumers that are killed, and how many times faster they are than one",
    "supervised-kill": "twelve queues under supervisord: SIGKILL each second, and restarts of the whole group",
    "reload": "50 saves of the code under steady load, in postroom run --reload",
    "many-dead": "100,000 dead letters: listed, filtered, requeued by error, dropped, in bounded memory",
}
BENCHES = {
    "sqlite": "the SQLite broker against bare sqlite3 and Huey",
    "rabbitmq": "RabbitMQ against a C client and other Python systems (rows: drains, peers, work, publish, latency)",
    "wake": "from publish to the start of consume, in two processes on SQLite",
    "start": "import, commands and idle processes: time and memory",
}
BOTH_BROKERS = ("poison-neighbours", "rubbish-in", "order", "many-dead", "reload")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("kind", choices=("soak", "bench"))
    parser.add_argument("case", nargs="?")
    parser.add_argument("--broker", choices=("sqlite", "rabbitmq"))
    parser.add_argument("--row", help="of the bench rabbitmq only this part")
    parser.add_argument("--short", action="store_true", help="the short form, as the tests run it")
    args = parser.parse_args()
    cases, package = (SOAKS, "soaks") if args.kind == "soak" else (BENCHES, "speed")
    if args.case is None:
        for name, what in cases.items():
            print(f"{name:20} {what}")
        return 0
    if args.case not in cases:
        parser.error(f"no {args.kind} {args.case!r}; there are {', '.join(cases)}")
    module = importlib.import_module(f"benchmarks.{package}.{args.case.replace('-', '_')}")
    if args.row is not None and args.row not in getattr(module, "ROWS", {}):
        parser.error(f"the {args.kind} {args.case} has no row {args.row!r}")
    held = True
    brokers = [args.broker] if args.broker else ["sqlite", "rabbitmq"]
    options: list[dict[str, str]] = [{"broker": broker} for broker in brokers] if args.case in BOTH_BROKERS else [{}]
    for option in [{"row": args.row}] if args.row else options:
        result = module.run(short=args.short, **option)
        print(result.line(), flush=True)
        held = held and result.held
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
