"""Reactors inside a test: real ones, on a real database, with work that remembers what it did."""

import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import trio

from reactor.engine.dispatcher import Dispatcher
from reactor.engine.plan import Plan, QueuePlan
from reactor.engine.supervisor import Reactor
from reactor.engine.wake import Via
from reactor.model.outcomes import Done, Outcome
from reactor.model.queues import Queue
from reactor.store.claimed import ClaimedRow

Session = psycopg.Connection[tuple[Any, ...]]
Deed = Callable[[ClaimedRow], Awaitable[Outcome]]

OFF_S = 1e6  # sweeps that never come
SWEEPS_OFF = dict.fromkeys(Queue, OFF_S)


async def done(row: ClaimedRow) -> Outcome:
    """A handler that has nothing to do."""
    return Done({"id": row.id})


@dataclass
class Memory:
    """Handlers of one reactor and queue, as `engine.work.Work` and as `engine.work.Watcher`: what began, what ended."""

    deed: Deed = done
    known: Sequence[str] = ("noop",)
    limit_s: float = 60.0
    began_ids: list[int] = field(default_factory=list)
    began_at: dict[int, float] = field(default_factory=dict)  # by time.time()
    cancelled: list[int] = field(default_factory=list)
    outcomes: list[tuple[int, Outcome]] = field(default_factory=list)

    def kinds(self, closed_services: Collection[str]) -> Sequence[str]:
        return self.known

    def timeout_s(self, row: ClaimedRow) -> float:
        return self.limit_s

    async def perform(self, row: ClaimedRow) -> Outcome:
        self.began_ids.append(row.id)
        self.began_at[row.id] = time.time()
        try:
            return await self.deed(row)
        except trio.Cancelled:
            self.cancelled.append(row.id)
            raise

    def began(self, row: ClaimedRow) -> None:
        pass

    def ended(self, row: ClaimedRow, outcome: Outcome, seconds: float) -> None:
        self.outcomes.append((row.id, outcome))

    @property
    def times(self) -> Counter[int]:
        """How often each row began."""
        return Counter(self.began_ids)


@asynccontextmanager
async def reactor_on(
    dsn: str,
    memory: Memory,
    *,
    queues: Collection[Queue] = (Queue.MISSION,),
    agent: str | None = None,
    concurrency: int = 10,
    sweep_s: Mapping[Queue, float] = SWEEPS_OFF,
    pool_limit: int = 2,
    asleep: bool = True,
    chance: Callable[[], float] = random.random,
    direct_dsn: str | None = None,
) -> AsyncIterator[Reactor]:
    """A reactor at work, sweeps off unless told otherwise; ``asleep``: once it has looked for work and sleeps.

    Left, it is dropped as it is, as a crash in mid-air would, but for its connections, which are closed.
    """
    plan = Plan(
        dsn=dsn,
        direct_dsn=direct_dsn or dsn,
        queues={queue: QueuePlan(memory, concurrency, sweep_s[queue]) for queue in queues},
        parts=tuple(queue.value for queue in queues),
        kinds=tuple(memory.known),
        agent=agent,
        grace_s=5.0,
        watcher=memory,
        chance=chance,
        pool_limit=pool_limit,
    )
    reactor = Reactor(plan)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(reactor.run)
            if asleep:
                await settled(reactor)
            yield reactor
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 10):
            await reactor.pool.aclose()


def dispatcher(reactor: Reactor, queue: Queue = Queue.MISSION) -> Dispatcher:
    """Who decides about ``queue``."""
    return reactor.lines[queue].dispatcher


def idle(reactor: Reactor) -> bool:
    """Whether everybody sleeps, and nothing is running or unwritten."""
    return all(
        line.dispatcher.sleeping
        and line.wake.heard is None
        and not line.executor.load
        and not reactor.lines[queue].completer.unwritten
        for queue, line in reactor.lines.items()
    )


