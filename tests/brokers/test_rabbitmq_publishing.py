"""Publishing on RabbitMQ from many threads by one connection, whose ends may be gone."""

import asyncio
import ctypes
import hashlib
import itertools
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.proxy import Proxy, Way
from tests.rabbit import RabbitNode

from postroom.brokers.rabbitmq import RabbitMQBroker, sender
from postroom.errors import NotPublished, PublishUnknown
from postroom.wire.message import Message, new_id

numbers = itertools.count()


@pytest.fixture
def queue() -> str:
    return f"publishing-{os.getpid()}-{next(numbers)}"


@pytest.fixture
def broker(rabbit_node: RabbitNode) -> Iterator[RabbitMQBroker]:
    broker = RabbitMQBroker(rabbit_node.url, None)
    yield broker
    broker.close()


@pytest.fixture
def proxy(rabbit_node: RabbitNode) -> Iterator[Proxy]:
    proxy = Proxy(rabbit_node.port)
    yield proxy
    proxy.close()


@pytest.fixture
def distant(rabbit_node: RabbitNode, proxy: Proxy) -> Iterator[RabbitMQBroker]:
    """Through the proxy, with heartbeats of a second."""
    url = rabbit_node.url.replace(f":{rabbit_node.port}", f":{proxy.port}") + "?heartbeat=1"
    broker = RabbitMQBroker(url, None)
    yield broker
    broker.close()


def message(body: bytes = b"{}") -> Message:
    return Message(new_id(), body, {}, time.time())


def signed(size: int) -> Message:
    """A message whose id is the digest of its body."""
    body = os.urandom(size)
    return Message(hashlib.sha256(body).hexdigest(), body, {}, time.time())


def together(count: int, work: Callable[[int], None]) -> None:
    """Runs ``work`` in so many threads, and raises what one of them raised."""
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 raised again by the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def whole(broker: RabbitMQBroker, queue: str, sent: list[Message]) -> bool:
    """Whether exactly these are in the queue, each with the body that it was sent with."""
    found = broker.peek(queue, len(sent) + 10)
    assert all(each.id == hashlib.sha256(each.body).hexdigest() for each in found)
    return sorted(each.id for each in found) == sorted(each.id for each in sent)


def test_threads_do_not_write_into_each_other(broker: RabbitMQBroker, queue: str) -> None:
    queues = [queue, f"{queue}-b", f"{queue}-c"]
    sizes = (0, 1, 300, 5000, 131_064, 131_065, 300_000)
    sent: dict[str, list[Message]] = {name: [] for name in queues}

    def publish(number: int) -> None:
        for turn in range(7):
            name = queues[(number + turn) % 3]
            mine = [signed(sizes[(number + turn) % 7]), signed(10)]
            broker.publish(name, mine, 0, 30)
            sent[name] += mine

    together(64, publish)
    assert all(whole(broker, name, sent[name]) for name in queues)


def test_each_thread_keeps_its_order_over_many_windows(broker: RabbitMQBroker, queue: str) -> None:
    sent = [[message(b"%d" % number) for number in range(3500)] for _ in range(3)]
    together(3, lambda number: broker.publish(queue, sent[number], 0, 20))
    found = [each.id for each in broker.peek(queue, 11_000)]
    assert len(found) == 10_500
    for mine in sent:
        wanted = {each.id for each in mine}
        assert [each for each in found if each in wanted] == [each.id for each in mine]


