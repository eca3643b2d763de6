"""One reactor process: makes its roles, starts them, and stops them in order.

The nursery of `Reactor.run` owns everything. Starting: the pool, the row in the fleet, the services, the bells, the
listener, then the lines (completer, executor, dispatcher of each queue), then the sweeps. Stopping: dispatchers first, so
that nothing more is claimed; what was read ahead goes back; running work gets the grace period, then is cancelled and goes
back as if never taken; the completers write everything; what then still runs under our name is given back by one statement.
"""

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import NoReturn
from uuid import uuid4

import structlog
import trio

from reactor import GENERATION, __version__, tracing
from reactor.engine.announcer import Announcer
from reactor.engine.claimer import Claimer
from reactor.engine.completer import Completer, Item
from reactor.engine.connections import Sessions, work_pool
from reactor.engine.control import Control
from reactor.engine.dispatcher import Dispatcher
from reactor.engine.doorbell import Doorbell
from reactor.engine.executor import STOPPED, Executor
from reactor.engine.lifeline import Lifeline
from reactor.engine.line import Line
from reactor.engine.listener import Listener
from reactor.engine.lookout import Lookout
from reactor.engine.pauses import Pauses
from reactor.engine.plan import Plan, QueuePlan
from reactor.engine.pulse import Pulse
from reactor.engine.rescuer import Rescuer
from reactor.engine.services import Services
from reactor.engine.strangers import Strangers
from reactor.engine.sweeps import Sweeper
from reactor.engine.terms import Terms
from reactor.engine.timekeepers import HEARD
from reactor.engine.wake import Via, Wake
from reactor.errors import DatabaseError
from reactor.model.queues import Queue
from reactor.pg import Pool
from reactor.store import queues, workers
from reactor.store.queues import Taker
from reactor.store.workers import Identity

log = structlog.get_logger()

FLUSH_WITHIN_S = 10.0
FAREWELL_WITHIN_S = 3.0
SAY_WITHIN_S = 2.0
CLAIMS_WITHIN_S = 2.0
HURRIED_S = 1.0  # instead of any of these, after a second signal
CANCEL_WITHIN_S = 5.0
CUT_OFF = "cut off from the database"


@dataclass(frozen=True, slots=True)
class Stopped:
    """What stopping came to: handlers that finished in the grace period, rows given back, handlers that would not end.

    ``unwritten``: outcomes that a database that is away did not take.
    """

    finished: int
    given_back: int
    stuck: tuple[str, ...]
    unwritten: int


