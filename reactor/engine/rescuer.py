"""Gives back what dead processes had running.

A living process holds a lock, shared, on its connections; the beat of a peer that gets this lock for itself has found a
dead one. Whoever buries it first gives its rows back and rings all queues. Nobody ever waits for such a lock.
"""

import structlog

from reactor.errors import DatabaseError
from reactor.model.queues import Queue
from reactor.pg import Pool
from reactor.store.rescue import rescue
from reactor.store.workers import Beat

log = structlog.get_logger()


class Rescuer:
    """``rescued`` counts the rows given back by this process, by queue."""

    def __init__(self, pool: Pool) -> None:
        self.rescued = dict.fromkeys(Queue, 0)
        self._pool = pool

    async def found_dead(self, beat: Beat) -> None:
        """The dead of this beat are buried and their rows run again; what fails is found again by the next beat."""
        for worker in beat.dead:
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
