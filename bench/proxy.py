"""A TCP address before a server's Unix socket whose lines can be made to swallow what they are given."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Proxy:
    """Relays until told to swallow: from then on the lines that stand take everything and pass on nothing."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self._door = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._door.getsockname()[1]
        self._lines: list[threading.Event] = []
        self._sockets: list[socket.socket] = []

    def swallow(self) -> None:
        """Both ends of the lines that stand now go on talking to nobody; lines made later are whole."""
        for swallowing in self._lines:
            swallowing.set()

    def serve(self) -> None:
        """Take calls until the door is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._door.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._server))
                swallowing = threading.Event()
                self._lines.append(swallowing)
                self._sockets += [client, server]
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=_carry, args=(source, sink, swallowing), daemon=True).start()

    def close(self) -> None:
        """The door and every line are closed."""
        for one in (self._door, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def _carry(source: socket.socket, sink: socket.socket, swallowing: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            if not swallowing.is_set():
                sink.sendall(data)
        if not swallowing.is_set():
            sink.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy_to(server: Path) -> Iterator[Proxy]:
    """A proxy before the Unix socket ``server``; gone afterwards with all its lines."""
    proxy = Proxy(server)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join(5)
