"""Hearing NOTIFY on a connection that also answers statements.

`AsyncConnection.notifies` holds the connection's lock while it waits, and leaving it early breaks that lock.
Here the waiting happens outside the lock: `ListeningConnection.next_batch` watches the socket only while no
statement runs, a statement takes the socket away from it (see `TrioConnection.wait`), and whatever
notifications arrive between the lines of an answer are collected by a handler. After every statement the
watcher looks once more, so nothing is left lying in libpq's buffer while the socket stays silent.
"""

from collections import deque
from dataclasses import dataclass

import trio
from psycopg import sql
from psycopg.pq.abc import PGconn
from trio.lowlevel import wait_readable

from reactor.errors import ConnectionLost
from reactor.pg.connection import QUIET_SESSION, Connection, Settings, connect_as


@dataclass(frozen=True, slots=True)
class Notification:
    """One NOTIFY heard: its channel, its payload (empty when it had none), the backend that sent it."""

    channel: str
    payload: str
    pid: int


class ListeningConnection(Connection):
    """A connection that hears. One task calls `next_batch`; any task may run statements meanwhile."""

    def __init__(self, pgconn: PGconn) -> None:
        super().__init__(pgconn)
        self._heard: deque[Notification] = deque()
        self.add_notify_handler(lambda n: self._heard.append(Notification(n.channel, n.payload, n.pid)))

    async def listen(self, *channels: str) -> None:
        """From its return on, every NOTIFY committed on ``channels`` will be heard."""
        for channel in channels:
            await self.run(sql.SQL("listen {}").format(sql.Identifier(channel)).as_string(self))

    async def next_batch(self) -> list[Notification]:
        """Wait for notifications; all that have arrived, in order, at least one.

        Raises: ConnectionLost: the server is gone; what it had delivered was returned before.
        Cancellation: none is lost, the next call returns them.
        """
        await trio.lowlevel.checkpoint()  # a flood of notifications must not starve the other tasks
        while not self._heard:
            async with self.lock:  # behind the statement that is running, if one is
                self._read()
            if (
                not self._heard and not self.lock.locked()
            ):  # else handed on to the next statement in the queue
                await self._readable()
        batch = list(self._heard)
        self._heard.clear()
        return batch

    def _read(self) -> None:
        if self.closed and not self._heard:
            raise ConnectionLost("the connection to the database is closed")
        try:
            self.read_unasked()
        except ConnectionLost:
            if not self._heard:
                raise

    async def _readable(self) -> None:
        """Wait until the socket has something to read, or until a statement needs the socket."""
        with trio.CancelScope() as self._watch:
            try:
                await wait_readable(self.pgconn.socket)
            except (OSError, trio.ClosedResourceError):
                raise ConnectionLost("the connection to the database was closed") from None
            finally:
                self._watch = None


async def open_listener(
    dsn: str,
    *,
    name: str,
    timeout_s: float = 10.0,
    settings: Settings | None = QUIET_SESSION,
    ours: bool = False,
) -> ListeningConnection:
    """A connection that can `ListeningConnection.listen`; otherwise as `connect`."""
    return await connect_as(
        ListeningConnection, dsn, name=name, timeout_s=timeout_s, settings=settings, ours=ours
    )
