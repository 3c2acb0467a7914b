"""TLS to RabbitMQ: whom it trusts, what it says of others, and certificates that are renewed under way."""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.brokers.conformance.consumer import eventually
from tests.brokers.test_rabbitmq import Recorder, consuming
from tests.rabbit import RabbitNode, free_ports

from postroom.brokers.rabbitmq import RabbitMQBroker
from postroom.brokers.rabbitmq.consumer import RabbitMQHold
from postroom.errors import BrokerError, SettingsError
from postroom.wire.message import Message, new_id

pytestmark = [
    pytest.mark.rabbitmq,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="TLS IS NOT TESTED: openssl is not installed"),
]


class Authority:
    """A certificate authority and one certificate by it, for ``localhost``, as files in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.ca, self.certificate, self.key = folder / "ca.pem", folder / "server.pem", folder / "server.key"
        ca_key, request, names = folder / "ca.key", folder / "request.pem", folder / "names"
        names.write_text("subjectAltName=DNS:localhost\n")
        new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        _openssl(*new, "-x509", "-days", "2", "-subj", "/CN=our authority", "-keyout", ca_key, "-out", self.ca)
        _openssl(*new, "-subj", "/CN=localhost", "-keyout", self.key, "-out", request)
        signing = ("x509", "-req", "-days", "2", "-in", request, "-CA", self.ca, "-CAkey", ca_key)
        _openssl(*signing, "-CAcreateserial", "-extfile", names, "-out", self.certificate)
        self.key.chmod(0o644)

    def install(self, folder: Path) -> None:
        """Puts the server's files where it looks for them."""
        for source in (self.certificate, self.key):
            shutil.copy(source, folder / source.name)


def _openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


class Site:
    """A node with a TLS port; ``first`` is the authority it begins with, and ``folder`` where its files are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.first, self.second = Authority(folder / "first"), Authority(folder / "second")
        self.first.install(folder)
        (self.port,) = free_ports(1)
        self.node = RabbitNode(
            f"listeners.ssl.1 = 127.0.0.1:{self.port}\n"
            f"ssl_options.certfile = {folder}/server.pem\n"
            f"ssl_options.keyfile = {folder}/server.key\n"
        )
        self.node.start()  # waits for the plain port; RabbitMQ 4.3 opens the other one after it
        eventually(self._listens, "the TLS port is open")

    def _listens(self) -> bool:
        with socket.socket() as trying:
            return trying.connect_ex(("127.0.0.1", self.port)) == 0

    def url(self, cafile: Path, host: str = "localhost") -> str:
        return f"amqps://guest:guest@{host}:{self.port}/%2F?cafile={cafile}"


@pytest.fixture(scope="module")
def site(rabbit_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    its = Site(tmp_path_factory.mktemp("tls"))
    yield its
    its.node.destroy()


def test_who_is_not_trusted_is_refused_with_the_reason(site: Site) -> None:
    cases = (
        (site.url(site.second.ca), "its certificate is not trusted"),
        (site.url(site.first.ca, "127.0.0.1"), r"its certificate is not trusted \(IP address mismatch"),
        (f"amqps://guest:guest@localhost:{site.port}/%2F", "its certificate is not trusted"),
        (f"amqps://guest:guest@localhost:{site.node.port}/%2F?cafile={site.first.ca}", "(?i)ssl"),
    )
    for url, reason in cases:
        with pytest.raises(BrokerError, match=reason):
            RabbitMQBroker(url, None).declare("q")
    with pytest.raises(SettingsError, match="the broker URL's TLS files cannot be used"):
        RabbitMQBroker(site.url(site.folder / "missing.pem"), None).declare("q")
    RabbitMQBroker(site.url(site.first.ca), None).declare("q")


def test_renewed_certificates_are_taken_up(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The server's first, then the authority's, as it happens; no process is started again."""
    ours = site.folder / "ours.pem"
    shutil.copy(site.first.ca, ours)
    broker = RabbitMQBroker(site.url(ours), None)

    def publish() -> str:
        sent = Message(new_id(), b"{}", {}, time.time())
        broker.publish("renewed", [sent], 0, 5)
        return sent.id

    def renew_the_server() -> None:
        site.second.install(site.folder)
        site.node.control("eval", "ssl:clear_pem_cache().")  # as it does by itself every two minutes
        site.node.control("close_all_connections", "the certificates are renewed")

    async def body(hold: RabbitMQHold, recorder: Recorder) -> None:
        recorder.act = hold.ack
        hold.subscribe("renewed", 10)
        first = await asyncio.to_thread(publish)
        await recorder.until(lambda: [each.message.id for each in recorder.deliveries] == [first])
        await asyncio.to_thread(renew_the_server)
        await recorder.until(lambda: "lost" in recorder.kinds())
        async with asyncio.timeout(15):
            while "its certificate is not trusted" not in caplog.text:
                await asyncio.sleep(0.02)
        assert "regained" not in recorder.kinds()
        shutil.copy(site.second.ca, ours)
        await recorder.until(lambda: "regained" in recorder.kinds(), 10)
        second = await asyncio.to_thread(publish)
        await recorder.until(lambda: recorder.deliveries[-1].message.id == second)

    try:
        consuming(broker, body)
    finally:
        broker.close()
    assert "guest:guest" not in caplog.text
