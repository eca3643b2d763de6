"""Claims for one queue: how many, from where in the index, and what a broken claim left behind.

A claim reads the left end of an index that holds only claimable rows. Entries of rows just claimed stay there until
vacuum may remove them, and somebody's long transaction forbids that: then every claim wades through all of them. So while
claims come back full, the next one starts where the last stopped, priority by priority. That place is a hint only: what is
inserted before it (more urgent, or due earlier but committed late) is found by a scan from the top, which comes before
every sleep and once a second when busy, and takes at most a tenth of the time.

A claim's commit does not wait for the disk, nor for a replica: between an insert and its handler there is one such wait, the
writer's own. A server that crashes within about half a second may forget the claim; then the row is queued again, as after a
crash of ours, and what was begun is fenced out. A completion waits, and what it waits for has its claim before it.

A trigger or a constraint of somebody's own may refuse one row, and a claim is one statement: it is refused with all rows
beside it. Then they are claimed one by one. When others can be, the fault is that row's: it fails with the refusal as its
reason. One that refuses this change too is passed over, claim after claim, until it no longer does; while every row is
refused the fault may be anybody's, and all of them wait.
"""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID, uuid4

import structlog
import trio

from reactor.errors import AccessDenied, DatabaseError, PoolTimeout
from reactor.model.queues import Queue
from reactor.pg import Connection, Pool
from reactor.store import queues, refusals, steps
from reactor.store.claimed import ClaimedRow
from reactor.store.queues import Place, Taker

log = structlog.get_logger()

FROM_THE_TOP_S = 1.0  # when busy, how often to look for rows before the remembered places
SHARE_OF_TIME = 0.1  # what scans from the top may take at most
LONGEST_PAUSE_S = 10.0  # between two of them, however long one took
SLOW_S = 0.25  # a claim takes a few milliseconds; one that takes this long waits for something
SLOW_KEPT = 5


class SlowClaim(NamedTuple):
    """A claim the database took long over: when (UTC, ISO 8601), for how long, how many rows it found."""

    at: str
    queue: str
    took_s: float
    rows: int


