"""Connections for a thousand calls at once.

The HTTP library's pool looks at every connection it has whenever a request comes or goes: nothing for a few, and more
than half of the time for a thousand that wait for slow answers. Here many small pools stand side by side, each filled
before the next one is used, so that few calls share few connections.
"""

from typing import Any, Final
from urllib.request import getproxies

import httpx2
from anthropic import DefaultAsyncHttpxClient

_IN_A_POOL: Final = 32
# What a pool keeps open when nobody uses it, and for how long, as the library does by default.
_KEPT: Final = 16
_KEPT_S: Final = 5.0


class SideBySide(httpx2.AsyncBaseTransport):
    """As many pools of ``_IN_A_POOL`` connections as calls at once need."""

    def __init__(self) -> None:
        self._trust = httpx2.create_ssl_context()  # reading the authorities takes 40 ms: once for all pools
        self._pools: list[httpx2.AsyncHTTPTransport] = []
        self._busy: list[int] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The response, from the first pool with room."""
        place = next((place for place, busy in enumerate(self._busy) if busy < _IN_A_POOL), len(self._busy))
        if place == len(self._busy):
            self._pools.append(self._new_pool())
            self._busy.append(0)
        self._busy[place] += 1
        try:
            return await self._pools[place].handle_async_request(request)
        finally:
            self._busy[place] -= 1

    async def aclose(self) -> None:
        """All connections are closed."""
        for pool in self._pools:
            await pool.aclose()

    def _new_pool(self) -> httpx2.AsyncHTTPTransport:
        limits = httpx2.Limits(
            max_connections=None, max_keepalive_connections=_KEPT, keepalive_expiry=_KEPT_S
        )
        return httpx2.AsyncHTTPTransport(verify=self._trust, limits=limits)


def http_client() -> httpx2.AsyncClient | None:
    """The client below the SDK; None, the SDK's own, where the environment asks for a proxy."""
    if {"http", "https", "all"} & getproxies().keys():
        return None
    pools: Any = SideBySide()
    return DefaultAsyncHttpxClient(mounts={"all://": pools})
