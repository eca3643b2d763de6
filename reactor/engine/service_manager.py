"""What the service manager that started us is told: that we are starting, ready, stopping, and that the loop turns.

The protocol is systemd's ``sd_notify``: datagrams of NAME=value lines to the socket that ``NOTIFY_SOCKET`` names. Without
that variable nobody is told anything. With ``WATCHDOG_USEC`` the manager kills a process that has been silent for so long;
the word that keeps it alive comes from a task of the event loop, so that a loop that does not turn is a process that does
not live. A start may take its time, for a migration or a server that comes up: while the loop turns it asks for more.
"""

import os
import socket
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import NoReturn

import trio

TELL_EVERY_S = 5.0  # without a watchdog: how often a changed status is told
MORE_TIME_S = 60  # what a start asks for, each time it says a word
LONGEST_STATUS = 200


class ServiceManager:
    """Tells the manager at ``address``, nobody when None; ``watchdog_s`` is how long it bears silence, None for ever."""

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        self._address = address
        self._every_s = TELL_EVERY_S if watchdog_s is None else min(watchdog_s / 3, TELL_EVERY_S)
        self._watched = watchdog_s is not None
        self._state = "starting"
        self._doing: Callable[[], str] = lambda: "starting"
        self._told = ""

    @classmethod
    def of(cls, environ: MutableMapping[str, str]) -> "ServiceManager":
        """The manager that ``environ`` names. Its variables are taken out: our children are not who it waits for."""
        address = environ.pop("NOTIFY_SOCKET", "")
        usec = environ.pop("WATCHDOG_USEC", "")
        meant = environ.pop("WATCHDOG_PID", "") or str(os.getpid())
        watched = usec.isdigit() and int(usec) > 0 and meant == str(os.getpid())
        return cls(address or None, int(usec) / 1e6 if watched else None)

    def starting(self, doing: str) -> None:
        """Not ready yet, because of ``doing``."""
        self._doing = lambda: doing
        self._tell(f"STATUS={_line(doing)}", self._more_time())

    def ready(self, status: Callable[[], str]) -> None:
        """At work. ``status`` is asked now and then for one line about it."""
        self._state, self._doing, self._told = "ready", status, _line(status())
        self._tell("READY=1", f"STATUS={self._told}")

    def stopping(self, status: Callable[[], str]) -> None:
        """Leaving."""
        self._state, self._doing, self._told = "stopping", status, _line(status())
        self._tell("STOPPING=1", f"STATUS={self._told}")

    async def run(self) -> NoReturn:
        """For ever: the word that the loop turns, and what we are doing when that has changed."""
        if self._address is None:
            await trio.sleep_forever()
        while True:
            words = ["WATCHDOG=1"] if self._watched else []
            if self._state == "starting":
                words.append(self._more_time())
            if (status := _line(self._doing())) != self._told:
                self._told = status
                words.append(f"STATUS={status}")
            if words:
                self._tell(*words)
            await trio.sleep(self._every_s)
        raise AssertionError("roles never return")

    def _more_time(self) -> str:
        return f"EXTEND_TIMEOUT_USEC={MORE_TIME_S * 1_000_000}"

    def _tell(self, *words: str) -> None:
        """A manager that is gone or does not read is no reason to stop working."""
        if self._address is None:
            return
        # An address that begins with @ is in the abstract namespace, which the kernel spells with a zero byte.
        place = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as door,
        ):
            door.setblocking(False)
            door.connect(place)
            door.send("\n".join(words).encode())


def _line(text: str) -> str:
    return " ".join(text.split())[:LONGEST_STATUS]
