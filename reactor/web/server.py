"""HTTP on sockets that are open already: Hypercorn's protocol, in a loop of our own.

The loop is ours for three reasons. What a connection raises must not reach the reactor, so it is caught here. A client
that reads nothing holds a shielded send, which no cancellation ends: so at the end the sockets are closed under it. And
connections are counted: beyond the most there may be, the next one is closed at once.
"""

import socket
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, NoReturn, cast

import structlog
import trio
from hypercorn.config import Config
from hypercorn.logging import Logger
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework
from hypercorn.utils import wrap_app
from starlette.types import ASGIApp

from reactor.web.client_connection import ClientConnection

log = structlog.get_logger()

MOST_CONNECTIONS = 500
KEEP_ALIVE_S = 20.0  # somewhat over the usual 15 s between two scrapes
DEAD_AFTER_MS = 30_000  # a peer that acknowledges nothing for so long is gone
ENDS_WITHIN_S = 0.5


# Closes the connection that a request came on, whatever its client does: for a route whose client reads nothing.
cut_off: ContextVar[Callable[[], None]] = ContextVar("cut_off")


class _Log(Logger):
    """Hypercorn's complaints as ours; who asked for what is nobody's business."""

    def __init__(self, config: Config) -> None:
        self.access_logger = None
        self.error_logger = None

    async def exception(self, message: str, *_args: Any, **_named: Any) -> None:
        """A route raised; the client has got a 500."""
        log.error("request_failed", exc_info=True)

    async def warning(self, message: str, *_args: Any, **_named: Any) -> None:
        """Something odd about a connection."""
        log.debug("http_warning", reason=message)


def _config(keep_alive_s: float) -> Config:
    config = Config()
    config.logger_class = _Log
    config.include_server_header = False
    config.keep_alive_timeout = keep_alive_s
    return config


class Server:
    """Serves one application on some sockets."""

    def __init__(
        self, app: ASGIApp, *, most: int = MOST_CONNECTIONS, keep_alive_s: float = KEEP_ALIVE_S
    ) -> None:
        self._config = _config(keep_alive_s)
        self._app = wrap_app(cast("ASGIFramework", app), self._config.wsgi_max_body_size, "asgi")
        self._context = WorkerContext(None)
        self._most = most
        self._open: set[trio.SocketStream] = set()
        self._none_open = trio.Event()

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._open)

    async def run(
        self,
        sockets: Sequence[socket.socket],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> NoReturn:
        """Serve for ever.

        Cancellation: within 1 s every connection and all ``sockets`` are closed, whatever their clients do.
        """
        listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(one)) for one in sockets]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cut_off_at_the_end)
            task_status.started()
            await trio.serve_listeners(self._one, listeners, handler_nursery=nursery)
        raise AssertionError("listeners never stop by themselves")

    async def _one(self, stream: trio.SocketStream) -> None:
        """One connection from its beginning to its end. What it raises ends it, and nothing else."""
        if len(self._open) >= self._most:
            await trio.aclose_forcefully(stream)
            log.warning("connection_refused", reason=f"{self._most} are open already")
            return
        if not self._open:
            self._none_open = trio.Event()
        self._open.add(stream)
        try:
            _expect_answers(stream)
            cut_off.set(stream.socket.close)
            await ClientConnection(self._app, self._config, self._context, stream)
        except* Exception as errors:
            log.debug("connection_broken", reason=repr(errors.exceptions[0]))
        finally:
            self._open.discard(stream)
            stream.socket.close()
            if not self._open:
                self._none_open.set()

    async def _cut_off_at_the_end(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            await self._context.terminated.set()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + ENDS_WITHIN_S):
                if self._open:
                    await self._none_open.wait()
            for stream in list(self._open):
                stream.socket.close()


def _expect_answers(stream: trio.SocketStream) -> None:
    """A peer that vanished is noticed, also while it has nothing to read."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER_MS)
