"""One HTTP request to other people's servers, over connections to addresses that were judged.

The name is looked up once, every address it has is judged, and the connection goes to an address that was judged, so that
a second answer of the name server changes nothing. No proxy is taken from the environment, for it would connect in our
place; no cookie is kept.
"""

import ipaddress
import zlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
)
from contextlib import AsyncExitStack, aclosing
from typing import Final, NamedTuple, cast

import httpcore2
import trio

from reactor import __version__
from reactor.errors import AddressRefused, ReplyRefused, RequestFailed
from reactor.model.addresses import Target, refuse_address

USER_AGENT: Final = f"voxyz-reactor/{__version__}"
CONNECT_WITHIN_S: Final = 10.0
MOST_BYTES: Final = 5 * 1024 * 1024  # of a page, as it comes and unpacked
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_ADDRESSES: Final = 4

Lookup = Callable[[str, int], Awaitable[list[str]]]


class Reply(NamedTuple):
    """What came back: from which URL, headers in lower case, the body unpacked; ``cut``: its beginning only."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool

    @property
    def moved_to(self) -> str | None:
        """Where a redirect points, as it says it; None when it is none."""
        return self.headers.get("location") if self.status in REDIRECTS else None


async def look_up(host: str, port: int) -> list[str]:
    """The addresses of ``host``, as texts. Raises OSError: it has none."""
    found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Outgoing(NamedTuple):
    """A request as it is sent: ``cut_at`` None wants the whole answer, else its first so many bytes."""

    method: str
    target: Target
    headers: Mapping[str, str]
    body: bytes | None
    cut_at: int | None


async def send(request: Outgoing, trusted: Collection[str], lookup: Lookup) -> Reply:
    """What came back; of a redirect the head only. ``trusted`` are places (host:port) that may be private.

    Raises: AddressRefused, ReplyRefused: for good. RequestFailed: not now, though it may have arrived.
    """
    target = request.target
    backend = _JudgedBackend(target, trusted, lookup)
    try:
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(
                httpcore2.AsyncConnectionPool(network_backend=backend, max_connections=1, retries=0)
            )
            response = await pool.handle_async_request(_as_sent(request))
            stack.push_async_callback(response.aclose)
            named = {
                name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers
            }
            if response.status in REDIRECTS:
                return Reply(target.url, response.status, named, b"", False)
            content, cut = await _read(response, named, request.cut_at)
    except (
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
        httpcore2.TimeoutException,
        OSError,
    ) as error:
        what = str(error) or type(error).__name__
        raise RequestFailed(f"{target.place}: {' '.join(what.split())[:200]}") from error
    return Reply(target.url, response.status, named, content, cut)


def _as_sent(request: Outgoing) -> httpcore2.Request:
    target, body = request.target, request.body
    headers = [
        ("host", target.authority),
        ("user-agent", USER_AGENT),
        *request.headers.items(),
        ("connection", "close"),
        *([("content-length", str(len(body)))] if body is not None else []),
    ]
    return httpcore2.Request(
        request.method,
        httpcore2.URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=target.port,
            target=target.path.encode(),
        ),
        headers=[(name.encode(), value.encode("latin-1")) for name, value in headers],
        content=body,
        extensions={"timeout": {"connect": CONNECT_WITHIN_S}},
    )


async def _read(
    response: httpcore2.Response, headers: Mapping[str, str], cut_at: int | None
) -> tuple[bytes, bool]:
    limit = MOST_BYTES if cut_at is None else cut_at
    unpack = _unpacker(headers.get("content-encoding", ""))
    content = bytearray()
    came = 0
    # A generator, though it is typed as an iterable.
    stream = aiter(cast("AsyncIterable[bytes]", response.stream))
    async with aclosing(cast("AsyncGenerator[bytes, None]", stream)) as chunks:
        async for chunk in chunks:
            came += len(chunk)
            # One byte more than the limit tells that there is more, and a small bomb never unfolds whole.
            content += unpack(chunk, limit + 1 - len(content))
            if came > limit or len(content) > limit:
                if cut_at is None:
                    raise ReplyRefused(f"the answer is larger than {MOST_BYTES // 1024 // 1024} MiB")
                return bytes(content[:limit]), True
    return bytes(content), False


def _unpacker(encoding: str) -> Callable[[bytes, int], bytes]:
    match encoding.strip().lower():
        case "" | "identity":
            return lambda chunk, room: chunk[:room]
        case "gzip" | "x-gzip" | "deflate":
            machine = zlib.decompressobj(wbits=47)  # 32 + 15: gzip or zlib, by its header

            def unpack(chunk: bytes, room: int) -> bytes:
                try:
                    return machine.decompress(chunk, max(room, 1))
                except zlib.error:
                    raise ReplyRefused("the answer is packed in a way that cannot be read") from None

            return unpack
        case other:
            raise ReplyRefused(f"the answer is packed as {other[:40]!r}, which was not asked for")


class _JudgedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that were judged, and to nothing else."""

    def __init__(self, target: Target, trusted: Collection[str], lookup: Lookup) -> None:
        self._target = target
        self._trusted = trusted
        self._lookup = lookup
        self._trio = httpcore2.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """A connection to the first judged address that takes one. Raises AddressRefused: one is not of the open net."""
        addresses = await self._judged(self._target.host, self._target.port)
        last: Exception | None = None
        for address in addresses[:_MOST_ADDRESSES]:
            try:
                # A literal address: nothing is looked up again between the judgement and the connection.
                return await self._trio.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        raise last or httpcore2.ConnectError(f"{host} has no address")

    async def _judged(self, host: str, port: int) -> list[str]:
        try:
            with trio.fail_after(CONNECT_WITHIN_S):
                addresses = await self._lookup(host, port)
        except (OSError, UnicodeError, trio.TooSlowError) as error:
            raise httpcore2.ConnectError(f"the name {host} leads nowhere") from error
        if self._target.place not in self._trusted:
            for address in addresses:
                try:
                    refuse_address(ipaddress.ip_address(address))
                except ValueError:
                    raise AddressRefused(f"{host} has an address that cannot be read") from None
        return addresses
