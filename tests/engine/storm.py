"""Many writers at once, of every habit; what they do is data, so that Hypothesis and a seed can both make it up."""

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import Any, NamedTuple

import psycopg
import trio

from reactor.engine.supervisor import Reactor
from reactor.model.outcomes import Done, Fail, Outcome
from reactor.model.queues import Queue
from reactor.store.claimed import ClaimedRow, ClaimedStep
from tests.engine.support import Memory, Session, reactor_on, scalar

WRITERS = 4
HABITS = (
    "one row",
    "many rows",
    "copy",
    "long transaction",
    "rolled back",
    "savepoint kept",
    "savepoint undone",
    "delayed",
    "due earlier than planned",
    "more urgent than planned",
    "fails at first",
    "locked by hand",
    "mission",
    "nobody's",
    "silent",
    "pause for breath",
)
AGENTS = (None, "sage", "quill")
LOOK_FOR_S = 20.0


class Action(NamedTuple):
    """One thing a writer does. ``ms``: how long it takes, or when it is due."""

    habit: str
    agent: str | None
    rows: int
    ms: int


def made_up(dice: random.Random) -> Action:
    """An action by chance."""
    return Action(
        dice.choice(HABITS), dice.choice(AGENTS), dice.randint(1, 8), dice.choice([0, 1, 5, 20, 60])
    )


def perform(session: Session, action: Action) -> None:
    """Do it on a connection in autocommit."""
    _, agent, rows, ms = action
    pause_s = ms / 1000
    match action.habit:
        case "one row":
            _insert(session, agent, 1)
        case "many rows":
            _insert(session, agent, rows)
        case "copy":
            with session.cursor().copy("copy ops_mission_steps (kind, agent_id) from stdin") as copy:
                for _ in range(rows):
                    copy.write_row(("noop", agent))
        case "long transaction":
            with session.transaction():
                for _ in range(2):
                    _insert(session, agent, rows)
                    time.sleep(pause_s)
        case "rolled back":
            with session.transaction():
                _insert(session, agent, rows)
                time.sleep(pause_s)
                raise psycopg.Rollback
        case "savepoint kept" | "savepoint undone":
            with session.transaction():
                with session.transaction():
                    _insert(session, agent, rows)
                    if action.habit == "savepoint undone":
                        raise psycopg.Rollback
                time.sleep(pause_s)
                _insert(session, agent, 1)
        case "delayed":
            _insert(session, agent, rows, due_ms=ms)
        case "due earlier than planned":
            id = _insert(session, agent, 1, due_ms=3_600_000)
            time.sleep(pause_s)
            session.execute("update ops_mission_steps set run_at = ops_now() where id = %s", (id,))
        case "more urgent than planned":
            id = _insert(session, agent, 1, due_ms=ms)
            session.execute(
                "update ops_mission_steps set priority = 9 where id = %s and status = 'queued'", (id,)
            )
        case "fails at first":
            _insert(session, agent, rows, payload='{"fail": true}')
        case "locked by hand":
            id = _insert(session, agent, 1, due_ms=5)
            with session.transaction():
                session.execute("select from ops_mission_steps where id = %s for update", (id,))
                time.sleep(pause_s)
        case "mission":
            session.execute(
                "select ops_enqueue_mission('storm', jsonb_build_array("
                "jsonb_build_object('kind', 'noop', 'agent_id', %s::text), jsonb_build_object('kind', 'noop')))",
                (agent,),
            )
        case "nobody's":
            session.execute("insert into ops_mission_steps (kind) values ('nobodys')")
        case "silent":
            with session.transaction():
                session.execute("set local ops.ring = 'off'")
                _insert(session, agent, rows, payload='{"silent": true}')
        case _:
            time.sleep(pause_s)


def _insert(session: Session, agent: str | None, rows: int, *, due_ms: int = 0, payload: str = "{}") -> int:
    return int(
        scalar(
            session,
            "with new as ("
            " insert into ops_mission_steps (kind, agent_id, payload, run_at)"
            " select 'noop', %s, %s::jsonb, ops_now() + %s * interval '1 millisecond' from generate_series(1, %s)"
            " returning id) select max(id) from new",
            agent,
            payload,
            due_ms,
            rows,
        )
    )


