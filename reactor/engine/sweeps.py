"""The fallback: a slow, regular look that needs no notification at all.

One statement does the heartbeat, the look for dead peers, and "is anything due?" for every queue whose interval is over. It
runs on the listener's own connection, with a deadline: that it is answered is the proof that the listener lives. While
nobody listens it runs on a connection of the pool. Whoever has a line again beats at once: what was running here may have
been taken over meanwhile.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import NoReturn
from uuid import UUID

import structlog
import trio

from reactor.engine.lifeline import Lifeline
from reactor.engine.line import Line
from reactor.engine.listener import Listener
from reactor.engine.vitals import vitals
from reactor.engine.wake import Via
from reactor.errors import DatabaseError
from reactor.model.queues import Queue
from reactor.pg import Connection
from reactor.store import queues, workers
from reactor.store.queues import Taker
from reactor.store.terms import Terms
from reactor.store.workers import Beat, Identity

log = structlog.get_logger()

BEAT_S = 5.0
RING_MAY_TAKE_S = 0.25
DOUBT_PAUSES_S = (0.05, 0.4)  # a claim's answer takes less than this to arrive, or the beat will see to it


class Sweeper:
    """Beats, sweeps, and reports the dead."""

    def __init__(
        self,
        identity: Identity,
        lines: Mapping[Queue, Line],
        listener: Listener,
        lifeline: Lifeline,
        *,
        every_s: Mapping[Queue, float],
        taker: Callable[[], Taker],
        peers_work: Callable[[], None],
        found_dead: Callable[[Collection[UUID]], Awaitable[None]],
        strangers: Callable[[], Awaitable[None]],
        watched: Callable[[bool], None],
        terms: Callable[[Terms], None],
    ) -> None:
        self._identity = identity
        self._lines = lines
        self._listener = listener
        self._lifeline = lifeline
        self._every_s = {queue: every_s[queue] for queue in lines}
        self._taker = taker
        self._peers_work = peers_work
        self._found_dead = found_dead
        self._strangers = strangers
        self._watched = watched
        self._terms = terms
        self._next = dict.fromkeys(lines, 0.0)
        self._doubted = trio.Event()
        self._now = trio.Event()

    async def run(self) -> NoReturn:
        """Beat for ever; a beat that fails is tried again at the next."""
        beat_s = min([BEAT_S, *self._every_s.values()])
        while True:
            began_at = trio.current_time()
            try:
                await self._beat(began_at)
            except DatabaseError as error:
                log.debug("beat_failed", reason=str(error))
            with trio.move_on_at(began_at + beat_s):
                await self._now.wait()
            self._now = trio.Event()

    def beat_now(self) -> None:
        """There is a line again: do not wait for the next beat."""
        self._now.set()

    def holds(self) -> bool:
        """Whether any row is in our hands."""
        return any(line.executor.load for line in self._lines.values())

    def doubt(self) -> None:
        """A row was cancelled that no runner here knows: it may be in a claim whose answer is on its way."""
        self._doubted.set()

    async def settle_doubts(self) -> NoReturn:
        """After every doubt, soon and once more a little later, ask whether what we hold is still ours; for ever."""
        while True:
            await self._doubted.wait()
            self._doubted = trio.Event()
            for pause_s in DOUBT_PAUSES_S:
                await trio.sleep(pause_s)
                with suppress(DatabaseError):  # the next beat asks again
                    await self._drop_rows_no_longer_ours()

    async def _beat(self, now: float) -> None:
        due_now = {queue for queue, at in self._next.items() if at <= now + 0.001}
        listening = self._listener.up
        beat = await self._lifeline.ask(lambda conn: self._ask(conn, due_now))
        self._terms(beat.terms)
        for queue in due_now:
            self._next[queue] = now + self._every_s[queue]
        await self._wake([queue for queue in due_now if beat.due[queue]], listening=listening)
        self._watched(beat.watched)
        if beat.strangers:
            await self._strangers()
        await self._drop_rows_no_longer_ours()
        await self._lifeline.drop_unanswered()
        if beat.dead:
            await self._found_dead(beat.dead)
        if beat.working:
            self._peers_work()

    async def _wake(self, queues: Collection[Queue], *, listening: bool) -> None:
        """Whoever should look at ``queues``, which have rows due, does; a sleeper that nobody woke meanwhile missed them."""
        asleep: dict[Queue, int] = {}
        for queue in queues:
            line = self._lines[queue]
            if line.dispatcher.sleeping:
                asleep[queue] = line.dispatcher.sleeps
            else:
                line.wake.ring(Via.NEWS)
        if asleep and listening:  # what was committed just now has its ring on the way, behind our answer
            await trio.sleep(RING_MAY_TAKE_S)
        for queue, sleeps in asleep.items():
            line = self._lines[queue]
            # Who has looked since met those rows; what it would find now may be a later one, with its ring on the way.
            if not line.dispatcher.slept_since(sleeps):
                continue
            line.wake.ring(Via.SWEEP)
            if listening and line.bell.held:
                await line.bell.prove()

    async def _ask(self, conn: Connection, due_now: set[Queue]) -> Beat:
        taker = self._taker()
        beat = await workers.beat(
            conn,
            self._identity.id,
            working=self.holds(),
            kinds=taker.kinds,
            agent=taker.agent,
            queues=due_now,
            vitals=vitals(self._lines, self._listener),
        )
        if not beat.registered:
            await workers.register(conn, self._identity)
            await workers.set_state(conn, self._identity.id, "ready")
        return beat

    async def _drop_rows_no_longer_ours(self) -> None:
        """Rows cancelled or taken over, for the case that nobody could tell us."""
        for queue, line in self._lines.items():
            held = line.executor.holds()
            if not held:
                continue
            mine = await self._lifeline.ask_pool(partial(queues.still_mine, queue=queue, held=held))
            for id, token in held:
                if id not in mine and line.executor.stop_row(id, token):
                    log.info("row_no_longer_ours", queue=queue.value, id=id)
