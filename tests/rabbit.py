"""A private RabbitMQ node in a temporary folder, for tests and benchmarks.

    with RabbitNode() as node:
        connect(node.url)
        node.kill()       # as kill -9, the data stays
        node.start()

Everything listens on loopback, on free ports of its own. When the process that made the node dies, however it
dies, a watchdog kills the node and removes its folder.

The server is this machine's own, or, with POSTROOM_TEST_BROKER in the environment, that of the Debian in the folder
it names (``tests/build_broker.sh`` makes them; only root can run them).
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

PROGRAMS = "/usr/lib/rabbitmq/bin"  # the wrappers in sbin change user and ignore our folder
DEBIAN = os.environ.get("POSTROOM_TEST_BROKER")
COOKIE = "POSTROOMTESTS"

# Reads until its standard input closes, which it does when the process that holds the other end is gone.
WATCHDOG = """
trap '' INT TERM HUP
cat >/dev/null
for pid in $(cat "$1/pids"); do kill -9 "-$pid"; done
sleep 0.2
rm -rf "$1"
"""

# Its programs and their configuration take the place of the machine's, all other paths stay what they are: in a mount
# namespace that ends with the process.
INSIDE = """
mount --bind "$0/etc" /etc
mount --bind "$0/usr" /usr
exec "$@"
"""


def installed() -> bool:
    """Whether there is the server that is asked for."""
    return Path(f"{DEBIAN or ''}{PROGRAMS}/rabbitmq-server").exists()


def command(program: str, *arguments: str) -> list[str]:
    """What starts a program of the server's installation: the process becomes it."""
    if DEBIAN is None:
        return [program, *arguments]
    root = str(Path(DEBIAN).resolve())
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", INSIDE, root, program, *arguments]


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on at this moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class RabbitNode:
    """One broker. It is not started until ``start``; ``url`` is fixed from the beginning.

    ``config``: further lines of rabbitmq.conf. ``management``: with the management plugin, at ``management_url``,
    its samples taken twice a second. ``epmd_port``: of the port mapper that it shares with the other nodes of a
    cluster. The login is RabbitMQ's default (guest, on loopback).
    """

    def __init__(self, config: str = "", management: bool = False, epmd_port: int | None = None) -> None:
        self.port, self._dist_port, own_epmd_port, management_port = free_ports(4)
        self._epmd_port = epmd_port or own_epmd_port
        self.management_url = f"http://127.0.0.1:{management_port}"
        self.folder = Path(tempfile.mkdtemp(prefix="postroom-rabbit-"))
        self.name = f"t{self.port}@localhost"
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"
        self._server: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        if management:
            config += (
                f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management_port}\n"
                "collect_statistics_interval = 500\n"
            )
        self._write_files(config, ["rabbitmq_management"] if management else [])
        self._environment = self._make_environment()
        self._watchdog = subprocess.Popen(
            ["sh", "-c", WATCHDOG, "watchdog", str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> "RabbitNode":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.destroy()

    def start(self, timeout: float = 60) -> None:
        """Starts the node, with the data of its last run, and waits until it speaks AMQP."""
        assert self._server is None, "already started"
        if self._epmd is None:
            # A port mapper of our own: one that the node started would outlive it. Where another node's is there
            # already, this one ends at once.
            self._epmd = self._spawn("epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1")
        self._server = self._spawn(f"{PROGRAMS}/rabbitmq-server")
        deadline = time.monotonic() + timeout
        while not self._speaks_amqp():
            if self._server.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"rabbitmq-server did not start:\n{self.log()[-3000:]}")
            time.sleep(0.1)

    def stop(self, timeout: float = 30) -> None:
        """Stops the node as an administrator would; the data stays."""
        if self._server is None:
            return
        self._server.send_signal(signal.SIGTERM)
        try:
            self._server.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self._forget_server()

    def kill(self) -> None:
        """SIGKILL: no goodbye. The data stays, but for exchanges and queues declared less than a second ago, which
        the server may forget or leave without a leader: wait that long before."""
        if self._server is None:
            return
        kill_group(self._server)
        self._forget_server()

    def restart(self) -> None:
        """``stop``, ``start``."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: the sockets stay open and nobody answers."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Ends ``freeze``."""
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    def destroy(self) -> None:
        """Kills the node and removes its folder. The object is of no use afterwards."""
        self.kill()
        if self._epmd is not None:
            kill_group(self._epmd)
            self._epmd = None
        shutil.rmtree(self.folder, ignore_errors=True)
        assert self._watchdog.stdin is not None
        self._watchdog.stdin.close()
        self._watchdog.wait()

    def control(self, *arguments: str) -> str:
        """``rabbitmqctl ARGUMENTS``, which takes about half a second; its output."""
        done = subprocess.run(
            command(f"{PROGRAMS}/rabbitmqctl", "-q", "-n", self.name, *arguments),
            env=self._environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def configure(self, config: str) -> None:
        """Further lines of rabbitmq.conf, before the start."""
        with (self.folder / "rabbitmq.conf").open("a") as file:
            file.write(config)

    def log(self) -> str:
        """What the node has logged, over all its runs."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("log/*.log")))

    def _write_files(self, config: str, plugins: list[str]) -> None:
        cookie = self.folder / ".erlang.cookie"
        cookie.write_text(COOKIE)
        cookie.chmod(0o400)
        (self.folder / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n")
        (self.folder / "env.conf").write_text("")
        (self.folder / "pids").write_text("")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "distribution.listener.interface = 127.0.0.1\n"
            "disk_free_limit.absolute = 50MB\n"
            "raft.wal_max_size_bytes = 64000000\n"
            "log.file.level = info\n" + config
        )

    def _make_environment(self) -> dict[str, str]:
        folder = self.folder
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            "RUNNING_UNDER_SYSTEMD": "1",  # the start script becomes the server, so that its pid is ours to kill
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "env.conf"),
        }

    def _spawn(self, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        with (self.folder / "output").open("ab") as output:
            process = subprocess.Popen(
                command(program, *arguments),
                env=self._environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        with (self.folder / "pids").open("a") as pids:
            pids.write(f"{process.pid}\n")
        return process

    def _speaks_amqp(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.settimeout(5)
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(1) == b"\x01"  # the method frame connection.start
        except OSError:
            return False

    def _forget_server(self) -> None:
        self._server = None
        known = "" if self._epmd is None else f"{self._epmd.pid}\n"
        (self.folder / "pids").write_text(known)


class RabbitCluster:
    """Three nodes that find each other when they are first started, all at once. ``url`` names them all."""

    def __init__(self) -> None:
        (epmd_port,) = free_ports(1)
        self.nodes = [RabbitNode(epmd_port=epmd_port) for _ in range(3)]
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        self.url = f"amqp://guest:guest@{hosts}/%2F"
        for node in self.nodes:
            for number, peer in enumerate(self.nodes, 1):
                node.configure(f"cluster_formation.classic_config.nodes.{number} = {peer.name}\n")

    def __enter__(self) -> "RabbitCluster":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.destroy()

    def start(self, timeout: float = 90) -> None:
        """Starts all nodes, which then are one cluster."""
        try:
            with ThreadPoolExecutor(len(self.nodes)) as pool:
                list(pool.map(lambda node: node.start(timeout), self.nodes))
            status = json.loads(self.nodes[0].control("cluster_status", "--formatter", "json"))
            assert len(status["running_nodes"]) == len(self.nodes), status["running_nodes"]
        except BaseException:
            self.destroy()
            raise

    def destroy(self) -> None:
        """Kills all nodes and removes their folders."""
        for node in self.nodes:
            node.destroy()


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """SIGKILL to a process and its children, and waits for its end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