async def settled(*reactors: Reactor, within_s: float = 30.0, quiet_s: float = 0.05) -> None:
    """All reactors have been idle for ``quiet_s``: connections are up, who takes the bell is decided."""
    with trio.fail_after(within_s):
        quiet_since = None
        while quiet_since is None or trio.current_time() - quiet_since < quiet_s:
            calm = all(
                idle(one) and all(line.bell.connected for line in one.lines.values()) for one in reactors
            )
            quiet_since = (quiet_since or trio.current_time()) if calm else None
            await trio.sleep(0.002)


def claims(reactor: Reactor, queue: Queue = Queue.MISSION) -> int:
    """How many claims were sent to the database so far."""
    return dispatcher(reactor, queue)._claimer.claims


def rings(reactor: Reactor) -> int:
    """Rings heard so far, of all queues."""
    return sum(reactor.control.rings.values())


def missed(reactor: Reactor) -> int:
    """Rows found by a sweep that no ring had announced."""
    return sum(line.dispatcher.missed_wakes for line in reactor.lines.values())


def woken(reactor: Reactor, via: Via, queue: Queue = Queue.MISSION) -> int:
    """How often the queue's dispatcher was woken so."""
    return dispatcher(reactor, queue).woken[via]


# -- rows


def scalar(sql: Session, query: str, *values: Any) -> Any:
    """The one value of the first row."""
    row = sql.execute(query.encode(), values or None).fetchone()
    assert row is not None, query
    return row[0]


def insert(sql: Session, kind: str = "noop", payload: str = "{}", **columns: Any) -> int:
    """A step of its own; returns its id."""
    names = ["kind", "payload", *columns]
    holes = ", ".join(["%s", "%s::jsonb", *["%s"] * len(columns)])
    return int(
        scalar(
            sql,
            f"insert into ops_mission_steps ({', '.join(names)}) values ({holes}) returning id",
            kind,
            payload,
            *columns.values(),
        )
    )


def insert_into(sql: Session, queue: Queue) -> int:
    """The least that people insert; returns the id."""
    least = {
        Queue.MISSION: "insert into ops_mission_steps (kind) values ('noop') returning id",
        Queue.ROUNDTABLE: "insert into ops_roundtable_queue (format, topic) values ('standup', 'x') returning id",
        Queue.INITIATIVE: "insert into ops_initiative_queue (agent_id) values ('sage') returning id",
    }
    return int(scalar(sql, least[queue]))


def status(sql: Session, id: int, queue: Queue = Queue.MISSION) -> str:
    """Where the row is."""
    return str(scalar(sql, f"select status from {queue.table} where id = %s", id))


def columns(sql: Session, id: int, names: str, queue: Queue = Queue.MISSION) -> tuple[Any, ...]:
    """Some columns of the row."""
    row = sql.execute(f"select {names} from {queue.table} where id = %s".encode(), (id,)).fetchone()
    assert row is not None
    return row


async def until_status(
    sql: Session, id: int, wanted: str, queue: Queue = Queue.MISSION, *, within_s: float = 20.0
) -> None:
    """The row is ``wanted``; fails when it is not within the time."""
    deadline = trio.current_time() + within_s
    while (now := status(sql, id, queue)) != wanted:
        assert trio.current_time() < deadline, f"{queue.what} {id} is {now}, not {wanted}"
        await trio.sleep(0.003)


async def until_none_unfinished(sql: Session, *, within_s: float = 30.0) -> None:
    """Every step has ended."""
    deadline = trio.current_time() + within_s
    query = "select count(*) from ops_mission_steps where status in ('waiting', 'queued', 'running')"
    while left := scalar(sql, query):
        assert trio.current_time() < deadline, f"{left} steps are unfinished"
        await trio.sleep(0.01)


def mission(sql: Session, *kinds: str) -> int:
    """A mission with a step of each kind (registered as needed); returns its id."""
    for kind in set(kinds):
        sql.execute(
            "insert into ops_step_kinds (kind) values (%s) on conflict on constraint ops_step_kinds_pkey do nothing",
            (kind,),
        )
    steps = "[" + ", ".join(f'{{"kind": "{kind}"}}' for kind in kinds) + "]"
    return int(scalar(sql, "select ops_enqueue_mission('a mission', %s::jsonb)", steps))
