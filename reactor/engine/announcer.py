"""Telling those who watch that there are new events.

A notification takes a lock of the whole cluster at its commit, so it is sent beside the work, never in it: at most 20 a
second from this process, and none while ``ops_workers`` shows nobody who watches. It goes over the listener's own
connection. Whoever gives a connection of the pool back may have written events; that is all that is asked. One look too
many costs a watcher one indexed read.
"""

from collections.abc import Callable
from typing import Final, NoReturn

import structlog
import trio

from reactor.errors import DatabaseError
from reactor.pg import Connection
from reactor.store import viewers

log = structlog.get_logger()

GAP_S: Final = 0.05  # 20 a second


class Announcer:
    """``watched``: somebody looks at the stream, here or at a peer. ``connection``: the one that listens, if any."""

    def __init__(self, connection: Callable[[], Connection | None]) -> None:
        self.watched = False
        self.sent = 0
        self._connection = connection
        self._news = trio.Event()

    def written(self) -> None:
        """There may be new events; never fails, costs nothing while nobody watches."""
        if self.watched:
            self._news.set()

    async def run(self) -> NoReturn:
        """Announce for ever; what cannot be sent is not: watchers also look by themselves."""
        while True:
            await self._news.wait()
            self._news = trio.Event()
            conn = self._connection()
            if conn is not None:
                try:
                    await viewers.announce(conn)
                    self.sent += 1
                except DatabaseError as error:
                    log.debug("events_not_announced", reason=str(error))
            await trio.sleep(GAP_S)
