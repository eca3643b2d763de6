"""The kill switch: which queues are paused, and what that means for rows already read ahead.

The claim itself looks at the pauses, so nothing is claimed once a pause is committed, heard of or not. What this role adds
is speed: rows read ahead go back at once, and whoever asks ``paused`` need not ask the database.
"""

from collections.abc import Callable
from typing import NoReturn

import structlog
import trio

from reactor.errors import DatabaseError
from reactor.model.queues import Queue
from reactor.pg import Pool
from reactor.store import pauses

log = structlog.get_logger()

LOOK_AGAIN_S = 1.0


class Pauses:
    """``paused`` holds the queues that take no row, as last read."""

    def __init__(self, pool: Pool, changed: Callable[[frozenset[Queue]], None]) -> None:
        self.paused: frozenset[Queue] = frozenset()
        self._pool = pool
        self._changed = changed
        self._stale = trio.Event()

    def invalidate(self) -> None:
        """Somebody paused or resumed something: ask again."""
        self._stale.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Keep ``paused`` current for ever; started when it was read once."""
        while True:
            self._stale = trio.Event()
            try:
                async with self._pool.connection() as conn:
                    paused = await pauses.paused(conn)
            except DatabaseError as error:
                log.debug("pauses_unknown", reason=str(error))
                await trio.sleep(LOOK_AGAIN_S)
                continue
            if paused != self.paused:
                for queue in sorted(paused ^ self.paused):
                    log.info("paused" if queue in paused else "resumed", queue=queue.value)
                self.paused = paused
                self._changed(paused)
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            await self._stale.wait()
