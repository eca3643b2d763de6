"""A reactor with more to do than it can: who goes first, and that nobody is forgotten."""

import time
from uuid import uuid4

import psycopg
import pytest
import trio

from reactor.engine.claimer import Claimer
from reactor.engine.connections import Sessions, work_pool
from reactor.model.outcomes import Done, Outcome
from reactor.model.queues import Queue
from reactor.store.claimed import ClaimedRow
from reactor.store.queues import Taker
from tests.engine.support import (
    Memory,
    Session,
    columns,
    insert,
    insert_into,
    missed,
    mission,
    reactor_on,
    scalar,
    settled,
    status,
    until_none_unfinished,
    until_status,
)
from tests.support.waiting import until


async def _ten_ms(row: ClaimedRow) -> Outcome:
    await trio.sleep(0.012)  # over what counts as fast: nothing is read ahead
    return Done()


@pytest.mark.parametrize("queue", Queue)
async def test_a_backlog_of_any_queue_is_worked_off(database: str, sql: Session, queue: Queue) -> None:
    ids = [insert_into(sql, queue) for _ in range(40)]
    memory = Memory(_ten_ms)
    async with reactor_on(database, memory, queues=(queue,), concurrency=3, asleep=False) as reactor:
        for id in ids:
            await until_status(sql, id, "succeeded", queue)
        await settled(reactor)
    assert memory.began_ids == ids
    assert missed(reactor) == 0


@pytest.mark.parametrize("queue", Queue)
async def test_a_row_with_no_attempt_left_is_tried_once_more_and_holds_nobody_up(
    database: str, sql: Session, queue: Queue
) -> None:
    used_up = insert_into(sql, queue)
    sql.execute(f"update {queue.table} set attempt = max_attempts where id = %s".encode(), (used_up,))
    behind = insert_into(sql, queue)
    async with reactor_on(database, Memory(), queues=(queue,), asleep=False):
        for id in (used_up, behind):
            await until_status(sql, id, "succeeded", queue)
    assert columns(sql, used_up, "attempt = max_attempts", queue) == (True,)


