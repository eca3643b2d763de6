"""Runs claimed rows: long-lived runners take them from a short shelf, one at a time each.

A runner that meets fast handlers takes row after row without giving way; it wakes one colleague whenever rows are left,
so rows that wait for something fan out over all runners, and rows that do not never pay for a task switch each.

How far ahead to read follows the handlers: nothing while they are slow, up to 300 rows while they end within 10 ms.
Rows read ahead are running and fenced in the database; what has not begun within a second goes back as if never taken.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import NoReturn
from uuid import UUID

import structlog
import trio

from reactor.engine.completer import Completer
from reactor.engine.work import Watcher, Work
from reactor.model.backoff import delay
from reactor.model.outcomes import Cancel, Done, Fail, GiveBack, Outcome, Snooze
from reactor.model.queues import Queue
from reactor.store.claimed import ClaimedRow
from reactor.store.queues import Settlement, Success, encode_result

log = structlog.get_logger()

READ_AHEAD = 300  # rows, while handlers are fast
FAST_S = 0.010  # a handler that ends within this is fast
STALE_S = 1.0  # rows read ahead go back after this
TURN_S = 0.002  # how long one runner may go on without giving way to other tasks
RETRY_BASE_S = 1.0
RETRY_CAP_S = 300.0
RESULT_BYTES = 1048576
REASON_CHARS = 4000
STOPPED = "the reactor was told to stop"


class Running:
    """One row in the hands of a runner; ``why`` is set before its scope is cancelled."""

    __slots__ = ("row", "scope", "since", "token", "why")

    def __init__(self, row: ClaimedRow, token: UUID, scope: trio.CancelScope, since: float) -> None:
        self.row = row
        self.token = token
        self.scope = scope
        self.since = since
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
        self._work = work
        self._completer = completer
        self._chance = chance
        self._watcher = watcher
        self._freed = freed
        self._refused = refused
        self._shelf: deque[tuple[ClaimedRow, UUID, float]] = deque()
        self._idle = trio.lowlevel.ParkingLot()
        self._read_ahead = 0
        self._ended = trio.Event()
        self._stocked = trio.Event()

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
        self._idle.unpark()

    def holds(self) -> list[tuple[int, UUID]]:
        """Everything claimed and not yet ended, as (id, token)."""
        held = [(row.id, token) for row, token, _ in self._shelf]
        return held + [(id, one.token) for id, one in self.running.items()]

    # -- what ends rows from outside

    def stop_row(self, id: int, token: UUID | None = None) -> bool:
        """The row is no longer ours (cancelled, or taken over): its handler is stopped, its outcome dropped."""
        one = self.running.get(id)
        if one is not None and (token is None or one.token == token):
            one.why = Cancel("no longer ours")
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
            self._completer.put(_requeue(row, token, None))
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
            self._ended = trio.Event()
            await self._ended.wait()

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
            if not self._shelf:
                await self._idle.park()
                continue
            give_way_at = trio.current_time() + TURN_S
            while self._shelf and not self._completer.crowded:
                row, token, since = self._shelf.popleft()
                if self._shelf and self._idle:
                    self._idle.unpark()
                began_at = trio.current_time()
                outcome = await self._execute(row, token, began_at)
                now = trio.current_time()
                if outcome is not None:
                    self._watcher.ended(row, outcome, now - began_at)
                    self._completer.put(self._written_as(row, token, outcome, began_at - since))
                self._adapt(now - began_at)
                if not self.running:
                    self._ended.set()
                if len(self._shelf) <= self._read_ahead // 3:
                    self._freed()
                if now >= give_way_at:
                    await trio.lowlevel.checkpoint()
                    give_way_at = trio.current_time() + TURN_S

    async def _execute(self, row: ClaimedRow, token: UUID, now: float) -> Outcome | None:
        """The handler's outcome; None when the row is not ours any more."""
        limit_s = self._work.timeout_s(row)
        with trio.CancelScope(deadline=now + limit_s) as scope:
            one = self.running[row.id] = Running(row, token, scope, now)
            self._watcher.began(row)
            try:
                return await self._work.perform(row)
            except Exception as error:
                if one.why is None:
                    log.debug(
                        "handler_raised", queue=self.queue.value, id=row.id, kind=row.kind, exc_info=error
                    )
                    return Fail(describe(error))
            finally:
                del self.running[row.id]
        if one.why is None:
            return Fail(f"timed out after {limit_s:g} s")
        return None if isinstance(one.why, Cancel) else one.why

    def _adapt(self, seconds: float) -> None:
        if seconds > FAST_S:
            self._read_ahead = 0
        elif self._read_ahead < READ_AHEAD:
            self._read_ahead = min(READ_AHEAD, self._read_ahead + 8)

    def _written_as(
        self, row: ClaimedRow, token: UUID, outcome: Outcome, waited_s: float
    ) -> Success | Settlement:
        match outcome:
            case Done(result, simulated):
                try:
                    text = encode_result(dict(result))
                except (TypeError, ValueError, RecursionError) as error:
                    reason = f"the result is no JSON: {describe(error)}"
                    return Settlement(row.id, token, row.mission_id, "failed", 0, 0.0, reason)
                return Success(row.id, token, row.mission_id, waited_s, simulated or row.simulated, cut(text))
            case Fail(reason, retry):
                reason = clean(reason)
                if retry and row.attempt < row.max_attempts:
                    pause_s = delay(
                        row.attempt - 1, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S, chance=self._chance()
                    )
                    return Settlement(row.id, token, row.mission_id, "queued", 0, pause_s, reason)
                return Settlement(row.id, token, row.mission_id, "failed", 0, 0.0, reason)
            case Snooze(delay_s, reason):
                bounded = min(max(delay_s, 0.0), 10 * 366 * 86400.0) if math.isfinite(delay_s) else 0.0
                return Settlement(row.id, token, row.mission_id, "queued", -1, bounded, clean(reason) or None)
            case Cancel(reason):
                return Settlement(row.id, token, row.mission_id, "cancelled", 0, 0.0, clean(reason))
            case GiveBack(reason):
                self._refused()
                return _requeue(row, token, clean(reason))
        reason = f"the handler returned {type(outcome).__name__}, which is no outcome"
        return Settlement(row.id, token, row.mission_id, "failed", 0, 0.0, reason)

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
                self._completer.put(_requeue(row, token, None))


def _requeue(row: ClaimedRow, token: UUID, reason: str | None) -> Settlement:
    return Settlement(row.id, token, row.mission_id, "queued", -1, 0.0, reason)


def describe(error: BaseException) -> str:
    """One line for an exception, groups unwrapped: ``TypeName: message``."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def clean(reason: str) -> str:
    """A reason the database takes: one line of at most 4,000 characters, without NUL and lone surrogates."""
    text = reason.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
    return text[:REASON_CHARS]


def cut(text: str) -> str:
    """The JSON text of a result, or of what is left of one over 1 MiB, with a mark."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if size <= RESULT_BYTES:
        return text
    return encode_result({"truncated": True, "bytes": size, "text": text[: RESULT_BYTES // 8]})
