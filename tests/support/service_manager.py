"""The socket of a service manager, and everything it was told."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.scratch import scratch_directory


class Told(NamedTuple):
    """One word of a datagram, and the moment it was read."""

    name: str
    value: str
    at: float


class Manager:
    """Listens on ``address`` as systemd would."""

    def __init__(self, door: socket.socket, address: str) -> None:
        self.address = address
        self.told: list[Told] = []
        self._door = door

    def hear(self, name: str, value: str | None = None, *, within_s: float = 60.0) -> Told:
        """The next word of that name (and value) not heard before; fails when it does not come."""
        deadline = time.monotonic() + within_s
        while True:
            before = len(self.told)
            self._door.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                datagram = self._door.recv(4096).decode()
            except TimeoutError:
                raise AssertionError(f"nobody said {name}; said was {self.told}") from None
            self._note(datagram)
            for one in self.told[before:]:
                if one.name == name and value in (None, one.value):
                    return one

    def drain(self) -> None:
        """Forget what waits to be read, into ``told``."""
        self._door.setblocking(False)
        try:
            while True:
                datagram = self._door.recv(4096).decode()
                self._note(datagram)
        except BlockingIOError:
            return

    def _note(self, datagram: str) -> None:
        now = time.monotonic()
        for line in datagram.splitlines():
            name, _, value = line.partition("=")
            self.told.append(Told(name, value, now))

    def values(self, name: str) -> list[str]:
        return [one.value for one in self.told if one.name == name]


@contextmanager
def service_manager(*, abstract: bool = False) -> Iterator[Manager]:
    """A manager that listens in the file system, or in the abstract namespace."""
    with scratch_directory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        address = (
            f"@voxyz-test-{os.getpid()}-{time.monotonic_ns()}" if abstract else str(directory / "notify")
        )
        door.bind("\0" + address[1:] if abstract else address)
        if not abstract:
            Path(address).chmod(0o777)
        yield Manager(door, address)