async def test_a_claim_that_the_database_refuses_is_said_once_and_goes_on_when_it_may(
    database: str, sql: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    sql.execute(
        "create sequence tries;"
        "create function not_today() returns trigger language plpgsql as"
        " $$begin perform nextval('tries'); raise 'not today'; end$$;"
        "create trigger of_the_users_own before update on ops_mission_steps for each row execute function not_today()"
    )
    async with reactor_on(database, Memory()):
        id = insert(sql)
        await until(lambda: scalar(sql, "select last_value from tries") >= 3)
        await _drop_trigger(sql, Queue.MISSION)
        await until_status(sql, id, "succeeded")
    said = [line for line in capsys.readouterr().out.splitlines() if "claim_refused" in line]
    assert len(said) == 1
    assert "not today" in said[0]


async def _drop_trigger(sql: Session, queue: Queue) -> None:
    """In a thread: it waits for a claim under way, which waits for this loop."""
    drop = f"drop trigger of_the_users_own on {queue.table}".encode()
    await trio.to_thread.run_sync(sql.execute, drop)


REFUSING = """
create function never_this_one() returns trigger language plpgsql as
  $$begin if new.id = {id} {only} then raise 'never this one'; end if; return new; end$$;
create {constraint} trigger of_the_users_own {when} update on {table} {deferred}
  for each row execute function never_this_one();
"""
AT_ONCE = {"constraint": "", "when": "before", "deferred": ""}
AT_COMMIT = {"constraint": "constraint", "when": "after", "deferred": "deferrable initially deferred"}


@pytest.mark.parametrize("how", [AT_ONCE, AT_COMMIT], ids=["at-once", "at-commit"])
@pytest.mark.parametrize("queue", Queue)
async def test_a_row_whose_claim_is_refused_fails_with_the_reason_and_the_queue_goes_on(
    database: str, sql: Session, queue: Queue, how: dict[str, str]
) -> None:
    ids = [insert_into(sql, queue) for _ in range(9)]
    refused = ids[4]
    only = "and new.status = 'running'"
    sql.execute(REFUSING.format(table=queue.table, id=refused, only=only, **how).encode())
    memory = Memory()
    async with reactor_on(database, memory, queues=(queue,), asleep=False) as reactor:
        for id in ids:
            await until_status(sql, id, "failed" if id == refused else "succeeded", queue)
        await settled(reactor)
        behind = insert_into(sql, queue)
        await until_status(sql, behind, "succeeded", queue)
    assert columns(sql, refused, "attempt, failure_reason", queue) == (
        0,
        "the database refuses to have it claimed: never this one",
    )
    assert sorted(memory.began_ids) == [id for id in (*ids, behind) if id != refused]
    told = "select kind, summary from ops_agent_events where kind like '%\\_failed'"
    assert sql.execute(told).fetchall() == [
        (f"{queue.what}_failed", "the database refuses to have it claimed: never this one")
    ]


async def test_a_step_whose_claim_is_refused_fails_its_mission(database: str, sql: Session) -> None:
    id = mission(sql, "noop", "noop")
    others = [insert(sql) for _ in range(3)]
    first = scalar(sql, "select min(id) from ops_mission_steps where mission_id = %s", id)
    sql.execute(
        REFUSING.format(
            table="ops_mission_steps", id=first, only="and new.status = 'running'", **AT_ONCE
        ).encode()
    )
    async with reactor_on(database, Memory(), asleep=False):
        for other in others:
            await until_status(sql, other, "succeeded")
        await until_status(sql, first, "failed")
        await until(lambda: scalar(sql, "select status from ops_missions where id = %s", id) == "failed")


@pytest.mark.parametrize("queue", Queue)
async def test_a_row_that_refuses_any_change_is_named_once_and_the_queue_goes_on(
    database: str, sql: Session, queue: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [insert_into(sql, queue) for _ in range(5)]
    refused = ids[0]
    sql.execute(REFUSING.format(table=queue.table, id=refused, only="", **AT_ONCE).encode())
    async with reactor_on(database, Memory(), queues=(queue,), asleep=False) as reactor:
        for id in ids[1:]:
            await until_status(sql, id, "succeeded", queue)
        for _ in range(3):
            await until_status(sql, insert_into(sql, queue), "succeeded", queue)
        assert columns(sql, refused, "status", queue) == ("queued",)
        reactor.sweeper.beat_now()
        why = f"select sentence from ops_why('{queue.what}', {refused})"
        await until(lambda: "refuses to have it claimed: never this one" in scalar(sql, why), within_s=20)
        await _drop_trigger(sql, queue)
        await until_status(sql, refused, "succeeded", queue)
    [said] = [line for line in capsys.readouterr().out.splitlines() if "row_refused" in line]
    assert f"id={refused}" in said
    assert "never this one" in said


async def test_an_urgent_row_overtakes_a_backlog_within_about_a_second(database: str, sql: Session) -> None:
    memory = Memory(_ten_ms)
    _backlog(sql, 1500)
    async with reactor_on(database, memory, concurrency=4, asleep=False):
        await until(lambda: len(memory.began_ids) > 50)
        for _ in range(2):
            inserted_at = time.time()
            id = insert(sql, priority=10)
            await until(lambda: id in memory.began_at, within_s=20.0)  # noqa: B023 - awaited within the loop
            assert memory.began_at[id] - inserted_at < 2.0
        assert scalar(sql, "select count(*) from ops_mission_steps where status = 'queued'") > 300


async def test_a_row_committed_late_but_due_earlier_is_found_while_busy(database: str, sql: Session) -> None:
    memory = Memory(_ten_ms)
    _backlog(sql, 1500)
    async with reactor_on(database, memory, concurrency=4, asleep=False):
        await until(lambda: len(memory.began_ids) > 50)
        id = insert(sql, run_at="2020-01-01")
        await until(lambda: id in memory.began_at, within_s=20.0)
        assert scalar(sql, "select count(*) from ops_mission_steps where status = 'queued'") > 300


async def test_every_row_of_many_priorities_is_done_once(database: str, sql: Session) -> None:
    sql.execute(
        "insert into ops_mission_steps (kind, priority, run_at)"
        " select 'noop', 1 + mod(n * 7, 10), now() - mod(n, 13) * interval '1 minute' from generate_series(1, 3000) as n"
    )
    memories = [Memory(), Memory()]
    async with (
        reactor_on(database, memories[0], concurrency=8, asleep=False),
        reactor_on(database, memories[1], concurrency=8, asleep=False),
    ):
        await until_none_unfinished(sql)
    times = memories[0].times + memories[1].times
    assert len(times) == 3000
    assert set(times.values()) == {1}


async def test_full_queues_do_not_hold_each_other_up(database: str, sql: Session) -> None:
    blocked = trio.Event()

    async def deed(row: ClaimedRow) -> Outcome:
        if row.kind == "standup":
            await blocked.wait()
        return Done()

    async with reactor_on(database, Memory(deed), queues=tuple(Queue), concurrency=2):
        for _ in range(10):
            insert_into(sql, Queue.ROUNDTABLE)
        await until_status(sql, 2, "running", Queue.ROUNDTABLE)
        for queue in (Queue.MISSION, Queue.INITIATIVE):
            await until_status(sql, insert_into(sql, queue), "succeeded", queue, within_s=20.0)
        blocked.set()
        await until_status(sql, 10, "succeeded", Queue.ROUNDTABLE)


def _backlog(sql: Session, rows: int) -> None:
    sql.execute("insert into ops_mission_steps (kind) select 'noop' from generate_series(1, %s)", (rows,))


async def test_a_row_that_a_hand_has_locked_holds_up_only_what_is_written_with_it(
    database: str, sql: Session
) -> None:
    released = trio.Event()

    async def wait_if_first(row: ClaimedRow) -> Outcome:
        if row.id == locked:
            await released.wait()
        return Done()

    locked = insert(sql)
    memory = Memory(wait_if_first)
    async with reactor_on(database, memory, pool_limit=3, asleep=False) as reactor:
        await until(lambda: locked in memory.began_ids)
        with psycopg.connect(database) as hand:
            hand.execute("select from ops_mission_steps where id = %s for update", (locked,))
            released.set()
            await until(lambda: not reactor.lines[Queue.MISSION].executor.load)
            sql.execute("insert into ops_mission_steps (kind) select 'noop' from generate_series(1, 600)")
            succeeded = "select count(*) from ops_mission_steps where status = 'succeeded'"
            await until(lambda: scalar(sql, succeeded) >= 300)
            assert status(sql, locked) == "running"
        await until_none_unfinished(sql)
    assert set(memory.times.values()) == {1}


async def test_waiting_for_a_connection_is_not_charged_to_the_scan_from_the_top(database: str) -> None:
    pool = work_pool(Sessions(database, database, 1), 1)
    claimer = Claimer(Queue.MISSION, pool, lambda: Taker(uuid4(), ["noop"], None))
    try:
        async with trio.open_nursery() as nursery, pool.connection():
            nursery.start_soon(claimer.claim_from_the_top, 10)
            await trio.sleep(
                1.0
            )  # an outage, as far as the claim can tell; ten times that would be kept waiting
        assert claimer._top_allowed - trio.current_time() < 3.0
    finally:
        await pool.aclose()
