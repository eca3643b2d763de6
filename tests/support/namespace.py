"""A network of two: this machine, and a namespace that can be cut off so that nobody is told."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_numbers = itertools.count(1)
NOBODY = "02:00:00:00:00:01"  # a hardware address that no one has


class NoNamespacesError(Exception):
    """This machine does not let us make one; the message says why."""


@dataclass(frozen=True)
class Namespace:
    """``inside`` runs a command in it; ``here`` and ``there`` are the two addresses."""

    name: str
    here: str
    there: str

    @property
    def inside(self) -> list[str]:
        return ["ip", "netns", "exec", self.name]

    def swallow(self) -> None:
        """What either side sends goes to a card that is not there: no answer, and no error."""
        _ip("neigh", "replace", self.there, "lladdr", NOBODY, "dev", f"{self.name}h", "nud", "permanent")
        _ip(
            "-n",
            self.name,
            "neigh",
            "replace",
            self.here,
            "lladdr",
            NOBODY,
            "dev",
            f"{self.name}n",
            "nud",
            "permanent",
        )

    def heal(self) -> None:
        """They find each other again."""
        _ip("neigh", "del", self.there, "dev", f"{self.name}h")
        _ip("-n", self.name, "neigh", "del", self.here, "dev", f"{self.name}n")


@contextmanager
def namespace() -> Iterator[Namespace]:
    """A new namespace with a cable to this one; both gone at the end. Raises NoNamespacesError."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        raise NoNamespacesError("it takes root and the program ip")
    number = os.getpid() * 16 + next(_numbers)
    name, net = f"vx{number % 10**8}", f"10.{200 + number % 50}.{number // 50 % 250}"
    made = Namespace(name, f"{net}.1", f"{net}.2")
    try:
        _ip("netns", "add", name)
        _ip("link", "add", f"{name}h", "type", "veth", "peer", "name", f"{name}n", "netns", name)
        _ip("addr", "add", f"{made.here}/24", "dev", f"{name}h")
        _ip("link", "set", f"{name}h", "up")
        _ip("-n", name, "addr", "add", f"{made.there}/24", "dev", f"{name}n")
        _ip("-n", name, "link", "set", f"{name}n", "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield made
    finally:
        with suppress(NoNamespacesError):
            _ip("netns", "del", name)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoNamespacesError(f"ip {' '.join(words)}: {done.stderr.strip()}")
