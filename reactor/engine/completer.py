"""Writes outcomes: one at once while the reactor is idle, many together while it is busy.

What handlers leave is put into a bounded buffer. All that lies there is written in one transaction; what arrives meanwhile
is the next batch, so batches grow with the load by themselves. A second transaction goes beside the first once half a
batch lies there: one is made up while the other waits for the disk, and a row that a hand in psql has locked holds few
others up. A full buffer holds the handlers up, never the memory. When a commit breaks, nobody knows whether it happened: the
rows are looked up under their tokens, and only what is still running is written again.
"""

from collections import deque
from collections.abc import Callable
from typing import NoReturn

import structlog
import trio

from reactor.errors import AccessDenied, DatabaseError, PoolTimeout
from reactor.model.backoff import delay
from reactor.model.queues import Queue
from reactor.pg import Pool
from reactor.store import queues
from reactor.store.queues import Interruption, Settlement, Success

log = structlog.get_logger()

BATCH = 500  # outcomes in one transaction
UNWRITTEN = 2000  # outcomes held in memory before handlers have to wait
AT_ONCE = 2  # transactions
HALF = 250  # outcomes that are worth a transaction beside another, or no wait for company
GATHER_S = 0.002  # while more is coming, how long fewer wait for company
RETRY_BASE_S = 0.1
RETRY_CAP_S = 2.0
REASON_BYTES = 4000

Item = Success | Settlement | Interruption


class Completer:
    """The outcomes of one queue on their way to the database."""

    def __init__(
        self,
        queue: Queue,
        pool: Pool,
        *,
        chance: Callable[[], float],
        written: Callable[[list[Item]], None],
        more_coming: Callable[[], bool],
    ) -> None:
        self.queue = queue
        self.fenced_out = 0
        self._pool = pool
        self._chance = chance
        self._written = written
        self._more_coming = more_coming
        self._items: deque[Item] = deque()
        self._writing: list[int] = []  # how many are in each transaction under way
        self._worthwhile = trio.Event()
        self._room = trio.Event()
        self._flushed = trio.Event()
        self._flushed.set()

    @property
    def unwritten(self) -> int:
        """Outcomes not yet committed."""
        return len(self._items) + sum(self._writing)

    @property
    def crowded(self) -> bool:
        """Whether handlers should wait for room before they begin anything else."""
        return len(self._items) >= UNWRITTEN

    def put(self, item: Item) -> None:
        """Hand over one outcome; it is written soon."""
        self._items.append(item)
        if not self._writing or len(self._items) == HALF:
            self._worthwhile.set()

    async def room(self) -> None:
        """Return when there is room in the buffer."""
        while self.crowded:
            self._room = trio.Event()
            await self._room.wait()

    async def flush(self) -> None:
        """Return when everything put so far is committed."""
        while self.unwritten:
            self._flushed = trio.Event()
            await self._flushed.wait()

    async def run(self) -> NoReturn:
        """Write for ever.

        Cancellation: what is unwritten stays running in the database, under its token; call `flush` before.
        """
        async with trio.open_nursery() as nursery:
            while True:
                while not self._may_begin():
                    self._worthwhile = trio.Event()
                    await self._worthwhile.wait()
                if len(self._items) < HALF and self._more_coming():
                    await trio.sleep(GATHER_S)
                batch = [self._items.popleft() for _ in range(min(BATCH, len(self._items)))]
                self._writing.append(len(batch))
                nursery.start_soon(self._write, batch)
        raise AssertionError("the loop never ends")

    def _may_begin(self) -> bool:
        """Whether to begin a transaction now: the first for anything, one beside it for half a batch."""
        if not self._writing:
            return bool(self._items)
        return len(self._writing) < AT_ONCE and len(self._items) >= HALF

    async def _write(self, batch: list[Item]) -> None:
        await self._write_for_certain(batch)
        self._writing.remove(len(batch))
        self._worthwhile.set()
        self._room.set()
        if not self.unwritten:
            self._flushed.set()
        self._written(batch)

    async def _write_for_certain(self, batch: list[Item]) -> None:
        """The batch is committed, or what of it was no longer ours is dropped. Tries for ever."""
        failures = 0
        in_doubt = False
        while batch:
            try:
                async with self._pool.connection() as conn:
                    if in_doubt:
                        held = [(item.id, item.token) for item in batch]
                        finished = await queues.finished_under(conn, self.queue, held)
                        batch = [item for item in batch if item.id not in finished]
                        in_doubt = False
                    done, settled = await queues.finish(
                        conn,
                        self.queue,
                        [item for item in batch if isinstance(item, Success)],
                        [item for item in batch if isinstance(item, Settlement)],
                        [item for item in batch if isinstance(item, Interruption)],
                    )
                self._note_fenced_out(batch, done | settled.keys())
                if failures:
                    log.info("completions_go_on", queue=self.queue.value)
                return
            except DatabaseError as error:
                if not error.transient and not isinstance(error, AccessDenied):  # a password is put right
                    await self._write_one_by_one(batch, error)
                    return
                in_doubt = in_doubt or not isinstance(error, PoolTimeout)
                if not failures:  # one line when it begins, one when it is over
                    log.warning(
                        "completions_delayed",
                        queue=self.queue.value,
                        unwritten=self.unwritten,
                        reason=str(error),
                    )
            await trio.sleep(delay(failures, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S, chance=self._chance()))
            failures += 1

    async def _write_one_by_one(self, batch: list[Item], error: DatabaseError) -> None:
        """Somebody's outcome is refused by the database: it alone fails, with the database's reason."""
        if len(batch) > 1:
            for item in batch:
                await self._write_for_certain([item])
            return
        [item] = batch
        reason = f"the result could not be stored: {error}"[:REASON_BYTES]
        if isinstance(item, Settlement) and item.reason == reason:
            log.error("outcome_refused", queue=self.queue.value, id=item.id, reason=str(error))
            return
        log.warning("result_refused", queue=self.queue.value, id=item.id, reason=str(error))
        await self._write_for_certain(
            [Settlement(item.id, item.token, item.mission_id, "failed", 0, 0.0, reason)]
        )

    def _note_fenced_out(self, batch: list[Item], written: set[int]) -> None:
        if len(written) == len(batch):
            return
        for item in batch:
            if item.id not in written:
                self.fenced_out += 1
                log.info("late_result_fenced_out", queue=self.queue.value, id=item.id)
