"""Connections for a thousand calls at once.

The HTTP library's own way from a request to the wire and back is made for everything HTTP can do, and costs a millisecond
and a half a call; a thousand calls that begin together then wait for each other longer than for the model. Here is the
short way for what the Messages API is: one whole request, one whole answer, over HTTP/1.1. `h11` keeps to the protocol, trio
has the sockets. Whatever is not like that (a redirect, a stream, a proxy) goes the library's way.
"""

import ssl
from collections import deque
from dataclasses import dataclass
from typing import Any, Final
from urllib.request import getproxies

import h11
import httpx2
import trio
from anthropic import DefaultAsyncHttpxClient

# What is kept open when nobody uses it: how many, and for how long.
_KEPT: Final = 64
_KEPT_S: Final = 5.0
# Far beyond any answer; whoever says more is no model.
_MOST_BYTES: Final = 32 * 1024 * 1024
_READ_BYTES: Final = 65_536

_Origin = tuple[bytes, bytes, int | None]


@dataclass(slots=True)
class _Line:
    """A connection that no call is using, or one is."""

    stream: trio.abc.Stream
    socket: trio.SocketStream
    state: h11.Connection
    unused_since: float = 0.0

    def hung_up(self) -> bool:
        """The other side has ended it, or says something although nobody asked."""
        return self.socket.socket.is_readable()

    def close(self) -> None:
        """It is ended, without a farewell: all that matters has been said."""
        self.socket.socket.close()


class Lines(httpx2.AsyncBaseTransport):
    """As many connections as calls at once need; those that calls have left are used first."""

    def __init__(self) -> None:
        self._trust = (
            httpx2.create_ssl_context()
        )  # reading the authorities takes 40 ms: once for all connections
        self._trust.set_alpn_protocols(["http/1.1"])
        self._idle: dict[_Origin, deque[_Line]] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The whole response.

        Raises: an `httpx2.TransportError`.
        Cancellation: the connection is closed; whether the request was heard is not known.
        """
        url = request.url
        origin = (url.raw_scheme, url.raw_host, url.port)
        line = self._unused(origin) or await self._open(request)
        try:
            response = await _exchange(line, request)
        except BaseException:
            line.close()
            raise
        self._put_back(origin, line)
        return response

    async def aclose(self) -> None:
        """All unused connections are closed."""
        for lines in self._idle.values():
            while lines:
                lines.pop().close()

    def _unused(self, origin: _Origin) -> _Line | None:
        lines = self._idle.get(origin)
        while lines:
            line = lines.pop()
            if trio.current_time() - line.unused_since < _KEPT_S and not line.hung_up():
                return line
            line.close()
        return None

    def _put_back(self, origin: _Origin, line: _Line) -> None:
        if line.state.our_state is not h11.DONE or line.state.their_state is not h11.DONE:
            line.close()
            return
        line.state.start_next_cycle()
        line.unused_since = now = trio.current_time()
        lines = self._idle.setdefault(origin, deque())
        lines.append(line)
        while len(lines) > _KEPT or now - lines[0].unused_since >= _KEPT_S:
            lines.popleft().close()

    async def _open(self, request: httpx2.Request) -> _Line:
        url = request.url
        host = url.raw_host.decode("ascii")
        secure = url.scheme == "https"
        try:
            with trio.fail_after(_seconds(request, "connect")):
                socket = await trio.open_tcp_stream(host, url.port or (443 if secure else 80))
                stream = (
                    await self._secured(socket, request.extensions.get("sni_hostname", host))
                    if secure
                    else socket
                )
        except trio.TooSlowError as error:
            raise httpx2.ConnectTimeout("no connection in time", request=request) from error
        except (OSError, trio.BrokenResourceError) as error:
            raise httpx2.ConnectError(str(error), request=request) from error
        return _Line(stream, socket, h11.Connection(h11.CLIENT))

    async def _secured(self, socket: trio.SocketStream, name: str) -> trio.abc.Stream:
        stream = trio.SSLStream(socket, self._trust, server_hostname=name, https_compatible=True)
        try:
            await stream.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return stream


async def _exchange(line: _Line, request: httpx2.Request) -> httpx2.Response:
    state = line.state
    content = await request.aread()
    try:
        head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
        said = [state.send(head), state.send(h11.Data(content)), state.send(h11.EndOfMessage())]
        with trio.fail_after(_seconds(request, "read")):
            await line.stream.send_all(b"".join(part for part in said if part))
            return await _response(line, request)
    except trio.TooSlowError as error:
        raise httpx2.ReadTimeout("no answer in time", request=request) from error
    except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError) as error:
        raise httpx2.ReadError(str(error), request=request) from error
    except h11.RemoteProtocolError as error:
        raise httpx2.RemoteProtocolError(str(error), request=request) from error
    except h11.LocalProtocolError as error:
        raise httpx2.LocalProtocolError(str(error), request=request) from error


async def _response(line: _Line, request: httpx2.Request) -> httpx2.Response:
    head: h11.Response | None = None
    body = bytearray()
    while True:
        event = line.state.next_event()
        if event is h11.NEED_DATA:
            line.state.receive_data(bytes(await line.stream.receive_some(_READ_BYTES)))
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _MOST_BYTES:
                raise h11.RemoteProtocolError("the answer does not end")
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return httpx2.Response(
                head.status_code, headers=head.headers.raw_items(), content=bytes(body), request=request
            )
        elif not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("hung up without an answer")


def _seconds(request: httpx2.Request, what: str) -> float:
    limits: dict[str, Any] = request.extensions.get("timeout", {})
    limit_s = limits.get(what)
    return float("inf") if limit_s is None else float(limit_s)


class ShortWay(DefaultAsyncHttpxClient):
    """The client below the SDK: sends a whole request for a whole answer by `Lines` and nothing between."""

    def __init__(self) -> None:
        self._lines = Lines()
        super().__init__(transport=self._lines)

    def build_request(self, method: str, url: Any, **given: Any) -> httpx2.Request:
        """The request as the SDK has made it up already: nothing of the client's own is added to a plain one."""
        if given.get("content") is None or any(given.get(part) for part in ("params", "files", "cookies")):
            return super().build_request(method, url, **given)
        limits = given.get("timeout")
        extensions = dict(given.get("extensions") or {})
        if isinstance(limits, httpx2.Timeout):
            extensions["timeout"] = limits.as_dict()
        return httpx2.Request(
            method, url, content=given["content"], headers=given.get("headers"), extensions=extensions
        )

    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """The response to ``request``. Raises: an `httpx2.TransportError`."""
        if not stream and not self.is_closed:
            response = await self._lines.handle_async_request(request)
            if not response.has_redirect_location:
                return response
        return await super().send(request, stream=stream, **options)


def http_client() -> httpx2.AsyncClient | None:
    """The client below the SDK; None, the SDK's own, where the environment asks for a proxy."""
    if {"http", "https", "all"} & getproxies().keys():
        return None
    return ShortWay()
