"""Decides when one queue claims, and when it sleeps: the wake protocol.

A busy reactor needs no bell: it claims, works, and claims again. Only an idle one must hear of new rows, and it goes to
sleep like this:

1. Clear what was heard, *then* claim until nothing is left.
2. Take the bell. Silent writers may hold it: wait for them, in slices, and keep claiming beside the wait, for a silent row
   may be committed while a stranger's long transaction keeps the bell. A peer may hold it: then writers ring anyway.
3. Claim once more, from the top: rows committed in silence before the bell was ours.
4. Ask when the next row is due. One that is due already and was not claimed is locked by somebody; nobody rings when he
   lets it go, so look again soon.
5. Anything heard since step 1 starts over. Else sleep until a ring, the due time, a sweep, or news.

Woken while it holds the bell, it looks first and keeps the bell as long as all it finds is the little that rang: whoever
commits after the flags were cleared rings again. When there is more than it has room for, or more rings while it looks, it
lets go and polls until empty; only then does it arm again: interrupts when idle, polling when busy. Letting go for one row
and arming again would cost three statements and a notification more, on the way of the next one.
The test suite walks every interleaving of this protocol as an explicit-state model.
"""

from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import NoReturn
from uuid import UUID

import structlog
import trio

from reactor.engine.claimer import Claimer, SlowClaim
from reactor.engine.doorbell import Doorbell
from reactor.engine.executor import Executor
from reactor.engine.tally import WakeTally
from reactor.engine.wake import Via, Wake
from reactor.errors import DatabaseError, TakesNoWrites
from reactor.model.backoff import delay
from reactor.model.queues import Queue
from reactor.store.claimed import ClaimedRow

log = structlog.get_logger()

LOOK_AGAIN_FIRST_S = 0.001  # at a due row somebody has locked
LOOK_AGAIN_CAP_S = 1.0
GAP_SHARE = 0.05  # of the time silent writers have kept us waiting: the gap between claims beside the wait
GAP_FIRST_S = 0.001
GAP_CAP_S = 1.0
LONGEST_SLEEP_S = 3600.0  # a due time further away is asked for again
DUE_MARGIN_S = 0.0005  # the database's clock and a rounded timer agree to about this
RETRY_BASE_S = 0.1
RETRY_CAP_S = 2.0


Claim = Callable[[int], Awaitable[tuple[list[ClaimedRow], UUID, bool]]]


class Found(Enum):
    """What a claim came to."""

    NOTHING = auto()
    THE_LAST = auto()  # rows, and no more of them are due now
    PERHAPS_MORE = auto()  # as many as there was room for, or no room to look


