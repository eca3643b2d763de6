"""Gives back what dead processes had running.

A living process holds a lock, shared, on its connections; a peer that gets this lock for itself has found a dead one, or one
whose lines were all cut this instant and which is about to come back: so it is looked at a second time. Whoever buries it
first gives its rows back and rings all queues; the lock is his until that is committed, so that a process which comes back
too late finds out before it does anything else. Nobody ever waits long for such a lock.

Whoever has lost all his own lines rescues nobody for a while: after a failover everybody looks dead.
"""

from collections.abc import Callable, Collection
from uuid import UUID

import structlog
import trio

from reactor.errors import DatabaseError
from reactor.model.queues import Queue
from reactor.pg import Pool
from reactor.store.rescue import rescue

log = structlog.get_logger()

LOOK_TWICE_S = 0.25
TRUST_PEERS_ARE_DEAD_AFTER_S = 10.0  # with a connection again


class Rescuer:
    """``rescued`` counts the rows given back by this process, by queue; ``in_touch``: we have not just lost our own line."""

    def __init__(self, pool: Pool, in_touch: Callable[[], bool]) -> None:
        self.rescued = dict.fromkeys(Queue, 0)
        self._pool = pool
        self._in_touch = in_touch
        self._trusts_from = 0.0

    def lost_everything(self) -> None:
        """For a while now, who looks dead need not be."""
        self._trusts_from = trio.current_time() + TRUST_PEERS_ARE_DEAD_AFTER_S

    async def found_dead(self, dead: Collection[UUID]) -> None:
        """Those who are still dead a moment later are buried and their rows run again; the next look finds what fails."""
        await trio.sleep(LOOK_TWICE_S)
        if trio.current_time() < self._trusts_from or not self._in_touch():
            return
        for worker in dead:
            try:
                async with self._pool.connection() as conn:
                    counts = await rescue(conn, worker)
            except DatabaseError as error:
                log.warning("rescue_delayed", dead=str(worker), reason=str(error))
                continue
            if counts is not None:
                for queue, rows in counts.items():
                    self.rescued[queue] += rows
                log.info("rescued", dead=str(worker), rows=sum(counts.values()))
