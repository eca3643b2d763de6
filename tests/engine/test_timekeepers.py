"""The schedule, the heartbeat and the rules on real reactors."""

import random
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime

import pytest
import trio
import trio.testing

from reactor.engine.plan import Plan
from reactor.engine.supervisor import Reactor
from reactor.engine.timekeepers import Alarm, keepers
from reactor.handlers import heartbeat, schedule
from reactor.pg import Pool
from tests.engine.support import Memory, Session, scalar
from tests.support.rules import happens, only_rule, proposals
from tests.support.waiting import until

FOREVER_S = 1e6


@asynccontextmanager
async def reactor_with(dsn: str, *parts: str) -> AsyncIterator[Reactor]:
    """A reactor that has these parts and works on no queue."""
    plan = Plan(
        dsn=dsn,
        direct_dsn=dsn,
        queues={},
        parts=parts,
        kinds=(),
        agent=None,
        grace_s=5.0,
        watcher=Memory(),
        chance=random.random,
        pool_limit=2,
        keepers=lambda pool, listening: keepers(parts, pool, random.random, listening),
    )
    reactor = Reactor(plan)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(reactor.run)
            yield reactor
            nursery.cancel_scope.cancel()
    finally:
        reactor_left = trio.CancelScope(shield=True, deadline=trio.current_time() + 10)
        with reactor_left:
            await reactor.pool.aclose()


async def until_beaten(sql: Session, parts: Collection[str] = tuple(heartbeat.PARTS)) -> None:
    await until(lambda: scalar(sql, "select count(*) from ops_heartbeat_parts") == len(parts))


async def test_an_event_leads_to_its_proposal_as_it_arrives(database: str, sql: Session) -> None:
    only_rule(sql, "at_once", event_kind="shop_opened")
    async with reactor_with(database, "heartbeat"):
        await until_beaten(sql)
        for _ in range(3):
            happens(sql, "shop_opened")
            await until(lambda: scalar(sql, "select count(*) from ops_trigger_inbox") == 0, within_s=20.0)
        assert len(proposals(sql)) == 3


async def test_events_of_three_reactors_are_looked_at_once(database: str, sql: Session) -> None:
    only_rule(sql, "at_once", event_kind="shop_opened")
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(reactor_with(database, "heartbeat"))
        await until_beaten(sql)
        for _ in range(10):
            happens(sql, "shop_opened")
        await until(lambda: scalar(sql, "select count(*) from ops_trigger_inbox") == 0)
        assert scalar(sql, "select count(*) from ops_trigger_firings") == 10
        assert len(proposals(sql)) == 10


async def test_what_arrived_while_nobody_was_there_or_all_was_paused_is_looked_at_afterwards(
    database: str, sql: Session
) -> None:
    only_rule(sql, "patient", event_kind="shop_opened")
    happens(sql, "shop_opened")
    async with reactor_with(database, "heartbeat"):
        await until(lambda: len(proposals(sql)) == 1)
        await until_beaten(sql)
        sql.execute("select ops_pause('all')")
        happens(sql, "shop_opened")
        happens(sql, "shop_opened")
        await trio.testing.wait_all_tasks_blocked(0.2)
        assert len(proposals(sql)) == 1
        sql.execute("select ops_resume('all')")
        await until(lambda: len(proposals(sql)) == 3)


async def test_a_slot_added_while_all_sleep_comes_to_pass_once_on_three_reactors(
    database: str, sql: Session
) -> None:
    sql.execute("delete from ops_conversation_slots")
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(reactor_with(database, "schedule"))
        now: datetime = scalar(sql, "select ops_now()")
        # Cron knows minutes; what counts from a minute ago is due now.
        sql.execute(
            "insert into ops_conversation_slots (name, cron, format) values ('now', '* * * * *', 'standup')"
        )
        sql.execute("alter table ops_conversation_slots disable trigger ops_conversation_slots_changes")
        sql.execute("update ops_conversation_slots set since = %s - interval '1 minute'", (now,))
        await until(lambda: scalar(sql, "select count(*) from ops_roundtable_queue") >= 1)
        queued = scalar(sql, "select count(*) from ops_slot_occurrences where outcome = 'queued'")
        assert queued == scalar(sql, "select count(*) from ops_roundtable_queue where source = 'schedule'")
        twice = "select count(*) - count(distinct created_at) from ops_roundtable_queue"
        assert scalar(sql, twice) == 0
        assert queued <= 2  # a minute may have begun meanwhile