class Claimer:
    """The claims of one queue."""

    def __init__(
        self,
        queue: Queue,
        pool: Pool,
        taker: Callable[[], Taker],
        *,
        limited: Callable[[], bool] = lambda: False,
        held: Callable[[], list[tuple[int, UUID]]] = list,
    ) -> None:
        self.queue = queue
        self.claims = 0
        self.empty_claims = 0
        self.slow: deque[SlowClaim] = deque(maxlen=SLOW_KEPT)
        self.refusal: str | None = None  # the database's words, while it refuses some row or all
        self._pool = pool
        self._taker = taker
        self._limited = limited
        self._held = held
        self._all_counted = False  # whether all we hold counts against the limit
        self._places: dict[int, Place] = {}
        self._remembers = queues.claims_from_places(queue)
        self._top_due = 0.0
        self._top_allowed = 0.0
        self._cost_s = 0.0  # of the last claim that was answered
        self._in_doubt: list[UUID] = []
        self._passed_over: dict[int, str] = {}  # rows that refuse any change, and why

    def may_take_something(self) -> bool:
        """Whether there is any kind whose services are open."""
        return bool(self._taker().kinds)

    async def claim(self, limit: int) -> tuple[list[ClaimedRow], UUID, bool]:
        """Up to ``limit`` rows, the token they are under, and whether that was all there is now.

        Raises: DatabaseError: nothing is known to be claimed; a claim in doubt is undone by the next call.
        Cancellation: must not happen; callers shield it.
        """
        now = trio.current_time()
        # A limited claim may have waited for its turn: its time says nothing about the scan.
        if self._places and now < self._top_due and not self._limited():
            rows, token, full = await self._ask(limit, list(self._places.values()))
            if full or (rows and trio.current_time() < self._top_allowed):
                return rows, token, False
            if rows:
                self._top_due = 0.0  # the places are used up: next time from the top
                return rows, token, False
            await trio.sleep_until(self._top_allowed)
        return await self.claim_from_the_top(limit)

    async def claim_from_the_top(self, limit: int) -> tuple[list[ClaimedRow], UUID, bool]:
        """As `claim`, from the left end of the index: if this finds too few, there are no more."""
        self._places.clear()
        rows, token, full = await self._ask(limit, [])
        ended_at = trio.current_time()
        pause_s = self._cost_s * (1 / SHARE_OF_TIME - 1)
        self._top_allowed = ended_at + min(pause_s, LONGEST_PAUSE_S)
        self._top_due = max(ended_at + FROM_THE_TOP_S, self._top_allowed)
        if not full:
            self._places.clear()
        return rows, token, not full

    async def next_due(self) -> float | None:
        """Seconds until the next row is due that we may take; None when there is none."""
        async with self._pool.connection() as conn:
            return await queues.next_due(conn, self.queue, self._taker())

    async def begin_missions(self, rows: list[ClaimedRow]) -> None:
        """The missions whose first steps these are, are running."""
        missions = {row.mission_id for row in rows if row.mission_id is not None and row.attempt == 1}
        if missions:
            async with self._pool.connection() as conn:
                await steps.begin_missions(conn, missions)

    async def _ask(self, limit: int, places: list[Place]) -> tuple[list[ClaimedRow], UUID, bool]:
        """The rows, their token, and whether they are as many as one claim may take."""
        if self._passed_over:
            return await self._ask_singly(limit)
        try:
            return await self._ask_at_once(limit, places)
        except DatabaseError as error:
            if error.transient or isinstance(error, AccessDenied):
                raise
            self._places.clear()
            self.refusal = str(error)
            return await self._ask_singly(limit, error)

    async def _ask_singly(
        self, limit: int, refusal: DatabaseError | None = None
    ) -> tuple[list[ClaimedRow], UUID, bool]:
        """As `_ask`, past the rows that are refused. Raises: DatabaseError: every row is, not only some."""
        token = uuid4()
        try:
            async with self._pool.connection() as conn:
                limited = await self._begin(conn)
                rows, refused = await refusals.claim_singly(
                    conn, self.queue, self._taker(), token=token, limit=limit, limited=limited
                )
        except PoolTimeout:
            raise
        except DatabaseError:
            self._in_doubt.append(token)
            raise
        self._passed_over = {one.id: one.reason for one in refused if one.id in self._passed_over}
        others = [one for one in refused if one.id not in self._passed_over]
        if not rows and (others or refusal is not None):
            raise refusal or DatabaseError(others[0].reason)
        for one in others:
            if not await self._fails(one):
                self._passed_over[one.id] = one.reason
        self.refusal = next(iter(self._passed_over.values()), None)
        return rows, token, len(rows) == min(limit, refusals.AT_ONCE)

    async def _fails(self, refused: refusals.Refused) -> bool:
        """The row has failed with its reason; False when it cannot even do that."""
        failed = True
        try:
            async with self._pool.connection() as conn:
                await refusals.fail(conn, self.queue, refused)
        except DatabaseError as error:
            if error.transient or isinstance(error, AccessDenied):
                return True  # not now: the next claim meets it again
            failed = False
        log.warning(
            "row_refused", queue=self.queue.value, id=refused.id, failed=failed, reason=refused.reason
        )
        return failed

    async def _begin(self, conn: Connection) -> bool:
        """What a broken claim left is given back, what we hold is counted; returns whether the queue is limited."""
        while self._in_doubt:
            await queues.release(conn, self.queue, self._taker().worker, self._in_doubt[-1])
            self._in_doubt.pop()
        limited = self._limited()
        if limited and not self._all_counted:  # what we took between the limit's birth and our hearing of it
            await queues.count_in(conn, self.queue, self._held())
        self._all_counted = limited
        return limited

    async def _ask_at_once(self, limit: int, places: list[Place]) -> tuple[list[ClaimedRow], UUID, bool]:
        token = uuid4()
        taker = self._taker()
        try:
            async with self._pool.connection() as conn:
                claim = queues.claim_within_limit if await self._begin(conn) else queues.claim
                began_at = (
                    trio.current_time()
                )  # not before: an outage that is waited out costs the database nothing
                rows = await claim(conn, self.queue, taker, token=token, limit=limit, places=places)
                self._cost_s = trio.current_time() - began_at
        except PoolTimeout:
            raise
        except DatabaseError:
            self._in_doubt.append(token)
            raise
        self.refusal = None
        self.claims += 1
        self.empty_claims += not rows
        if self._cost_s > SLOW_S and not self._limited():
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            self.slow.append(SlowClaim(now, self.queue.value, round(self._cost_s, 3), len(rows)))
        for row in rows if self._remembers else ():
            place = self._places.get(row.priority)
            if place is None or (row.run_at, row.id) > (place.run_at, place.id):
                self._places[row.priority] = Place(row.priority, row.run_at, row.id)
        return rows, token, len(rows) == limit
