"""A TCP address that leads to another one, until somebody cuts it."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Switch:
    """Listens on a port of its own; what comes there goes on to ``port``, while it is not cut."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._whole = threading.Event()
        self._whole.set()
        self._lines: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self.taken = 0

    def cut(self) -> None:
        """Every line is cut, and new ones are as soon as they come."""
        self._whole.clear()
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            _hang_up(line)

    def mend(self) -> None:
        """New lines hold."""
        self._whole.set()

    def serve(self) -> None:
        while True:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            if not self._whole.is_set():
                client.close()
                continue
            self.taken += 1
            server = socket.create_connection(("127.0.0.1", self._to))
            with self._lock:
                self._lines |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def close(self) -> None:
        _hang_up(self._door)
        self._door.close()
        self.cut()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        _hang_up(source)
        _hang_up(sink)
        with self._lock:
            gone = {source, sink} & self._lines
            self._lines -= gone
        for one in gone:
            one.close()


def _hang_up(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


@contextmanager
def switch_to(port: int) -> Iterator[Switch]:
    """A switch before ``port``, closed with all its lines afterwards."""
    switch = Switch(port)
    thread = threading.Thread(target=switch.serve, daemon=True)
    thread.start()
    try:
        yield switch
    finally:
        switch.close()
        thread.join(5)
