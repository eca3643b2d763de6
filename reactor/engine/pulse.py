"""The second sign of life of a process whose connections for work cannot hold a lock.

A process is dead when none of its liveness locks is left. The listener holds one; the connections for work hold the others,
but not behind a transaction-pooling proxy. There one more connection does nothing else, so that the loss of the listener
alone kills nobody.
"""

from typing import NoReturn

import structlog
import trio

from reactor.engine.connections import Sessions
from reactor.errors import DatabaseError
from reactor.pg import ListeningConnection
from reactor.pg.reconnecting import Reconnecting

log = structlog.get_logger()


class Pulse:
    """Keeps that connection where it is needed."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def run(self) -> NoReturn:
        """Keep it for ever; where the connections for work hold the lock, it is never opened."""
        if self._sessions.work_holds_locks:
            await trio.sleep_forever()
        connections: Reconnecting[ListeningConnection] = Reconnecting(self._open)
        while True:
            conn = await connections.open()
            try:
                while True:
                    await conn.next_batch()  # it listens to nothing: this waits for the end of the connection
            except DatabaseError as error:
                log.debug("pulse_lost", reason=str(error))
            finally:
                await conn.aclose()

    async def _open(self) -> ListeningConnection:
        conn = await self._sessions.open("pulse")
        await self._sessions.live(conn)
        return conn
