"""Other Python systems on RabbitMQ, for the bench: each drains the same events in one worker process, at the settings
that its own documentation gives for many small tasks, and with what durability it has: quorum queues, persistent
messages, confirmed publishes, acknowledged after the work. Each module says which pages its settings come from;
where several would do, the one that was fastest here was taken.

``python -m benchmarks.peers.NAME EVENTS`` publishes; ``WORKERS`` has the commands that consume. They need the extra
``peers``, in an environment of its own.
"""

# What follows the interpreter. A peer's queue has its name.
WORKERS = {
    "celery": [
        *("-m", "celery", "-A", "benchmarks.peers.celery", "worker", "--pool", "solo", "--concurrency", "1"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"),
    ],
    "dramatiq": ["-m", "dramatiq", "benchmarks.peers.dramatiq", "--processes", "1", "--threads", "8"],
    "taskiq": [
        *("-m", "taskiq", "worker", "benchmarks.peers.taskiq:broker", "--workers", "1"),
        *("--ack-type", "when_executed", "--max-async-tasks", "100", "--log-level", "WARNING"),
    ],
    "faststream": ["-m", "benchmarks.peers.faststream"],
}

# Dramatiq's prefetch is a variable of the environment.
ENVIRONMENT = {"dramatiq_queue_prefetch": "500"}
