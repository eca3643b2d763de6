"""Runs claimed rows: long-lived runners take them from a short shelf, one at a time each.

A runner that meets fast handlers takes row after row without giving way; it wakes one colleague whenever rows are left,
so rows that wait for something fan out over all runners, and rows that do not never pay for a task switch each.

How far ahead to read follows the handlers: nothing while they are slow, up to 600 rows while they end within 10 ms.
Rows read ahead are running and fenced in the database; what has not begun within a second goes back as if never taken.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import NoReturn
from uuid import UUID

import structlog
import trio

from reactor import tracing
from reactor.engine.completer import Completer
from reactor.engine.items import describe, given_back, item_of
from reactor.engine.tally import Tally
from reactor.engine.work import Watcher, Work
from reactor.model.outcomes import Cancel, Fail, GiveBack, Outcome, of_outage
from reactor.model.queues import Queue
from reactor.store.claimed import ClaimedRow

log = structlog.get_logger()

READ_AHEAD = 600  # rows, while handlers are fast: one claim may be under way while another's rows are done
FAST_S = 0.010  # a handler that ends within this is fast
STALE_S = 1.0  # rows read ahead go back after this
TURN_S = 0.002  # how long one runner may go on without giving way to other tasks
STOPPED = "the reactor was told to stop"
NO_LONGER_OURS = Cancel("cancelled or taken over: nothing is left to write")


class Running:
    """One row in the hands of a runner; ``why`` is set before its scope is cancelled."""

    __slots__ = ("claimed_at", "row", "scope", "since", "token", "why")

    def __init__(
        self, row: ClaimedRow, token: UUID, scope: trio.CancelScope, since: float, claimed_at: float
    ) -> None:
        self.row = row
        self.token = token
        self.scope = scope
        self.since = since
        self.claimed_at = claimed_at
        self.why: Outcome | None = None


class Executor:
    """The shelf and the runners of one queue."""

    def __init__(
        self,
        queue: Queue,
        work: Work,
        completer: Completer,
        *,
        concurrency: int,
        chance: Callable[[], float],
        watcher: Watcher,
        freed: Callable[[], None],
        refused: Callable[[], None],
    ) -> None:
        self.queue = queue
        self.running: dict[int, Running] = {}
        self.concurrency = concurrency
        self.tally = Tally()
        self._work = work
        self._completer = completer
        self._chance = chance
        self._watcher = watcher
        self._freed = freed
        self._refused = refused
        self._shelf: deque[tuple[ClaimedRow, UUID, float]] = deque()
        self._idle = trio.lowlevel.ParkingLot()
        self._colleague_comes = False  # one was woken and has not looked at the shelf yet
        self._read_ahead = 0
        self._all_ended = trio.Event()
        self._stocked = trio.Event()
        # Decided once: a row that does nothing must not pay for spans that nobody records.
        self._perform = self._traced if tracing.enabled() else work.perform

    # -- what the dispatcher asks

    def room(self) -> int:
        """How many rows to claim now; 0: none. While reading ahead, worthwhile amounts only."""
        load = len(self.running) + len(self._shelf)
        room = self.concurrency + self._read_ahead - load
        if self._completer.crowded or (self._read_ahead and len(self._shelf) > self._read_ahead // 3):
            return 0
        return max(room, 0)

    @property
    def load(self) -> int:
        """Rows running or read ahead."""
        return len(self.running) + len(self._shelf)

    @property
    def busy(self) -> bool:
        """Whether rows lie ready that no runner has begun."""
        return bool(self._shelf)

    def take(self, rows: Iterable[ClaimedRow], token: UUID) -> None:
        """Put freshly claimed rows on the shelf, all under one token; runners begin at once."""
        now = trio.current_time()
        self._shelf.extend((row, token, now) for row in rows)
        self._stocked.set()
        self._fetch_a_colleague()

    def holds(self) -> list[tuple[int, UUID]]:
        """Everything claimed and not yet ended, as (id, token)."""
        held = [(row.id, token) for row, token, _ in self._shelf]
        return held + [(id, one.token) for id, one in self.running.items()]

    # -- what ends rows from outside

    def stop_row(self, id: int, token: UUID | None = None) -> bool:
        """The row is no longer ours (cancelled, or taken over): its handler is stopped, its outcome dropped."""
        one = self.running.get(id)
        if one is not None and (token is None or one.token == token):
            one.why = NO_LONGER_OURS
            one.scope.cancel()
            return True
        kept = [item for item in self._shelf if item[0].id != id]
        found = len(kept) != len(self._shelf)
        self._shelf = deque(kept)
        return found

    def give_back_shelf(self) -> int:
        """Everything read ahead goes back as if never taken; returns how many rows."""
        count = len(self._shelf)
        while self._shelf:
            row, token, _ = self._shelf.popleft()
            self._completer.put(given_back(row, token))
        return count

    def give_back_running(self, reason: str) -> None:
        """Handlers still running are cancelled and their rows go back as if never taken."""
        for one in list(self.running.values()):
            if one.why is None:
                one.why = GiveBack(reason)
                one.scope.cancel()

    async def idle(self) -> None:
        """Return when no handler is running."""
        while self.running:
            self._all_ended = trio.Event()
            await self._all_ended.wait()

    # -- the roles

    async def run(self) -> NoReturn:
        """Keep the runners running for ever."""
        async with trio.open_nursery() as nursery:
            for _ in range(self.concurrency):
                nursery.start_soon(self._runner)
            nursery.start_soon(self._return_stale)
        raise AssertionError("runners never return")

    async def _runner(self) -> None:
        while True:
            if self._completer.crowded:
                await self._completer.room()
            if self._shelf:
                await self._turn()
                await trio.lowlevel.checkpoint()
            else:
                await self._idle.park()
                self._colleague_comes = False

    def _fetch_a_colleague(self) -> None:
        """Somebody who has nothing to do looks at the shelf soon; one at a time, and each fetches the next."""
        if not self._colleague_comes and self._idle:
            self._idle.unpark()
            self._colleague_comes = True

    async def _turn(self) -> None:
        """Do rows one after another for 2 ms, or one that takes longer; one cancel scope serves them all."""
        one: Running | None = None
        began_at = trio.current_time()
        give_way_at = began_at + TURN_S
        outcome: Outcome | None = None
        limit_s = 0.0
        try:
            with trio.CancelScope() as scope:
                while self._shelf and not self._completer.crowded and began_at < give_way_at:
                    row, token, since = self._shelf.popleft()
                    if self._shelf:
                        self._fetch_a_colleague()
                    if (needed_s := self._work.timeout_s(row)) != limit_s:
                        limit_s = needed_s
                        scope.deadline = give_way_at + limit_s
                    if row.id in self.running:
                        # Peers that thought us dead gave our row back, and it came to us again: the first run is over.
                        self.stop_row(row.id)
                    one = self.running[row.id] = Running(row, token, scope, began_at, since)
                    self._watcher.began(row)
                    try:
                        outcome = await self._perform(row)
                    except Exception as error:
                        outcome = self._raised(row, error)
                    stopped = one.why is not None
                    began_at = self._ended_with(one, one.why or outcome)
                    one = None
                    if (
                        stopped
                    ):  # the scope is cancelled for good; one whose time is over has had its turn anyway
                        return
        except Exception as error:  # what remains of a group when the scope has taken its cancellation
            if one is None:
                raise
            outcome = self._raised(one.row, error)
        if one is not None:
            self._ended_with(one, one.why or Fail(f"timed out after {limit_s:g} s"))

    async def _traced(self, row: ClaimedRow) -> Outcome:
        facts: dict[str, int | str] = {"id": row.id, "kind": row.kind, "attempt": row.attempt}
        if row.mission_id is not None:
            facts["mission_id"] = row.mission_id
        with tracing.work(f"{self.queue.what} {row.kind}", facts, row.root_id) as span:
            outcome = await self._work.perform(row)
            trouble = outcome.reason if isinstance(outcome, Fail) else None
            tracing.ended(span, type(outcome).__name__.lower(), trouble)
        return outcome

    def _ended_with(self, one: Running, outcome: Outcome) -> float:
        """The row is off our hands, its outcome on the way to the database; returns the time."""
        if self.running.get(one.row.id) is one:
            del self.running[one.row.id]
        now = trio.current_time()
        if outcome is not NO_LONGER_OURS:
            self._watcher.ended(one.row, outcome, now - one.since)
            item = item_of(
                one.row, one.token, outcome, waited_s=one.since - one.claimed_at, chance=self._chance()
            )
            self._completer.put(item)
            self.tally.note(one.row.kind, item, now - one.since)
            if isinstance(outcome, GiveBack):
                self._refused()
        self._adapt(now - one.since)
        if not self.running:
            self._all_ended.set()
        if len(self._shelf) <= self._read_ahead // 3:
            self._freed()
        return now

    def _raised(self, row: ClaimedRow, error: Exception) -> Outcome:
        log.debug("handler_raised", queue=self.queue.value, id=row.id, kind=row.kind, exc_info=error)
        return of_outage(error) or Fail(describe(error))

    def _adapt(self, seconds: float) -> None:
        if seconds > FAST_S:
            self._read_ahead = 0
        elif self._read_ahead < READ_AHEAD:
            self._read_ahead = min(READ_AHEAD, self._read_ahead + 8)

    async def _return_stale(self) -> NoReturn:
        while True:
            if not self._shelf:
                self._stocked = trio.Event()
                await self._stocked.wait()
            await trio.sleep(STALE_S / 4)
            too_old = trio.current_time() - STALE_S
            while self._shelf and self._shelf[0][2] <= too_old and len(self.running) >= self.concurrency:
                row, token, _ = self._shelf.popleft()
                self._read_ahead = 0
                self._completer.put(given_back(row, token))