def test_what_the_socket_does_not_take_at_once_follows(
    broker: RabbitMQBroker, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = socket.socket.connect

    def with_a_small_buffer(self: socket.socket, to: tuple[str, int]) -> None:
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        plain(self, to)

    monkeypatch.setattr(socket.socket, "connect", with_a_small_buffer)
    sent = []

    def publish(_: int) -> None:
        for _ in range(5):
            mine = [signed(200_000), signed(30)]
            broker.publish(queue, mine, 0, 30)
            sent.extend(mine)

    together(8, publish)
    assert whole(broker, queue, sent)


def test_a_fork_while_other_threads_write(broker: RabbitMQBroker, queue: str) -> None:
    stop = threading.Event()
    counts = [0] * 4

    def publish(number: int) -> None:
        while not stop.is_set():
            broker.publish(queue, [message()], 0, 20)
            counts[number] += 1

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    children = []
    for _ in range(10):
        child = os.fork()
        if child == 0:
            try:
                broker.publish(queue, [message()], 0, 20)
            except BaseException:  # noqa: BLE001 the child must not return into pytest
                os._exit(1)
            os._exit(0)
        children.append(child)
    ends = [os.waitpid(child, 0)[1] for child in children]
    stop.set()
    for thread in threads:
        thread.join()
    assert ends == [0] * 10
    assert min(counts) > 0
    assert broker.purge(queue) == sum(counts) + 10


def test_closing_meanwhile_leaves_nobody_in_the_dark(broker: RabbitMQBroker, queue: str) -> None:
    confirmed: list[str] = []
    unsure: list[str] = []
    refused: set[str] = set()
    stop = threading.Event()

    def publish(_: int) -> None:
        while not stop.is_set():
            sent = message()
            try:
                broker.publish(queue, [sent], 0, 5)
                confirmed.append(sent.id)
            except PublishUnknown:
                unsure.append(sent.id)
            except NotPublished as error:
                refused.add(str(error).rpartition(": ")[2])

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        reached = len(confirmed) + 20
        while len(confirmed) < reached:
            time.sleep(0.01)
        broker.close()
    stop.set()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert refused <= {"the connection was closed by this program"}
    found = {each.id for each in broker.peek(queue, 100_000)}
    assert set(confirmed) <= found <= set(confirmed) | set(unsure)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_exceptions_from_outside_amid_publishing(broker: RabbitMQBroker, queue: str) -> None:
    """As a time limit raises them, anywhere."""

    class Interrupted(BaseException):
        pass

    confirmed: list[str] = []
    interrupted = itertools.count()
    stop = threading.Event()

    def publish_once() -> None:
        try:
            broker.publish(queue, [sent := message()], 0, 5)
            confirmed.append(sent.id)
        except Interrupted:
            next(interrupted)
        except PublishUnknown:
            return

    def publish() -> None:
        while not stop.is_set():
            try:
                publish_once()
            except Interrupted:
                continue

    threads = [threading.Thread(target=publish, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    broker.publish(queue, [message()], 0, 5)
    ends = time.monotonic() + 2
    while time.monotonic() < ends:
        for thread in threads:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Interrupted)
            )
        time.sleep(0.007)
    stop.set()
    for thread in threads:
        thread.join(10)
    broker.publish(queue, [message()], 0, 5)
    assert next(interrupted) > 5
    found = {each.id for each in broker.peek(queue, 100_000)}
    assert set(confirmed) <= found


def test_the_first_publish_after_a_reset_while_idle(distant: RabbitMQBroker, proxy: Proxy, queue: str) -> None:
    for _ in range(5):
        distant.publish(queue, [message()], 0, 5)
        proxy.cut()
        started = time.monotonic()
        distant.publish(queue, [message()], 0, 5)  # at once: whether the loss has been noticed or not
        assert time.monotonic() - started < 3
    assert distant.purge(queue) == 10


def test_the_first_publish_after_the_connection_died_in_silence(
    distant: RabbitMQBroker, proxy: Proxy, queue: str
) -> None:
    distant.publish(queue, [message()], 0, 5)
    proxy.hold()
    proxy.up, proxy.down = Way(), Way()  # for new connections
    time.sleep(2.2)  # idle for more than two heartbeats: this is what is tested
    started = time.monotonic()
    distant.publish(queue, [message()], 0, 5)
    assert time.monotonic() - started < 2
    assert distant.purge(queue) == 2


def test_a_publish_into_a_dead_connection_is_unknown_in_time(
    distant: RabbitMQBroker, proxy: Proxy, queue: str
) -> None:
    distant.publish(queue, [message()], 0, 5)
    proxy.hold()
    proxy.up, proxy.down = Way(), Way()
    started = time.monotonic()
    with pytest.raises(PublishUnknown):
        distant.publish(queue, [message()], 0, 1)
    assert time.monotonic() - started < 1.5


def test_a_full_queue_refuses_and_the_error_names_which(
    broker: RabbitMQBroker, rabbit_node: RabbitNode, queue: str
) -> None:
    broker.declare(queue)
    rabbit_node.control("set_policy", "full", f"^{queue}$", '{"max-length": 100}', "--apply-to", "queues")
    refused: tuple[str, ...] = ()
    sent = []
    for _ in range(20):  # the queue learns by and by that it is full
        sent += [message() for _ in range(50)]
        try:
            broker.publish(queue, sent[-50:], 0, 5)
        except NotPublished as error:
            refused += error.unpublished
            said = str(error)
    rabbit_node.control("clear_policy", "full")
    assert "RabbitMQ refused it: the queue is full" in said
    assert {each.id for each in broker.peek(queue, 1100)} == {each.id for each in sent} - set(refused)


def test_queues_beyond_the_channels_take_turns(
    broker: RabbitMQBroker, rabbit_node: RabbitNode, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "MOST_CHANNELS", 3)
    names = [f"{queue}-{number}" for number in range(8)]

    def publish_to_every_second(first: int) -> None:
        for name in names[first::2]:
            broker.publish(name, [message()], 0, 10)

    for _ in range(3):
        together(2, publish_to_every_second)
    assert rabbit_node.control("list_channels", "confirm").count("true") <= 4  # two publish at once
    assert [broker.purge(name) for name in names] == [3] * 8


class Tls:
    """Takes TLS off, in a thread: what arrives goes to ``target`` in plain."""

    def __init__(self, target: int, certificate: Path) -> None:
        self._target = target
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        server = asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._context)
        self.port: int = asyncio.run_coroutine_threadsafe(server, self._loop).result(10).sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer), return_exceptions=True)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)


def test_threads_write_by_tls_as_well(rabbit_node: RabbitNode, queue: str, tmp_path: Path) -> None:
    certificate = tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key", "-out", tmp_path / "cert"),
        ],
        check=True,
        capture_output=True,
    )
    certificate.write_text((tmp_path / "key").read_text() + (tmp_path / "cert").read_text())
    tls = Tls(rabbit_node.port, certificate)
    url = f"amqps://guest:guest@127.0.0.1:{tls.port}/%2F?cafile={tmp_path / 'cert'}"
    broker = RabbitMQBroker(url, None)
    sent: list[Message] = []

    def publish(_: int) -> None:
        for size in (300, 100_000, 20, 400_000, 1):
            mine = [signed(size), signed(30)]
            broker.publish(queue, mine, 0, 30)
            sent.extend(mine)

    together(8, publish)
    broker.publish(queue, more := [signed(200) for _ in range(3000)], 0, 20)
    assert whole(broker, queue, sent + more)
    broker.close()
    tls.close()
