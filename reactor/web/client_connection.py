"""One connection of a client, as Hypercorn keeps it, at less cost for each request.

Hypercorn starts a task for every pause between two requests and leaves the last one to wait for its time when the client has
gone, so that clients who ask once and leave fill up the house. Here one task a connection waits, and ends with it. And what
belongs together goes out together: the head of an answer with the first of its body.
"""

import math
from collections.abc import Awaitable, Callable
from typing import Any, cast

import trio
from hypercorn.config import Config
from hypercorn.events import Event, RawData
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, TaskGroup

_HEAD = b"HTTP/1.1 "
_INFORMATIONAL = b"1"  # the first digit of what is no answer yet, and is waited for


class ClientConnection(TCPServer):
    """To be awaited: from the first request to the end of the connection, whoever ends it."""

    def __init__(
        self, app: AppWrapper, config: Config, context: WorkerContext, stream: trio.SocketStream
    ) -> None:
        super().__init__(app, config, context, ConnectionState({}), cast("Any", stream))
        self._idle = _IdleTimer(config.keep_alive_timeout, context.terminated.wait)
        self.idle_task = cast("Any", self._idle)
        self._head = b""

    async def protocol_send(self, event: Event) -> None:
        """``event`` is done, but for the head of an answer, which waits for what comes next."""
        if isinstance(event, RawData):
            data = self._head + event.data
            is_head = data.startswith(_HEAD) and not data.startswith(_INFORMATIONAL, len(_HEAD))
            if is_head and not self._head:
                self._head = data
                return
            self._head = b""
            if data:
                await super().protocol_send(RawData(data))
            return
        await super().protocol_send(event)

    async def _read_data(self) -> None:
        await super()._read_data()
        self._idle.end()

    async def _idle_timeout(self) -> None:
        with trio.CancelScope(shield=True):
            await self._initiate_server_close()


class _IdleTimer:
    """Ends a connection that was idle for ``after_s``, or is idle when ``told_to_end`` returns; Hypercorn's `SingleTask`."""

    def __init__(self, after_s: float, told_to_end: Callable[[], Awaitable[None]]) -> None:
        self._after_s = after_s
        self._told_to_end = told_to_end
        self._until = math.inf  # while a request is answered
        self._scope: trio.CancelScope | None = None
        self._over = False

    async def restart(self, task_group: TaskGroup, action: Callable[[], Awaitable[None]]) -> None:
        """The connection is idle from now on; ``action`` ends it."""
        self._until = trio.current_time() + self._after_s
        if self._scope is None:
            self._scope = trio.CancelScope()
            task_group.spawn(self._run, action)
        self._scope.deadline = self._until

    async def stop(self) -> None:
        """The connection is not idle any more."""
        self._until = math.inf
        if self._scope is not None:
            self._scope.deadline = math.inf

    def end(self) -> None:
        """The client has gone: nothing is waited for."""
        self._over = True
        if self._scope is not None:
            self._scope.cancel()

    async def _run(self, end_connection: Callable[[], Awaitable[None]]) -> None:
        while not self._over:
            with trio.CancelScope(deadline=self._until) as self._scope:
                await self._told_to_end()
                if self._until == math.inf:
                    return  # it is closed behind its answer
            if self._until < math.inf and not self._over:
                await end_connection()
                return
