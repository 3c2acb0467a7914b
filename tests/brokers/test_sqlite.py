"""What is particular to the SQLite broker: how the dead are known, how the waiting are woken, how a file can fail."""

import logging
import os
import signal
import sqlite3
import stat
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.brokers.conformance.consumer import Consumer, eventually
from tests.brokers.conformance.fork import in_fork
from tests.brokers.conformance.remote import RemoteConsumer
from tests.brokers.conformance.site import ids, message, messages

from postroom.brokers.sqlite import SQLiteBroker, liveness, schema
from postroom.errors import BrokerError, NotPublished, SettingsError
from postroom.wire.headers import KEY
from postroom.wire.message import Message

NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "postroom.db"


@pytest.fixture
def broker(path: Path) -> Iterator[SQLiteBroker]:
    broker = SQLiteBroker(f"sqlite:///{path}")
    yield broker
    broker.close()


@pytest.fixture
def opened() -> Iterator[Callable[[Any], Any]]:
    """Closes at the end what the test has opened."""
    to_close: list[Any] = []

    def opening(each: Any) -> Any:
        to_close.append(each)
        return each

    yield opening
    for each in reversed(to_close):
        each.close()


Opened = Callable[[Any], Any]


def other_program(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


# Liveness.


def test_a_living_consumer_gets_what_a_dead_one_held(broker: SQLiteBroker, opened: Opened) -> None:
    dead = RemoteConsumer(broker.url)
    broker.publish("q", sent := messages(3), 0, 5)
    dead.take("q", 3)
    heir = opened(Consumer(broker))
    heir.subscribe("q", 10)
    dead.crash()
    died = time.monotonic()
    back = heir.next("q", 3)
    assert time.monotonic() - died < 1
    assert ids(back) == ids(sent)
    assert [delivery.returns for delivery in back] == [1, 1, 1]


def test_the_files_of_the_dead_are_removed(broker: SQLiteBroker, path: Path, opened: Opened) -> None:
    dead = RemoteConsumer(broker.url)
    dead.subscribe("q", 1)
    dead.crash()
    folder = liveness.folder(os.fspath(path))
    assert len(list(folder.iterdir())) == 1
    opened(Consumer(broker))
    eventually(lambda: len(list(folder.iterdir())) == 1, "only the living consumer's lock is there")


def test_a_frozen_consumer_loses_its_events_and_cannot_acknowledge_them(
    broker: SQLiteBroker, path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "RENEW", 0.1)
    frozen = opened(RemoteConsumer(broker.url))
    broker.publish("q", sent := messages(2), 0, 5)
    late = frozen.take("q", 2)
    frozen.freeze()
    other_program(path).execute("UPDATE holds SET lease = 0")
    heir = opened(Consumer(broker))
    back = heir.take("q", 2)
    assert ids(back) == ids(sent)
    frozen._process.send_signal(signal.SIGCONT)
    frozen.ack(late)
    frozen.unsubscribe("q")
    eventually(lambda: broker.figures("q").consumers == 1, "the frozen one is back and has left the queue")
    assert broker.figures("q").in_hand == 2
    heir.ack(back)
    eventually(lambda: broker.figures("q").in_hand == 0, "the heir's acknowledgement counts")


def test_a_lease_is_renewed_while_events_are_held(
    broker: SQLiteBroker, path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "RENEW", 0.05)
    broker.publish("q", messages(1), 0, 5)
    opened(Consumer(broker)).take("q", 1)
    other = other_program(path)

    def lease() -> float:
        return float(other.execute("SELECT lease FROM holds").fetchall()[0][0])

    first = lease()
    eventually(lambda: lease() > first, "the lease is renewed")


def test_a_consumer_whose_lock_file_was_removed_makes_another(
    broker: SQLiteBroker, path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "RENEW", 0.05)
    opened(Consumer(broker)).subscribe("q", 1)
    eventually(lambda: broker.figures("q").consumers == 1, "it is subscribed")
    for lock in liveness.folder(os.fspath(path)).iterdir():
        lock.unlink()
    eventually(lambda: broker.figures("q").consumers == 1, "it is alive again")


def test_an_open_hold_does_not_keep_the_interpreter_from_ending(broker: SQLiteBroker) -> None:
    program = f"""
import asyncio
from postroom.brokers.sqlite import SQLiteBroker
class Listener:
    def __getattr__(self, name): return lambda *_: None
async def main():
    hold = SQLiteBroker({broker.url!r}).hold(asyncio.get_running_loop(), Listener(), "leaver")
    await hold.open()
    hold.subscribe("q", 5)
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)
    assert broker.figures("q").consumers == 0


# Waking.


def test_a_waiting_consumer_of_another_process_is_woken(broker: SQLiteBroker, opened: Opened) -> None:
    consumer = opened(RemoteConsumer(broker.url))
    consumer.subscribe("q", 100)
    waits = []
    for number in range(10):
        event = message(number)
        start = time.monotonic()
        broker.publish("q", [event], 0, 5)
        consumer.ack(consumer.next("q", 1))
        waits.append(time.monotonic() - start)
    assert statistics.median(waits) < 0.1, "that is a poll"


def test_without_a_socket_the_poll_finds_events(
    broker: SQLiteBroker, opened: Opened, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    consumer = opened(Consumer(broker))
    consumer.subscribe("q", 1)
    eventually(lambda: broker.figures("q").consumers == 1, "it is subscribed")
    broker.publish("q", messages(1), 0, 5)
    consumer.take("q", 1, timeout=3)
    assert "no socket to be woken by" in caplog.text


def test_a_foreign_folder_for_sockets_is_not_used(
    broker: SQLiteBroker,
    tmp_path: Path,
    opened: Opened,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with tempfile.TemporaryDirectory() as short:
        Path(short, f"postroom-{os.getuid()}").mkdir(mode=0o777)
        Path(short, f"postroom-{os.getuid()}").chmod(0o777)
        monkeypatch.setattr(tempfile, "tempdir", short)
        opened(Consumer(broker))
        assert "belongs to this user alone" in caplog.text


def test_sockets_of_the_killed_are_removed(broker: SQLiteBroker, path: Path, opened: Opened) -> None:
    dead = RemoteConsumer(broker.url)
    dead.subscribe("q", 1)
    ((bell,),) = other_program(path).execute("SELECT socket FROM holds").fetchall()
    other = SQLiteBroker(f"sqlite:///{path}.other")  # whose consumer knows nothing of the dead one's database
    opened(Consumer(other))
    assert Path(bell).exists()
    dead.crash()
    opened(Consumer(other))
    assert not Path(bell).exists()
    other.close()


def test_a_delayed_event_is_on_time_though_nobody_else_stirs(broker: SQLiteBroker, opened: Opened) -> None:
    consumer = opened(RemoteConsumer(broker.url))
    consumer.subscribe("q", 5)
    due = time.time() + 0.7
    broker.publish("q", messages(1), 0.7, 5)
    consumer.next("q", 1)
    assert -0.01 < time.time() - due < 0.25


def test_delayed_events_come_in_the_order_in_which_they_are_due(broker: SQLiteBroker, opened: Opened) -> None:
    sent = messages(3)
    for event, delay in zip(sent, (0.6, 0.2, 0.4), strict=True):
        broker.publish("q", [event], delay, 5)
    eventually(lambda: broker.figures("q").ready == 3, "all are due")
    first, second, third = sent
    assert ids(broker.peek("q", 9)) == [second.id, third.id, first.id]
    assert ids(opened(Consumer(broker)).take("q", 3)) == [second.id, third.id, first.id]


def test_a_purge_meets_events_that_become_due_meanwhile(
    broker: SQLiteBroker, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The consumer of another queue promotes them in the middle of the purge."""
    opened(Consumer(broker)).subscribe("other", 1)
    broker.publish("q", messages(2), 0.1, 5)
    delete = broker._control._delete

    def delete_late(queue: str, table: str, which: str) -> int:
        deleted = delete(queue, table, which)
        broker.publish("other", messages(1), 0, 5)
        return deleted

    monkeypatch.setattr(broker._control, "_delete", delete_late)
    eventually(lambda: broker.figures("q").ready == 2, "they are due")
    assert broker.purge("q") == 2
    assert broker.figures("q").ready == 0


# Faults of the file.


def test_a_full_disk_is_said_and_costs_nothing(
    broker: SQLiteBroker, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    broker.publish("q", messages(5), 0, 5)
    consumer = opened(Consumer(broker))
    held = consumer.take("q", 5)
    _limit(broker, consumer, pages=1)
    with pytest.raises(NotPublished, match=r"queue 'q': event \S+ not published: the disk .* is full: make room"):
        broker.publish("q", [_large()], 0, 5)
    large = {"postroom-traceback": "x" * 300_000}
    burying = threading.Thread(target=lambda: consumer.bury(held[0], large))
    burying.start()
    eventually(lambda: "is full" in caplog.text, "the consumer has met the full disk")
    assert broker.figures("q").in_hand == 5
    _limit(broker, consumer, pages=1_000_000)
    consumer.ack(held[1:])
    eventually(lambda: broker.figures("q").in_hand == 0, "what was in hand is settled when there is room")
    burying.join()
    assert broker.figures("q").dead == 1
    assert caplog.text.count("is full") == 1
    assert "goes on" in caplog.text


def _limit(broker: SQLiteBroker, consumer: Consumer, pages: int) -> None:
    """Makes the connections of both find the disk full, or not."""
    for handle in (broker._publisher._handle, consumer._hold._keeper._handle):  # type: ignore[attr-defined]
        with handle.lock:
            handle.connection(time.monotonic() + 5).execute(f"PRAGMA max_page_count = {pages}")


def _large() -> Message:
    event = message()
    event.body = b"x" * 300_000
    return event


def test_a_locked_file_fails_a_publish_in_time_and_holds_a_consumer_up(
    broker: SQLiteBroker, path: Path, opened: Opened
) -> None:
    broker.publish("q", sent := messages(2), 0, 5)
    consumer = opened(Consumer(broker))
    held = consumer.take("q", 1)
    other = other_program(path)
    other.execute("BEGIN IMMEDIATE")
    start = time.monotonic()
    with pytest.raises(NotPublished, match="is locked by another program") as caught:
        broker.publish("q", [refused := message()], 0, 0.3)
    assert 0.2 < time.monotonic() - start < 1
    assert caught.value.unpublished == (refused.id,)
    consumer.ack(held)
    other.execute("ROLLBACK")
    assert ids(consumer.next("q", 1)) == [sent[1].id]


def test_many_threads_are_refused_in_time_too(broker: SQLiteBroker, path: Path) -> None:
    broker.declare("q")
    other = other_program(path)
    other.execute("BEGIN IMMEDIATE")
    waits: list[float] = []

    def publish(timeout: float) -> None:
        start = time.monotonic()
        with pytest.raises(NotPublished):
            broker.publish("q", messages(1), 0, timeout)
        waits.append(time.monotonic() - start - timeout)

    threads = [threading.Thread(target=publish, args=(0.1 + 0.05 * number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.execute("ROLLBACK")
    assert len(waits) == 8
    assert max(waits) < 0.5
    assert broker.figures("q").ready == 0
    broker.publish("q", messages(1), 0, 5)


def test_one_event_that_cannot_be_kept_spares_its_companions(broker: SQLiteBroker) -> None:
    broker.declare("q")
    with broker._publisher._handle.lock:  # so that all wait, and share a transaction
        threads = []
        failures: list[NotPublished] = []

        def publish(event: Message) -> None:
            try:
                broker.publish("q", [event], 0, 5)
            except NotPublished as error:
                failures.append(error)

        bad = message()
        bad.id = "\ud800"
        for event in [message(), bad, message()]:
            threads.append(threading.Thread(target=publish, args=(event,)))
            threads[-1].start()
        eventually(lambda: len(broker._publisher._waiting) == 3, "all wait")
    for thread in threads:
        thread.join()
    assert [failure.unpublished for failure in failures] == [("\ud800",)]
    assert broker.figures("q").ready == 2


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: path.mkdir(), "is a folder: the broker's URL must name a file"),
        (lambda path: path.write_bytes(b"no database at all " * 100), "is not a database: move the file away"),
        (lambda path: _foreign(path), "is the database of another program"),
        (lambda path: _newer(path), "was made by a newer Postroom .* upgrade Postroom"),
        (lambda path: _damaged(path), "is damaged .* restore a backup"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_clear_error(
    broker: SQLiteBroker, path: Path, spoil: Callable[[Path], None], sentence: str
) -> None:
    spoil(path)
    with pytest.raises(NotPublished, match=sentence):
        broker.publish("q", messages(1), 0, 5)
    with pytest.raises(BrokerError, match=sentence):
        broker.figures("q")
    with pytest.raises(BrokerError, match=sentence):
        Consumer(broker)


def _foreign(path: Path) -> None:
    other_program(path).execute("CREATE TABLE auth_user (id)")


def _newer(path: Path) -> None:
    schema.connect(os.fspath(path), time.monotonic() + 5).execute("PRAGMA user_version = 99")


def _damaged(path: Path) -> None:
    schema.connect(os.fspath(path), time.monotonic() + 5).close()
    content = bytearray(path.read_bytes())
    content[200:4000] = b"\xff" * 3800
    path.write_bytes(content)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    broker = SQLiteBroker(f"sqlite:///{tmp_path}/missing/postroom.db")
    with pytest.raises(NotPublished, match=f"the folder {tmp_path}/missing does not exist: create it"):
        broker.publish("q", messages(1), 0, 5)


@pytest.mark.parametrize("of", ["folder", "file"])
def test_what_may_not_be_written_is_named(of: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        owner = SQLiteBroker(f"sqlite:///{folder}/postroom.db")
        if of == "file":
            owner.declare("q")
            owner.close()
            Path(folder, "postroom.db").chmod(0o444)
        folder.chmod(0o555)

        def publish() -> None:
            if os.getuid() == 0:
                os.seteuid(NOBODY)
            with pytest.raises(NotPublished, match=r"cannot be (opened|written).*access to"):
                SQLiteBroker(f"sqlite:///{folder}/postroom.db").publish("q", messages(1), 0, 5)

        with in_fork(publish):
            pass
        folder.chmod(0o755)


def test_a_replaced_file_is_noticed(broker: SQLiteBroker, path: Path, opened: Opened) -> None:
    broker.publish("q", messages(1), 0, 5)
    consumer = opened(Consumer(broker))
    consumer.take("q", 1)
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink(missing_ok=True)
    broker.publish("q", [event := message()], 0, 5)
    consumer.wait_lost()
    consumer.wait_regained()
    assert ids(consumer.next("q", 1)) == [event.id]


def test_a_row_that_another_program_wrote_is_an_event_like_any_other(
    broker: SQLiteBroker, path: Path, opened: Opened
) -> None:
    broker.declare("q")
    other_program(path).execute(
        "INSERT INTO events (queue, state, published, id, headers, body)"
        " SELECT id, 0, 1.5, 'foreign', '{no json', '{\"a\": 1}' FROM queues"
    )
    assert broker.peek("q", 1)[0].headers == {}
    (delivery,) = opened(Consumer(broker)).take("q", 1)
    assert delivery.message == Message("foreign", b'{"a": 1}', {}, 1.5)


def test_large_events_do_not_come_all_at_once(broker: SQLiteBroker, opened: Opened) -> None:
    for _ in range(8):
        large = messages(5)
        for event in large:
            event.body = b"x" * 1_000_000
        broker.publish("q", large, 0, 30)
    consumer = opened(Consumer(broker))
    assert len(consumer.take("q", 40)) == 40


# Files and forks.


def test_a_new_file_is_its_owners_alone_and_an_old_one_stays_as_it_is(broker: SQLiteBroker, path: Path) -> None:
    broker.declare("q")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    broker.close()
    path.chmod(0o660)
    broker.declare("q2")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_a_url_of_four_slashes_names_the_same_file(path: Path) -> None:
    SQLiteBroker(f"sqlite:///{path}").declare("q")
    assert SQLiteBroker(f"sqlite:////{path}").queues() == ["q"]
    with pytest.raises(SettingsError, match="names no file"):
        SQLiteBroker("sqlite:///")


def test_a_fork_leaves_an_open_hold_and_its_lock_alone(broker: SQLiteBroker, opened: Opened) -> None:
    broker.publish("q", messages(2), 0, 5)
    consumer = opened(Consumer(broker))
    held = consumer.take("q", 2)

    def publish() -> None:
        broker.publish("q", messages(1), 0, 5)
        assert broker.figures("q").consumers == 1
        assert broker.figures("q").in_hand == 2

    with in_fork(publish):
        pass
    assert broker.figures("q").in_hand == 2
    consumer.ack(held)
    consumer.next("q", 1)


def test_a_child_outlives_the_parent_that_had_the_file_open(broker: SQLiteBroker, path: Path) -> None:
    """Were the parent's connection still open at the fork, its end would let a third process reset the log that
    the child is using."""
    program = f"""
import os, sys
from postroom.brokers.sqlite import SQLiteBroker
from postroom.wire.message import Message
broker = SQLiteBroker({broker.url!r})
publish = lambda name: broker.publish("q", [Message(name, b"1", {{}}, 1.0)], 0, 5)
publish("parent")
if os.fork():
    os._exit(0)
publish("child")
sys.stdin.read(1)
publish("orphan")
print("done", flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    child.wait(20)
    eventually(lambda: broker.figures("q").ready == 2, "parent and child have published")
    broker.close()  # the last one to close would reset the log
    child.stdin.write(b"!")
    child.stdin.close()
    assert child.stdout.read() == b"done\n"
    child.stdout.close()
    assert ids(broker.peek("q", 9)) == ["parent", "child", "orphan"]
    ((check,),) = other_program(path).execute("PRAGMA integrity_check").fetchall()
    assert check == "ok"


def test_a_killed_publisher_leaves_whole_calls(broker: SQLiteBroker, path: Path) -> None:
    program = f"""
import itertools
from postroom.brokers.sqlite import SQLiteBroker
from postroom.wire.message import Message
broker = SQLiteBroker({broker.url!r})
for call in itertools.count():
    broker.publish("q", [Message(f"{{call}}", b"1", {{}}, 1.0) for _ in range(50)], 0, 5)
    print(call, flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert child.stdout is not None
    for _ in range(20):
        child.stdout.readline()
    child.kill()
    returned = 20 + len(child.stdout.read().splitlines())
    child.wait()
    child.stdout.close()
    ready = broker.figures("q").ready
    assert ready % 50 == 0
    assert returned * 50 <= ready <= (returned + 1) * 50


def test_quiet_is_logged_by_nobody(broker: SQLiteBroker, opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "postroom")
    broker.publish("q", messages(3), 0, 5)
    consumer = opened(Consumer(broker))
    consumer.ack(consumer.take("q", 3))
    consumer.close()
    assert not caplog.records


def test_a_file_of_the_first_version_learns_to_keep_order(path: Path, broker: SQLiteBroker, opened: Opened) -> None:
    broker.publish("q", messages(1), 0, 5)
    broker.close()
    old = schema.connect(os.fspath(path), time.monotonic() + 5)
    for made_later in ("TRIGGER block", "TRIGGER unblock", "INDEX of_a_key", "INDEX blocked", "TABLE replies"):
        old.execute(f"DROP {made_later}")
    old.execute("ALTER TABLE events DROP COLUMN key")
    old.execute("PRAGMA user_version = 1")
    old.close()
    sent = [message(number, **{KEY: "a"}) for number in range(2)]
    broker.publish("q", sent, 0, 5)
    consumer = opened(Consumer(broker))
    consumer.subscribe("q", 10)
    _, first = consumer.next("q", 2)
    assert first.message.id == sent[0].id
    consumer.ack([first])
    assert ids(consumer.next("q", 1)) == ids(sent[1:])
