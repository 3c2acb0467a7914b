"""A way to RabbitMQ on which deliveries can be lost."""

import contextlib
import socket
import struct
import threading

METHOD, HEADER, BODY = 1, 2, 3
BASIC_DELIVER = struct.pack(">HH", 60, 60)


class Swallower:
    """Forwards connections from a free port of 127.0.0.1 to ``target`` there. While ``swallowing``, what the broker
    delivers goes nowhere; all else passes, so that everything looks well."""

    def __init__(self, target: int) -> None:
        self.swallowing = False
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Ends it, and all that goes through it."""
        for each in [self._listening, *self._sockets]:
            with contextlib.suppress(OSError):  # not connected any more
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                near = self._listening.accept()[0]
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._sockets += [near, far]
            threading.Thread(target=self._forward, args=(near, far), daemon=True).start()
            threading.Thread(target=self._filter, args=(far, near), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def _filter(self, source: socket.socket, sink: socket.socket) -> None:
        """What comes from the broker, frame by frame."""
        swallowed: set[int] = set()  # channels whose content goes nowhere
        stream = source.makefile("rb")
        try:
            while len(head := stream.read(7)) == 7:
                kind, channel, size = struct.unpack(">BHI", head)
                rest = stream.read(size + 1)
                if kind == METHOD:
                    swallowed.discard(channel)
                    if self.swallowing and rest[:4] == BASIC_DELIVER:
                        swallowed.add(channel)
                if channel not in swallowed:
                    sink.sendall(head + rest)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return
