"""The terms on which reactors share one database, as this process last read them.

``limited`` names the queues whose running rows are counted over all reactors: claims of those take the slower way that
counts. ``outdated`` is set for ever once the database asks for a newer generation of the program than this one: the process
drains and leaves. Both are read at the start, on a word, whenever the listener hears again, and come with every beat.
"""

from typing import NoReturn

import structlog
import trio

from reactor.errors import DatabaseError
from reactor.model.queues import Queue
from reactor.pg import Pool
from reactor.store import terms as store

log = structlog.get_logger()

LOOK_AGAIN_S = 1.0


class Terms:
    """``limited`` and ``outdated`` as above; ``reason`` says why the process has to leave."""

    def __init__(self, pool: Pool, generation: int) -> None:
        self.limited: frozenset[Queue] = frozenset()
        self.outdated = trio.Event()
        self.reason: str | None = None
        self._pool = pool
        self._generation = generation
        self._stale = trio.Event()

    def invalidate(self) -> None:
        """The terms may have changed: ask again."""
        self._stale.set()

    def note(self, found: store.Terms) -> None:
        """These are the terms now."""
        if found.limited != self.limited:
            log.info("limited_queues", queues=sorted(found.limited))
            self.limited = found.limited
        if found.minimum > self._generation and not self.outdated.is_set():
            self.reason = (
                f"this database asks for generation {found.minimum} of voxyz-reactor and this is"
                f" {self._generation}{f' ({found.reason})' if found.reason else ''}: install the newer one"
            )
            log.warning("outdated", reason=self.reason)
            self.outdated.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Keep the terms current for ever; started when they were read once."""
        while True:
            self._stale = trio.Event()
            try:
                async with self._pool.connection() as conn:
                    self.note(await store.terms(conn))
            except DatabaseError as error:
                log.debug("terms_unknown", reason=str(error))
                await trio.sleep(LOOK_AGAIN_S)
                continue
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            await self._stale.wait()
