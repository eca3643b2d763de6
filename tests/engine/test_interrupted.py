"""The database breaks under a handler: nobody's fault, so no attempt is burnt; whoever breaks it every time is poison."""

import pytest
import trio

from reactor.engine.supervisor import Reactor
from reactor.errors import ConnectionLost, DatabaseUnavailable
from reactor.model.outcomes import Done, GiveBack, Interrupted, Outcome, of_outage
from reactor.model.queues import Queue
from reactor.store.claimed import ClaimedRow
from tests.engine.support import (
    Memory,
    Session,
    columns,
    insert_into,
    mission,
    reactor_on,
    scalar,
    settled,
    until_status,
)

IN_THE_HANDLER = (
    "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity"
    " where datname = current_database() and pid <> pg_backend_pid() and query like '%a handler sleeps%'"
    " and state = 'active'"
)


class Sleeper:
    """Handlers that wait in a statement of their own: ``breaks`` times somebody ends it, after that it is done at once."""

    def __init__(self, sql: Session, breaks: int) -> None:
        self.memory = Memory(self._sleep)
        self.reactor: Reactor | None = None
        self._sql = sql
        self._breaks = breaks

    async def _sleep(self, row: ClaimedRow) -> Outcome:
        assert self.reactor is not None
        if len(self.memory.began_ids) > self._breaks:
            return Done()
        async with trio.open_nursery() as nursery:  # as handlers do: what breaks comes out in a group
            nursery.start_soon(self._in_a_statement)
        return Done()

    async def _in_a_statement(self) -> None:
        assert self.reactor is not None
        async with self.reactor.pool.connection() as conn:
            await conn.run("select pg_sleep(60) /* a handler sleeps */")

    async def broken(self, times: int) -> None:
        """The handlers' backends were terminated in the middle of their statement, so often."""
        ended = 0
        with trio.fail_after(30):
            while ended < times:
                ended += scalar(self._sql, IN_THE_HANDLER)
                await trio.sleep(0.01)


@pytest.mark.parametrize("queue", Queue)
async def test_a_statement_broken_in_a_handler_burns_no_attempt(
    database: str, sql: Session, queue: Queue
) -> None:
    sleeper = Sleeper(sql, breaks=2)
    async with reactor_on(database, sleeper.memory, queues=(queue,)) as sleeper.reactor:
        id = insert_into(sql, queue)
        sql.execute(f"update {queue.table} set max_attempts = 1".encode())
        await sleeper.broken(2)
        await until_status(sql, id, "succeeded", queue, within_s=20)
    assert columns(sql, id, "attempt, crashes, failure_reason", queue) == (1, 2, None)
    told = sql.execute(
        "select summary, metadata -> 'crashes' from ops_agent_events where kind = %s order by id",
        (f"{queue.what}_rescued",),
    ).fetchall()
    assert [crashes for _, crashes in told] == [1, 2]
    assert all("terminating connection due to administrator command" in said for said, _ in told)


@pytest.mark.parametrize("queue", Queue)
async def test_a_row_that_breaks_the_connection_every_time_is_poison(
    database: str, sql: Session, queue: Queue
) -> None:
    sleeper = Sleeper(sql, breaks=3)
    async with reactor_on(database, sleeper.memory, queues=(queue,)) as sleeper.reactor:
        id = insert_into(sql, queue)
        await sleeper.broken(3)
        await until_status(sql, id, "failed", queue, within_s=20)
        await until_status(sql, insert_into(sql, queue), "succeeded", queue, within_s=20)
        await settled(sleeper.reactor)
    assert sleeper.memory.times[id] == 3
    reason, *counts = columns(sql, id, "failure_reason, attempt, crashes", queue)
    assert reason.startswith(
        "poison: a crash or a broken connection ended it 3 times; the last: the server closed"
    )
    assert counts == [0, 3]
    failed = "select summary from ops_agent_events where kind = %s"
    assert scalar(sql, failed, f"{queue.what}_failed") == reason


async def test_a_poisonous_step_fails_its_mission(database: str, sql: Session) -> None:
    sleeper = Sleeper(sql, breaks=3)
    async with reactor_on(database, sleeper.memory) as sleeper.reactor:
        id = mission(sql, "noop", "noop")
        await sleeper.broken(3)
        with trio.fail_after(20):
            while scalar(sql, "select status from ops_missions where id = %s", id) != "failed":
                await trio.sleep(0.01)
    assert sql.execute("select status from ops_mission_steps order by seq").fetchall() == [
        ("failed",),
        ("cancelled",),
    ]


async def test_crashes_counted_as_high_as_they_go_stop_no_rescue(database: str, sql: Session) -> None:
    sleeper = Sleeper(sql, breaks=1)
    async with reactor_on(database, sleeper.memory) as sleeper.reactor:
        sql.execute("insert into ops_mission_steps (kind, crashes) values ('noop', 32767)")
        await sleeper.broken(1)
        await until_status(sql, scalar(sql, "select id from ops_mission_steps"), "failed", within_s=20)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ConnectionLost("the line\n broke"), Interrupted("the line broke")),
        (DatabaseUnavailable("nobody answers"), GiveBack("nobody answers")),
        (ExceptionGroup("", [DatabaseUnavailable("away"), ConnectionLost("broke")]), Interrupted("broke")),
        (ExceptionGroup("", [ConnectionLost("broke"), KeyError("and a mistake")]), None),
        (KeyError("a mistake"), None),
    ],
)
def test_what_an_outage_is_and_what_is_none(error: BaseException, outcome: Outcome | None) -> None:
    assert of_outage(error) == outcome