class Reactor:
    """One process of the fleet: `run` it in a nursery, `stop` it once, then cancel the nursery."""

    def __init__(self, plan: Plan, pool: Pool | None = None, sessions: Sessions | None = None) -> None:
        self.plan = plan
        self.sessions = sessions or Sessions(plan.dsn, plan.direct_dsn, plan.liveness_key)
        self.identity = Identity(
            id=uuid4(),
            hostname=socket.gethostname(),
            pid=os.getpid(),
            version=__version__,
            generation=GENERATION,
            parts=plan.parts,
            kinds=plan.kinds,
            agent=plan.agent,
            liveness_key=plan.liveness_key,
            slots={queue.value: part.concurrency for queue, part in plan.queues.items()},
        )
        self.pool = pool or work_pool(self.sessions, plan.pool_limit)
        self.pulse = Pulse(self.sessions)
        self.services = Services(self.pool, plan.closed_services, self._services_opened)
        self.pauses = Pauses(self.pool, self._pauses_changed)
        self.terms = Terms(self.pool, GENERATION)
        self.rescuer = Rescuer(self.pool, lambda: self.listener.up or self.listener.deaf)
        self.strangers = Strangers(self.pool, plan.kinds)
        self.lines = {queue: self._line(queue, part) for queue, part in plan.queues.items()}
        self.control = Control(
            self.lines,
            self.services,
            policy_changed=plan.policy_changed,
            terms_changed=self.terms.invalidate,
            pause_changed=self.pauses.invalidate,
            word=self._word,
            watched=self._watched,
            cancelled_elsewhere=lambda: self.sweeper.doubt(),
        )
        self.listener = Listener(
            self.sessions,
            self.pool,
            self.control,
            direct_dsn=plan.direct_dsn,
            chance=plan.chance,
            connected=self._listener_connected,
            lives_by_lock=self._lives_by_lock,
        )
        self.announcer = Announcer(lambda: self.listener.conn, self.running)
        self.pool.returned = self.announcer.written
        self.keepers = plan.keepers(self.pool, lambda: self.listener.up)
        lifeline = Lifeline(self.listener, self.pool, self._cut_off)
        self.sweeper = Sweeper(
            self.identity,
            self.lines,
            self.listener,
            lifeline,
            every_s={queue: part.sweep_s for queue, part in plan.queues.items()},
            taker=lambda: self._taker(Queue.MISSION),
            peers_work=lambda: self.lookout.somebody_works(),
            found_dead=self.rescuer.found_dead,
            watched=self._watched,
            strangers=self.strangers.fail,
            terms=self.terms.note,
        )
        self.lookout = Lookout(
            self.identity.id, lifeline, working=self.sweeper.holds, found_dead=self.rescuer.found_dead
        )
        self._claiming = trio.CancelScope()
        self._grace = trio.CancelScope()
        self._stopped_claiming = trio.Event()
        self._patience: list[trio.CancelScope] = []
        self._hurried = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Work for ever; started when the first look for work is about to happen.

        Raises: DatabaseError: the database could not be reached, or refused us, before it had started.
        Cancellation: everything is dropped where it is; call `stop` before, and nothing is left running.
        """
        async with self.pool.connection() as conn:
            if conn.shared:
                self.identity.liveness_key = 0
            await workers.register(conn, self.identity)
            if tracing.enabled():
                tracing.of_database(await workers.database_birth(conn))
        async with trio.open_nursery() as nursery:
            await nursery.start(self.services.run)
            await nursery.start(self.pauses.run)
            await nursery.start(self.terms.run)
            for line in self.lines.values():
                nursery.start_soon(line.bell.run)
            await nursery.start(self.listener.run)
            nursery.start_soon(self.pulse.run)
            for line in self.lines.values():
                nursery.start_soon(line.completer.run)
                nursery.start_soon(line.executor.run)
            await self._set_state("ready")
            nursery.start_soon(self._dispatch)
            nursery.start_soon(self.announcer.run)
            nursery.start_soon(self.sweeper.run)
            nursery.start_soon(self.sweeper.settle_doubts)
            nursery.start_soon(self.lookout.run)
            task_status.started()
        raise AssertionError("roles never return")

    def hurry(self) -> None:
        """Every patience of `stop` is over now, but for the moment it takes to write what is done."""
        self._hurried = True
        self._grace.cancel()
        for scope in self._patience:
            scope.deadline = min(scope.deadline, trio.current_time() + HURRIED_S)

    async def stop(self, grace_s: float) -> Stopped:
        """Nothing is claimed any more, running handlers had ``grace_s`` seconds, all outcomes are written.

        With the database away it ends all the same, at most `FLUSH_WITHIN_S` and some seconds later.

        Returns: what became of the work in hand.
        """
        self._claiming.cancel()
        given_back = self._give_back_shelves()
        await self._set_state("stopping")
        await self._end_claims()
        given_back += self._give_back_shelves()
        before = self.running()
        self._grace.deadline = trio.current_time() + grace_s
        with self._grace:
            await self._all_idle()
        left = self.running()
        for line in self.lines.values():
            line.executor.give_back_running(STOPPED)
        with self._at_most(CANCEL_WITHIN_S):
            await self._all_idle()
        stuck = self.names_of_running()
        with self._at_most(FLUSH_WITHIN_S):
            for line in self.lines.values():
                await line.completer.flush()
        unwritten = sum(line.completer.unwritten for line in self.lines.values())
        await self._farewell()
        return Stopped(before - left, given_back + left, stuck, unwritten)

    def _give_back_shelves(self) -> int:
        return sum(line.executor.give_back_shelf() for line in self.lines.values())

    async def _end_claims(self) -> None:
        """No claim is under way; one that waits for a database that is away, or for an answer, is dropped."""
        with self._at_most(CLAIMS_WITHIN_S):
            await self._stopped_claiming.wait()
        if not self._stopped_claiming.is_set():
            self.pool.refuse_waiting()
            await self.pool.drop_unanswered(CLAIMS_WITHIN_S)
            with self._at_most(CLAIMS_WITHIN_S):
                await self._stopped_claiming.wait()

    def names_of_running(self) -> tuple[str, ...]:
        """The rows whose handlers are running now, as people call them."""
        return tuple(
            f"{queue.what} {one.row.id} ({one.row.kind})"
            for queue, line in self.lines.items()
            for one in list(line.executor.running.values())
        )

    def _at_most(self, seconds: float) -> trio.CancelScope:
        """A scope that ends after ``seconds``, or soon when somebody is in a hurry."""
        limit_s = min(seconds, HURRIED_S) if self._hurried else seconds
        scope = trio.CancelScope(deadline=trio.current_time() + limit_s)
        self._patience.append(scope)
        return scope

    def running(self) -> int:
        """How many handlers are running now."""
        return sum(len(line.executor.running) for line in self.lines.values())

    def status(self) -> str:
        """One line on how it goes, for whoever looks after processes."""
        words = [f"{self.running()} running"]
        if paused := sorted(queue.value for queue in self.pauses.paused & self.lines.keys()):
            words.append(f"paused: {', '.join(paused)}")
        if not self.listener.up and not self.listener.deaf:
            words.append("the database is away")
        return " · ".join(words)

    async def _dispatch(self) -> None:
        """Whoever begins things: dispatchers and keepers, in a scope of their own that `stop` cancels first."""
        try:
            with self._claiming:
                async with trio.open_nursery() as nursery:
                    for line in self.lines.values():
                        nursery.start_soon(line.dispatcher.run)
                    for keeper in self.keepers:
                        nursery.start_soon(keeper.run)
        finally:
            self._stopped_claiming.set()

    async def _all_idle(self) -> None:
        for line in self.lines.values():
            await line.executor.idle()

    async def _farewell(self) -> None:
        """What a broken claim may have left running under our name goes back, and our row says that we left."""
        with suppress(DatabaseError), self._at_most(FAREWELL_WITHIN_S):
            async with self.pool.connection() as conn:
                for queue in self.lines:
                    await queues.release(conn, queue, self.identity.id)
            await self._set_state("stopped")

    async def _set_state(self, state: str) -> None:
        with suppress(DatabaseError), self._at_most(SAY_WITHIN_S):
            async with self.pool.connection() as conn:
                await workers.set_state(conn, self.identity.id, state)

    # -- making the parts

    def _line(self, queue: Queue, part: QueuePlan) -> Line:
        wake = Wake()
        bell = Doorbell(
            queue, wake, partial(self.sessions.open, f"bell {queue.value}"), self.pool, self.plan.chance
        )
        claimer = Claimer(
            queue,
            self.pool,
            lambda: self._taker(queue),
            limited=lambda: queue in self.terms.limited,
            held=lambda: line.executor.holds(),
        )

        def more_coming() -> bool:
            return line.executor.busy

        def written(items: list[Item]) -> None:
            line.dispatcher.freed()
            # The places of a limit are in the database: there may be one now. And while nobody listens, the next step
            # of a mission, or an attempt that is due later, is heard of here or not at all.
            if queue in self.terms.limited or not self.listener.up:
                wake.ring(Via.NEWS)

        completer = Completer(
            queue, self.pool, chance=self.plan.chance, written=written, more_coming=more_coming
        )

        def freed() -> None:
            line.dispatcher.freed()

        executor = Executor(
            queue,
            part.work,
            completer,
            concurrency=part.concurrency,
            chance=self.plan.chance,
            watcher=self.plan.watcher,
            freed=freed,
            refused=self.services.invalidate,
        )
        dispatcher = Dispatcher(
            queue,
            wake,
            bell,
            claimer,
            executor,
            listening=lambda: self.listener.up,
            chance=self.plan.chance,
            rang_for_nothing=self.strangers.fail if queue is Queue.MISSION else trio.lowlevel.checkpoint,
            took=lambda: self.announcer.took(),
        )
        line = Line(wake, bell, dispatcher, executor, completer)
        return line

    def _taker(self, queue: Queue) -> Taker:
        part = self.plan.queues.get(queue)
        kinds = () if part is None else part.work.kinds(self.services.closed)
        return Taker(self.identity.id, kinds, self.plan.agent)

    # -- news

    async def _lives_by_lock(self, so: bool) -> None:
        """The fleet knows whether to look for our lock or for our heartbeat."""
        key = self.plan.liveness_key if so else 0
        if self.identity.liveness_key != key:
            self.identity.liveness_key = key
            async with self.pool.connection() as conn:
                await workers.set_liveness(conn, self.identity)

    def _services_opened(self) -> None:
        self.control.wake_all(Via.NEWS)

    def _pauses_changed(self, paused: frozenset[Queue]) -> None:
        self.plan.pauses_changed(paused)
        for queue in paused & self.lines.keys():
            self.lines[queue].executor.give_back_shelf()

    def _watched(self, watched: bool) -> None:
        self.announcer.watched = watched

    def _listener_connected(self, lost_at: float | None) -> None:
        if lost_at is not None:
            if not self.pool.has_since(lost_at):
                self.rescuer.lost_everything()
            self.sweeper.beat_now()
        self.services.invalidate()
        self.pauses.invalidate()
        self.terms.invalidate()
        self.plan.policy_changed()
        self._word(HEARD)

    async def _cut_off(self) -> None:
        """Nothing has answered for so long that peers may soon take over what runs here: it is stopped before."""
        stopped = self.running()
        for line in self.lines.values():
            line.executor.give_back_shelf()
            line.executor.give_back_running(CUT_OFF)
            await line.bell.give_up()
        log.warning("cut_off", stopped=stopped, hint="the database does not answer")

    def _word(self, word: str) -> None:
        self.lookout.hear(word)
        for keeper in self.keepers:
            keeper.alarm.hear(word)