class Dispatcher:
    """Moves rows of one queue from the table to its executor's shelf."""

    def __init__(
        self,
        queue: Queue,
        wake: Wake,
        bell: Doorbell,
        claimer: Claimer,
        executor: Executor,
        *,
        listening: Callable[[], bool],
        chance: Callable[[], float],
        rang_for_nothing: Callable[[], Awaitable[None]],
        took: Callable[[], None],
    ) -> None:
        self.queue = queue
        self.sleeping = False
        self.sleeps = 0
        self.woken = dict.fromkeys(Via, 0)
        self.missed_wakes = 0
        self.wake_tally = WakeTally()
        self._wake = wake
        self._bell = bell
        self._claimer = claimer
        self._executor = executor
        self._listening = listening
        self._chance = chance
        self._rang_for_nothing = rang_for_nothing
        self._took = took
        self._room = trio.Event()
        self._via: Via | None = Via.NEWS
        self._waiting_since: float | None = None

    @property
    def claims(self) -> tuple[int, int]:
        """How many claims found rows so far, and how many found none."""
        empty = self._claimer.empty_claims
        return self._claimer.claims - empty, empty

    @property
    def slow_claims(self) -> list[SlowClaim]:
        """The last claims that were slow, the latest last."""
        return list(self._claimer.slow)

    @property
    def refusal(self) -> str | None:
        """Why the database refuses to have some row claimed, or any; None while it does not."""
        return self._claimer.refusal

    def freed(self) -> None:
        """The executor has room again."""
        self._room.set()

    def slept_since(self, sleeps: int) -> bool:
        """Whether it sleeps the sleep that was its last when ``sleeps`` was read: it has looked for nothing since."""
        return self.sleeping and self.sleeps == sleeps and self._wake.heard is None

    async def run(self) -> NoReturn:
        """Dispatch for ever; while the database is away, try again with backoff.

        Cancellation: the bell is let go; a claim in flight is finished and its rows are on the shelf.
        """
        failures = 0
        try:
            while True:
                try:
                    await self._round()
                    failures = 0
                except DatabaseError as error:
                    self._complain(error, first=failures == 0)
                    await trio.sleep(
                        delay(failures, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S, chance=self._chance())
                    )
                    failures += 1
        finally:
            if self._bell.held:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 1.0):
                    await self._bell.let_go()

    def _complain(self, error: DatabaseError, *, first: bool) -> None:
        """A database that is away is told of by others; one that refuses our claims, here, once."""
        ours = not error.transient or isinstance(error, TakesNoWrites)
        say = log.warning if first and ours else log.debug
        say("claim_refused", queue=self.queue.value, reason=str(error))

    async def _round(self) -> None:
        """From awake to asleep to awake; or until something asks to start over."""
        self._wake.clear()
        if not self._bell.held:
            if not await self._claim_until_empty():
                await self._room.wait()
                return
            if not await self._arm():
                return
        look_again_s = LOOK_AGAIN_FIRST_S
        while await self._claim(self._claimer.claim_from_the_top) is not Found.PERHAPS_MORE:
            due_s = await self._claimer.next_due() if self._claimer.may_take_something() else None
            if self._wake.heard is not None:
                break
            if due_s is None or due_s > 0:
                self._via = await self._sleep(due_s)
                return
            if await self._wake.wait(look_again_s) is not None:
                break
            look_again_s = min(look_again_s * 2, LOOK_AGAIN_CAP_S)
        if self._bell.held:
            await self._bell.let_go()

    async def _sleep(self, due_s: float | None) -> Via:
        self.sleeping = True
        self.sleeps += 1
        at_most_s = LONGEST_SLEEP_S if due_s is None else min(due_s + DUE_MARGIN_S, LONGEST_SLEEP_S)
        try:
            heard = await self._wake.wait(at_most_s)
        finally:
            self.sleeping = False
        via = heard or Via.DUE
        self.woken[via] += 1
        return via

    async def _claim_until_empty(self) -> bool:
        """True: nothing is left to claim. False: there is no room for more."""
        while await self._claim(self._claimer.claim) is Found.PERHAPS_MORE:
            if self._executor.room() == 0:
                return False
        return True

    async def _claim(self, claim: Claim) -> Found:
        """Claim, once, as many rows as there is room for."""
        self._room = trio.Event()
        room = self._executor.room()
        if room == 0:
            return Found.PERHAPS_MORE
        if not self._claimer.may_take_something():
            return Found.NOTHING
        # A claim that was cancelled might have happened: it is finished, and its rows are on the shelf.
        with trio.CancelScope(shield=True):
            rows, token, all_there_is = await claim(room)
            if rows:
                self._note(rows)
                self._executor.take(rows, token)
                self._took()
                await self._claimer.begin_missions(rows)
        if not all_there_is:
            return Found.PERHAPS_MORE
        if rows:
            await trio.lowlevel.checkpoint()  # the handlers begin before the next question is asked
            return Found.THE_LAST
        if self._via is Via.BELL:  # nothing since: what rang is not for us, perhaps for nobody
            self._via = None
            await self._rang_for_nothing()
        return Found.NOTHING

    async def _arm(self) -> bool:
        """Take the bell or see a peer with it. False: start over."""
        if not self._listening():
            return True  # nobody would hear it: the sweeps wake us
        standing = await self._bell.take()
        if standing != "writers":
            self._waiting_since = None
            return True
        return await self._wait_for_writers()

    async def _wait_for_writers(self) -> bool:
        """One bounded wait for silent writers to commit, claiming beside it; whether the bell is ours now."""
        if self._waiting_since is None:
            self._waiting_since = trio.current_time()
        granted = False
        found = False
        async with trio.open_nursery() as nursery:

            async def claim_beside(since: float) -> None:
                nonlocal found
                while not found:
                    gap_s = GAP_SHARE * (trio.current_time() - since)
                    await trio.sleep(min(max(gap_s, GAP_FIRST_S), GAP_CAP_S))
                    try:
                        found = await self._claim(self._claimer.claim) is not Found.NOTHING
                    except DatabaseError:
                        return  # the next round meets the same error, and backs off
                nursery.cancel_scope.cancel()

            nursery.start_soon(claim_beside, self._waiting_since)
            granted = await self._bell.wait_for_writers()
            nursery.cancel_scope.cancel()
        if granted:
            self._waiting_since = None
        if granted and found:
            await self._bell.let_go()
            return False
        return granted

    def _note(self, rows: list[ClaimedRow]) -> None:
        self.wake_tally.note(self._via, rows[0])
        if self._via is Via.SWEEP and self._listening():
            self.missed_wakes += len(rows)
            log.warning("missed_wake", queue=self.queue.value, rows=len(rows))
        self._via = None
