"""The door to other people's servers: one HTTP request, only to addresses of the open net.

A redirect is a new request through the same door. How a request travels is `reactor.handlers.outgoing`'s affair.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

import trio

from reactor.errors import ReplyRefused, RequestFailed
from reactor.model.addresses import Target, refuse_name, target_of

if TYPE_CHECKING:
    from reactor.handlers.outgoing import Lookup, Reply

MOST_REDIRECTS: Final = 5


class Door:
    """Sends requests. ``trusted`` are places (host:port) that may be private: a person has named them.

    ``lookup`` finds the addresses of a name; the system's way when None.
    """

    def __init__(self, trusted: Collection[str] = (), lookup: "Lookup | None" = None) -> None:
        self._trusted = frozenset(trusted)
        self._lookup = lookup

    async def get(self, url: str, *, timeout_s: float, accept: str = "*/*") -> "Reply":
        """The page at ``url``, behind at most `MOST_REDIRECTS` redirects, each judged like the first URL.

        Raises: AddressRefused, ReplyRefused: for good. RequestFailed: not now.
        """
        with _within(timeout_s):
            target = target_of(url)
            for _ in range(MOST_REDIRECTS + 1):
                headers = {"accept": accept, "accept-encoding": "gzip, deflate"}
                reply = await self._send("GET", target, headers, None, cut_at=None)
                if reply.moved_to is None:
                    return reply
                target = target_of(urljoin(target.url, reply.moved_to))
        raise ReplyRefused(f"more than {MOST_REDIRECTS} redirects, the last to {target.place}")

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float, keep: int
    ) -> "Reply":
        """``body`` was sent once; redirects are not followed, of the answer the first ``keep`` bytes are kept.

        Raises: AddressRefused: for good. RequestFailed: not now, though it may have arrived.
        """
        with _within(timeout_s):
            return await self._send("POST", target_of(url), headers, body, cut_at=keep)

    async def _send(
        self,
        method: str,
        target: Target,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        cut_at: int | None,
    ) -> "Reply":
        # With the first request: what it needs takes a twentieth of a start, and most teams send none.
        from reactor.handlers import outgoing

        refuse_name(target, self._trusted)
        request = outgoing.Outgoing(method, target, headers, body, cut_at)
        return await outgoing.send(request, self._trusted, self._lookup or outgoing.look_up)


@contextmanager
def _within(timeout_s: float) -> Iterator[None]:
    try:
        with trio.fail_after(timeout_s):
            yield
    except trio.TooSlowError as error:
        raise RequestFailed(f"no whole answer within {timeout_s:g} s") from error


def compact_json(value: object) -> bytes:
    """``value`` as JSON without blanks, in UTF-8, the same for the same value."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(
        "utf-8", "replace"
    )
