"""Programs that know AMQP and not Postroom, on Postroom's queues: Debian's amqp-tools, and rabbitmqadmin."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.project import Project, eventually
from tests.rabbit import RabbitNode

pytestmark = pytest.mark.rabbitmq


@pytest.fixture(scope="module")
def node(rabbit_installed: None) -> Iterator[RabbitNode]:
    with RabbitNode(management=True) as node:
        yield node


class Shop(Project):
    """An application on the node, and plain tools beside it. They log in by a file, which nobody else can see."""

    def __init__(self, folder: Path, node: RabbitNode) -> None:
        super().__init__(folder, node.url)
        self.node = node
        login = folder / "amqp.auth"
        login.touch(0o600)
        login.write_text("username:guest\npassword:guest\n")

    def tool(self, name: str, *words: str, stdin: str = "") -> str:
        """One of amqp-tools: its output."""
        where = ["--server", "127.0.0.1", "--port", str(self.node.port), "--authfile", "amqp.auth"]
        done = subprocess.run(
            [name, *where, *words], cwd=self.folder, input=stdin, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def admin(self, *words: str) -> str:
        """rabbitmqadmin, as the node's management plugin serves it: its output."""
        script = self.folder / "rabbitmqadmin"
        if not script.exists():
            try:
                with urllib.request.urlopen(f"{self.node.management_url}/cli/rabbitmqadmin") as served:
                    script.write_bytes(served.read())
            except urllib.error.HTTPError as error:
                if error.code != 404:
                    raise
                pytest.skip("this RabbitMQ's management plugin serves no rabbitmqadmin: from 4.3 on it comes apart")
        port = self.node.management_url.rpartition(":")[2]
        done = subprocess.run(
            [sys.executable, str(script), "--host=127.0.0.1", f"--port={port}", "--format=raw_json", *words],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def dead(self) -> list[dict[str, object]]:
        """The dead letters, as ``dead list`` tells of them."""
        return [json.loads(line) for line in self.ok("dead", "list", self.invites, "--json").splitlines()]


@pytest.fixture
def shop(tmp_path: Path, node: RabbitNode, amqp_tools: None) -> Shop:
    return Shop(tmp_path, node)


GOOD = '{"email": "ada@example.com", "team": 1}'


def test_events_of_amqp_publish_are_processed_and_bad_ones_buried(shop: Shop) -> None:
    shop.ok("publish", shop.invites, GOOD)  # so that the queue exists
    shop.tool("amqp-publish", "-e", "postroom", "-r", shop.invites, "-b", GOOD)
    shop.tool("amqp-publish", "-r", shop.invites, "-b", GOOD, "-p", "-C", "text/plain", "-H", "colour: blue")
    shop.tool("amqp-publish", "-r", shop.invites, "-l", stdin=f"{GOOD}\nthis is no JSON\n" + '{"email": 7}\n')
    shop.consume_until(lambda: (now := shop.figures(shop.invites))["ready"] == 0 and now["dead"] == 2)
    letters = shop.dead()
    assert {letter["attempts"] for letter in letters} == {0}
    assert all("it is no payload of this queue" in str(letter["reason"]) for letter in letters)


def test_events_of_ours_are_read_by_amqp_get_and_amqp_consume(shop: Shop) -> None:
    for team in (1, 2, 3):
        shop.ok("publish", shop.invites, json.dumps({"email": "ada@example.com", "team": team}))
    assert json.loads(shop.tool("amqp-get", "-q", shop.invites)) == {"email": "ada@example.com", "team": 1}
    both = shop.tool("amqp-consume", "-q", shop.invites, "-c", "2", "-p", "1", "awk", "1")
    assert [json.loads(line)["team"] for line in both.splitlines()] == [2, 3]
    assert shop.figures(shop.invites)["ready"] == 0


def test_a_queue_deleted_under_its_worker_is_made_again(shop: Shop) -> None:
    worker = shop.start("process_queue", "--queue", shop.invites)
    try:
        shop.ok("publish", shop.invites, GOOD)
        eventually(lambda: (now := shop.figures(shop.invites))["ready"] == 0 and now["consumers"] == 1, worker)
        shop.tool("amqp-delete-queue", "-q", shop.invites)
        shop.ok("publish", shop.invites, GOOD)
        shop.ok("publish", shop.invites, '{"email": "ada@example.com", "team": 13}')
        eventually(lambda: (now := shop.figures(shop.invites))["ready"] == 0 and now["dead"] == 1, worker)
        worker.terminate()
        _, told = worker.communicate(timeout=30)
    finally:
        worker.kill()
    assert worker.returncode == 0
    assert shop.invites in told
    assert "deleted" in told


def test_rabbitmqadmin_publishes_reads_and_lists(shop: Shop) -> None:
    shop.ok("publish", shop.invites, GOOD)
    (seen,) = json.loads(shop.admin("get", f"queue={shop.invites}", "ackmode=ack_requeue_true"))
    assert json.loads(seen["payload"]) == json.loads(GOOD)
    assert seen["properties"]["content_type"] == "application/json"
    assert seen["properties"]["message_id"]
    shop.admin("publish", "exchange=postroom", f"routing_key={shop.invites}", f"payload={GOOD}")
    shop.admin("publish", "exchange=postroom", f"routing_key={shop.invites}", "payload=[1, 2")
    shop.consume_until(lambda: (now := shop.figures(shop.invites))["ready"] == 0 and now["dead"] == 1)
    names = {row["name"] for row in json.loads(shop.admin("list", "queues", "name"))}
    assert {shop.invites, f"{shop.invites}.dead"} <= names
