"""How much one address may ask of us: requests a second, bytes a body, wrong tokens a minute.

Buckets live in this process and are bounded in number: whoever has been quiet longest is forgotten first, which gives him a
full bucket. The two probes are never refused.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import trio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reactor.web.refusing import refusal_of

REQUESTS_A_SECOND: Final = 100.0
REQUESTS_AT_ONCE: Final = 200.0
WRONG_TOKENS_A_MINUTE: Final = 10.0
MOST_ADDRESSES: Final = 10_000
MOST_BODY_BYTES: Final = 2 * 1024 * 1024  # a payload of 1 MiB, with room for how JSON writes it
NEVER_REFUSED: Final = frozenset({"/healthz", "/readyz"})


class Buckets:
    """Token buckets by address: each holds ``most``, and gets ``per_s`` of it back every second."""

    def __init__(self, per_s: float, most: float, *, clock: Callable[[], float] = trio.current_time) -> None:
        self._per_s = per_s
        self._most = most
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """0 while ``address`` has something left, else the seconds until it has."""
        return max(0.0, (1.0 - self._now(address)) / self._per_s)

    def take(self, address: str) -> float:
        """Take one for ``address``; as `wait_s`, and nothing was taken unless it says 0."""
        left = self._now(address)
        if left < 1.0:
            return (1.0 - left) / self._per_s
        self._left[address] = (left - 1.0, self._clock())
        self._left.move_to_end(address)
        if len(self._left) > MOST_ADDRESSES:
            self._left.popitem(last=False)
        return 0.0

    def _now(self, address: str) -> float:
        left, since = self._left.get(address, (self._most, self._clock()))
        return min(self._most, left + (self._clock() - since) * self._per_s)


def address_of(scope: Scope) -> str:
    """Whose bucket a request draws on; behind a proxy all draw on the proxy's."""
    client = scope.get("client")
    return str(client[0]) if client else ""


class TooMuch(Exception):
    """A body is longer than any that means well."""


class Limits:
    """ASGI: refuses whoever asks too often with 429, and bodies that are too long with 413."""

    def __init__(self, app: ASGIApp, buckets: Buckets | None = None) -> None:
        self._app = app
        self._buckets = buckets or Buckets(REQUESTS_A_SECOND, REQUESTS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"] in NEVER_REFUSED:
            await self._app(scope, receive, send)
            return
        wait_s = self._buckets.take(address_of(scope))
        if wait_s:
            later = {"retry-after": f"{wait_s + 1:.0f}"}
            refusal = refusal_of(scope, 429, "too many requests: ask again a little later", later)
            await refusal(scope, receive, send)
            return
        await self._bounded(scope, receive, send)

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = 0
        begun = False

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                if read > MOST_BODY_BYTES:
                    raise TooMuch
            return message

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            if _announced(scope) > MOST_BODY_BYTES:
                raise TooMuch
            await self._app(scope, bounded, noted)
        except TooMuch:
            if begun:
                raise
            refusal = refusal_of(scope, 413, f"the body is longer than {MOST_BODY_BYTES} bytes")
            await refusal(scope, receive, send)


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0
