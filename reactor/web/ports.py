"""Where to listen.

A port the operator chose is taken or the start fails. Without a choice it is 8420 or the next one that is free, for a
second reactor on one machine is no mistake. Port 0 is any free one. A name may have several addresses: all of them get
the same port, or none.
"""

import errno
import ipaddress
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import trio

from reactor.errors import ConfigurationError, PortInUse

DEFAULT_PORT = 8420
NEXT_PORTS = 100  # how many are tried from the default one on
ANY_PORT_TRIES = 20  # the system's free port of one address may be taken on another
BACKLOG = 128

_Address = tuple[socket.AddressFamily, str]


@dataclass(frozen=True, slots=True)
class Door:
    """Sockets that listen, and the address by which a browser on this machine reaches them."""

    url: str
    sockets: tuple[socket.socket, ...]

    def close(self) -> None:
        """Nobody listens there any more."""
        for one in self.sockets:
            one.close()


async def open_door(host: str, port: int | None) -> Door:
    """Listen on every address of ``host``; ``port`` None: 8420 or the next free one, 0: any free one.

    Raises: PortInUse: the port is taken, or 100 from the default one on are. ConfigurationError: ``host`` is no
        address of this machine, or the port is not for us.
    Cancellation: nothing is left open.
    """
    addresses = await _addresses(host)
    if port:
        sockets = _listen(host, addresses, port)
        if sockets is None:
            raise PortInUse(
                f"OPS_PORT={port} is in use on {host}: end what listens there, set another port,"
                " or unset OPS_PORT to take the next free one"
            )
    else:
        sockets = _search(host, addresses, port)
    number = sockets[0].getsockname()[1]
    return Door(f"http://{_shown(host)}:{number}", tuple(sockets))


def _search(host: str, addresses: Sequence[_Address], port: int | None) -> list[socket.socket]:
    candidates = range(DEFAULT_PORT, DEFAULT_PORT + NEXT_PORTS) if port is None else [0] * ANY_PORT_TRIES
    for candidate in candidates:
        sockets = _listen(host, addresses, candidate)
        if sockets is not None:
            return sockets
    where = f"from {DEFAULT_PORT} to {DEFAULT_PORT + NEXT_PORTS - 1}" if port is None else "the system gave"
    raise PortInUse(f"no port {where} is free on {host}: set OPS_PORT to one that is")


def _listen(host: str, addresses: Sequence[_Address], port: int) -> list[socket.socket] | None:
    """Sockets on every address, all with one port; None when that is taken on any of them."""
    sockets: list[socket.socket] = []
    try:
        for family, address in addresses:
            sockets.append(one := socket.socket(family, socket.SOCK_STREAM))
            one.setblocking(False)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address != "::")
            one.bind((address, port))
            # Two sockets may be bound to one port; who listens second is told so only here.
            one.listen(BACKLOG)
            port = one.getsockname()[1]
    except OSError as error:
        _close(sockets)
        if error.errno == errno.EADDRINUSE:
            return None
        if error.errno == errno.EACCES:
            raise ConfigurationError(f"OPS_PORT={port} is for root only: set one above 1023") from None
        raise _no_address(host, error.strerror or str(error)) from None
    return sockets


def _close(sockets: Sequence[socket.socket]) -> None:
    for one in sockets:
        one.close()


async def _addresses(host: str) -> list[_Address]:
    try:
        found = await trio.socket.getaddrinfo(
            host.strip("[]"), None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise _no_address(host, error.strerror or str(error)) from None
    wanted = (socket.AF_INET, socket.AF_INET6)
    return list(
        dict.fromkeys((family, str(where[0])) for family, _, _, _, where in found if family in wanted)
    )


def _no_address(host: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"OPS_HOST={host} is no address of this machine ({why}): try 127.0.0.1")


def _shown(host: str) -> str:
    """``host`` as a browser on this machine writes it."""
    bare = host.strip("[]")
    with suppress(ValueError):  # a name, then
        address = ipaddress.ip_address(bare)
        if address.is_unspecified:
            return "127.0.0.1" if address.version == 4 else "[::1]"
    return f"[{bare.replace('%', '%25')}]" if ":" in bare else bare
