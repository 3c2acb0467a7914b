"""A consumer in a process of its own, which can be killed. It is driven as ``consumer.Consumer`` is."""

import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from postroom.brokers.base import Broker, Delivery
from postroom.brokers.connect import connect
from postroom.wire.message import Headers, Message

from .consumer import PATIENCE, Consumer


class RemoteConsumer:
    """The verbs of ``Consumer``, and ``publish``, in a child process. Deliveries carry a number as their tag."""

    def __init__(self, url: str) -> None:
        ours, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, url, str(theirs.fileno())], pass_fds=[theirs.fileno()]
        )
        theirs.close()
        self._pipe = Connection(ours.detach())

    def publish(self, queue: str, messages: Sequence[Message], delay: float = 0) -> None:
        self._call("publish", queue, messages, delay)

    def peek(self, queue: str, limit: int) -> list[Message]:
        return self._call("peek", queue, limit)  # type: ignore[no-any-return]

    def subscribe(self, queue: str, prefetch: int) -> None:
        self._call("subscribe", queue, prefetch)

    def subscribe_ordered(self, queue: str, prefetch: int) -> None:
        self._call("subscribe_ordered", queue, prefetch)

    def unsubscribe(self, queue: str) -> None:
        self._call("unsubscribe", queue)

    def take(self, queue: str, count: int, prefetch: int = 0, timeout: float = PATIENCE) -> list[Delivery]:
        return self._call("take", queue, count, prefetch, timeout)  # type: ignore[no-any-return]

    def next(self, queue: str, count: int, timeout: float = PATIENCE) -> list[Delivery]:
        return self._call("next", queue, count, timeout)  # type: ignore[no-any-return]

    def rest(self) -> list[Delivery]:
        return self._call("rest")  # type: ignore[no-any-return]

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._call("ack", list(deliveries))

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        self._call("give_back", list(deliveries))

    def reschedule(self, delivery: Delivery, headers: Headers, delay: float) -> bool:
        return self._call("reschedule", delivery, headers, delay)  # type: ignore[no-any-return]

    def bury(self, delivery: Delivery, headers: Headers) -> bool:
        return self._call("bury", delivery, headers)  # type: ignore[no-any-return]

    def wait_paused(self, queue: str, times: int = 1) -> None:
        self._call("wait_paused", queue, times)

    def wait_resumed(self, queue: str, times: int = 1) -> None:
        self._call("wait_resumed", queue, times)

    def crash(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()
        self._pipe.close()

    def freeze(self) -> None:
        """SIGSTOP: it holds what it has and does nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def close(self) -> None:
        if self._process.returncode is None:
            self._call("close")
            self._pipe.close()
            self._process.wait(PATIENCE)

    def _call(self, verb: str, *arguments: object) -> Any:
        self._pipe.send((verb, arguments))
        assert self._pipe.poll(PATIENCE * 2), f"the child process does not answer {verb}"
        failure, result = self._pipe.recv()
        if failure:
            raise AssertionError(f"in the child process: {failure}")
        return result


def serve(broker: Broker, pipe: Connection) -> None:
    """The child: does as it is told until it is told to close, or until its parent has gone."""
    consumer = Consumer(broker, name=f"conformance-{os.getpid()}")
    in_hand: list[Delivery] = []

    def inward(value: Any) -> Any:
        if isinstance(value, list):
            return [inward(each) for each in value]
        return in_hand[value.tag] if isinstance(value, Delivery) else value

    def outward(value: Any) -> Any:
        if isinstance(value, list) and value and isinstance(value[0], Delivery):
            in_hand.extend(value)
            start = len(in_hand) - len(value)
            return [
                Delivery(each.queue, each.message, each.returns, start + place) for place, each in enumerate(value)
            ]
        return value

    verb = ""
    while verb != "close":
        try:
            verb, arguments = pipe.recv()
        except EOFError:
            os._exit(1)
        try:
            if verb == "publish":
                queue, messages, delay = arguments
                broker.publish(queue, messages, delay, 5)
                result: Any = None
            elif verb == "peek":
                result = broker.peek(*arguments)
            else:
                result = outward(getattr(consumer, verb)(*inward(list(arguments))))
            pipe.send((None, result))
        except (Exception, pickle.PicklingError) as error:  # noqa: BLE001 - it is raised again in the parent
            pipe.send((f"{type(error).__name__}: {error}", None))
    broker.close()


if __name__ == "__main__":
    serve(connect(sys.argv[1]), Connection(int(sys.argv[2])))