async def test_a_paused_schedule_catches_up_when_it_is_resumed(database: str, sql: Session) -> None:
    sql.execute("delete from ops_conversation_slots")
    sql.execute(
        "insert into ops_conversation_slots (name, cron, format) values ('now', '* * * * *', 'standup')"
    )
    sql.execute("alter table ops_conversation_slots disable trigger ops_conversation_slots_changes")
    sql.execute("update ops_conversation_slots set since = since - interval '1 minute'")
    sql.execute("select ops_pause('roundtable')")
    async with reactor_with(database, "schedule") as reactor:
        async with reactor.pool.connection() as conn:
            look = await schedule.take_due(conn, random.random)
        assert (look.taken, look.paused) == ([], True)
        sql.execute("select ops_resume('roundtable')")
        await until(lambda: scalar(sql, "select count(*) from ops_roundtable_queue") >= 1)


@pytest.mark.usefixtures("the_week")
async def test_a_slot_that_means_nothing_leaves_the_others(database: str, sql: Session) -> None:
    sql.execute("update ops_conversation_slots set cron = '99 * * * *' where name = 'debate'")
    async with reactor_with(database, "schedule") as reactor, reactor.pool.connection() as conn:
        look = await schedule.take_due(conn, random.random)
    assert [problem.split(":")[0] for problem in look.problems.values()] == ["slot debate"]
    assert look.next_s is not None
    assert 0 < look.next_s <= 8 * 3600


async def test_a_part_that_fails_leaves_the_rest_and_a_row(database: str, sql: Session) -> None:
    async def broken(pool: Pool) -> heartbeat.Result:
        raise ValueError("out of paper")

    async def refused(pool: Pool) -> heartbeat.Result:
        async with pool.connection() as conn:
            await conn.run("select 1 / 0")
        return {}

    async def idle(pool: Pool) -> heartbeat.Result:
        return {}

    async def busy(pool: Pool) -> heartbeat.Result:
        return {"rows": 3}

    parts = {"broken": broken, "refused": refused, "idle": idle, "busy": busy}
    async with reactor_with(database) as reactor:
        done = await heartbeat.beat(reactor.pool, parts)
        again = await heartbeat.beat(reactor.pool, parts)
    assert done == {"broken": False, "refused": False, "idle": True, "busy": True}
    assert again == {}
    rows = sql.execute(
        "select part, status, result, failure_reason from ops_action_runs order by id"
    ).fetchall()
    assert [(part, status, result) for part, status, result, _ in rows] == [
        ("broken", "failed", {}),
        ("refused", "failed", {}),
        ("busy", "succeeded", {"rows": 3}),
    ]
    assert rows[0][3] == "ValueError: out of paper"
    assert "division by zero" in rows[1][3]


async def test_every_part_runs_on_a_fresh_house_and_has_nothing_to_say(database: str, sql: Session) -> None:
    async with reactor_with(database) as reactor:
        done = await heartbeat.beat(reactor.pool)
    assert done == dict.fromkeys(heartbeat.PARTS, True)
    assert scalar(sql, "select count(*) from ops_action_runs") == 0


async def test_a_reactor_that_stops_begins_nothing_more(database: str, sql: Session) -> None:
    only_rule(sql, "eager", event_kind="shop_opened")
    async with reactor_with(database, "heartbeat", "schedule") as reactor:
        await until_beaten(sql)
        await reactor.stop(1.0)
        happens(sql, "shop_opened")
        await trio.testing.wait_all_tasks_blocked(0.2)
        assert scalar(sql, "select count(*) from ops_trigger_inbox") == 1


async def test_between_their_times_the_keepers_ask_the_database_nothing(database: str, sql: Session) -> None:
    async with reactor_with(database, "heartbeat", "schedule") as reactor:
        await until_beaten(sql)
        await until(lambda: reactor.pool.idle == reactor.pool.size)
        latest = (
            "select max(query_start) from pg_stat_activity"
            " where datname = current_database() and application_name like %s"
        )
        await trio.testing.wait_all_tasks_blocked(0.2)
        before = scalar(sql, latest, "%work")
        await trio.sleep(1.5)  # long enough for whoever would ask regularly
        assert scalar(sql, latest, "%work") == before


async def test_a_word_that_comes_during_a_look_wakes_the_next_sleep(
    autojump_clock: trio.testing.MockClock,
) -> None:
    alarm = Alarm("rules")
    alarm.clear()
    alarm.hear("rules")
    await alarm.sleep(FOREVER_S)
    assert trio.current_time() < 1
    alarm.clear()
    alarm.hear("pass:mission")
    await alarm.sleep(10)
    assert trio.current_time() >= 10