async def deed(row: ClaimedRow) -> Outcome:
    """A handler for the storm: mostly quick, sometimes a while, failing once where the row says so."""
    assert isinstance(row, ClaimedStep)
    if "fail" in row.payload and row.attempt == 1:
        return Fail("at first")
    if row.id % 7 == 0:
        await trio.sleep(0.004)
    return Done()


class Fleet(NamedTuple):
    """Reactors of different agents on one database, all sweeps off."""

    reactors: Sequence[Reactor]
    memories: Sequence[Memory]

    def times(self) -> Counter[int]:
        """How often each row began, anywhere."""
        return sum((memory.times for memory in self.memories), Counter[int]())

    def told(self) -> str:
        """What the bells did."""
        lines = [reactor.lines[Queue.MISSION] for reactor in self.reactors]
        return (
            f"{sum(reactor.control.rings[Queue.MISSION] for reactor in self.reactors)} rings heard,"
            f" {sum(line.bell.grants for line in lines)} bells taken,"
            f" {sum(line.bell.timeouts for line in lines)} waits in vain,"
            f" {sum(line.dispatcher.missed_wakes for line in lines)} missed"
        )


@asynccontextmanager
async def fleet(dsn: str, sql: Session) -> Any:
    """Three reactors at work: one for sage, two for quill."""
    sql.execute("insert into ops_step_kinds (kind) values ('noop'), ('nobodys') on conflict do nothing")
    async with AsyncExitStack() as stack:
        memories = [Memory(deed) for _ in range(3)]
        reactors = [
            await stack.enter_async_context(
                reactor_on(dsn, memory, agent=agent, concurrency=2, chance=lambda: random.random() / 20)
            )
            for memory, agent in zip(memories, ("sage", "quill", "quill"), strict=True)
        ]
        yield Fleet(reactors, memories)


@contextmanager
def writers(dsn: str, count: int = WRITERS) -> Iterator[tuple[list[Session], ThreadPoolExecutor]]:
    """Connections in autocommit, and a thread for each."""
    with ExitStack() as stack:
        sessions = [stack.enter_context(psycopg.connect(dsn, autocommit=True)) for _ in range(count)]
        yield sessions, stack.enter_context(ThreadPoolExecutor(count))


def let_loose(
    sessions: Sequence[Session], threads: ThreadPoolExecutor, scripts: Sequence[Sequence[Action]]
) -> None:
    """Every script is done, all at once."""

    def follow(session: Session, script: Sequence[Action]) -> None:
        for action in script:
            perform(session, action)

    futures = [threads.submit(follow, *pair) for pair in zip(sessions, scripts, strict=False)]
    for future in futures:
        future.result(60)


def nothing_is_lost(sql: Session, fleet: Fleet) -> int:
    """Every committed row ends by itself, the silent ones at a sweep, each as often as it says; returns how many rows."""
    _all_end(sql, "and not payload ? 'silent'")
    sql.execute("select ops_ring_all()")
    _all_end(sql, "")
    rows = sql.execute(
        "select id, attempt, payload ? 'fail' from ops_mission_steps where kind = 'noop'"
    ).fetchall()
    times = fleet.times()
    for id, attempt, fails in rows:
        assert attempt == 1 + fails, f"step {id} needed {attempt} attempts"
        assert times[id] == attempt, f"step {id} began {times[id]} times, its attempt is {attempt}"
    assert scalar(sql, "select count(*) from ops_missions where status <> 'succeeded'") == 0
    assert all(r.lines[Queue.MISSION].dispatcher.missed_wakes == 0 for r in fleet.reactors)
    return len(rows)


def _all_end(sql: Session, but: str) -> None:
    query = "select count(*) from ops_mission_steps where status <> 'succeeded' and kind = 'noop' "
    deadline = time.monotonic() + LOOK_FOR_S
    while left := scalar(sql, query + but):
        assert time.monotonic() < deadline, f"{left} rows are left behind"
        time.sleep(0.002)
