"""How a sleeping reactor learns of work, and that it learns of nothing else."""

import time

import pytest
import trio

from reactor.engine.wake import Via
from reactor.model.outcomes import Done, Outcome
from reactor.model.queues import Queue
from reactor.store.claimed import ClaimedRow
from tests.engine.support import (
    Memory,
    Session,
    claims,
    dispatcher,
    insert,
    insert_into,
    missed,
    reactor_on,
    scalar,
    settled,
    status,
    until_status,
    woken,
)
from tests.support.waiting import until

BELLS_HELD = (
    "select count(*) from pg_locks where locktype = 'advisory' and classid = 1987014777 and granted"
    " and database = (select oid from pg_database where datname = current_database())"
)


@pytest.mark.parametrize("queue", Queue)
async def test_an_insert_into_an_idle_reactor_starts_at_once(
    database: str, sql: Session, queue: Queue
) -> None:
    memory = Memory()
    async with reactor_on(database, memory, queues=tuple(Queue)) as reactor:
        for _ in range(5):
            inserted_at = time.time()
            id = insert_into(sql, queue)
            await until_status(sql, id, "succeeded", queue)
            assert memory.began_at[id] - inserted_at < 1.0
            await settled(reactor)
        assert woken(reactor, Via.BELL, queue) == 5
        assert missed(reactor) == 0


async def test_a_row_due_later_starts_when_it_is_due_and_not_before(database: str, sql: Session) -> None:
    memory = Memory()
    async with reactor_on(database, memory) as reactor:
        id, due_at = _due_in(sql, 0.4)
        await until_status(sql, id, "succeeded")
        assert 0.0 <= memory.began_at[id] - due_at < 1.0
        assert woken(reactor, Via.DUE) == 1


async def test_a_row_due_earlier_than_the_known_one_moves_the_timer(database: str, sql: Session) -> None:
    memory = Memory()
    async with reactor_on(database, memory):
        late, _ = _due_in(sql, 3600)
        soon, due_at = _due_in(sql, 0.3)
        await until_status(sql, soon, "succeeded")
        assert 0.0 <= memory.began_at[soon] - due_at < 20.0
        assert status(sql, late) == "queued"


async def test_a_row_made_due_by_hand_starts_at_once(database: str, sql: Session) -> None:
    memory = Memory()
    async with reactor_on(database, memory) as reactor:
        one, _ = _due_in(sql, 3600)
        other, _ = _due_in(sql, 3600)
        await settled(reactor)
        sql.execute("update ops_mission_steps set run_at = now() where id = %s", (one,))
        await until_status(sql, one, "succeeded", within_s=20.0)
        assert scalar(sql, "select ops_retry('step', %s)", other)
        await until_status(sql, other, "succeeded", within_s=20.0)


async def test_a_failed_row_brought_back_starts_at_once(database: str, sql: Session) -> None:
    id = insert(sql)
    sql.execute("update ops_mission_steps set status = 'failed' where id = %s", (id,))
    async with reactor_on(database, Memory()):
        assert scalar(sql, "select ops_retry('step', %s)", id)
        await until_status(sql, id, "succeeded", within_s=20.0)


async def test_a_row_locked_by_hand_starts_soon_after_it_is_let_go(database: str, sql: Session) -> None:
    async with reactor_on(database, Memory()) as reactor:
        id, _ = _due_in(sql, 0.3)
        sql.execute("begin")
        sql.execute("select from ops_mission_steps where id = %s for update", (id,))
        seen = claims(reactor)
        await until(lambda: claims(reactor) > seen + 3)  # it is due, it is locked: looked at again and again
        assert status(sql, id) == "queued"
        sql.execute("rollback")  # rings for nobody
        await until_status(sql, id, "succeeded", within_s=20.0)


@pytest.mark.parametrize("queue", Queue)
async def test_with_every_ring_lost_the_sweeps_find_the_rows(
    database: str, sql: Session, queue: Queue
) -> None:
    for table in (one.table for one in Queue):
        sql.execute(f"alter table {table} disable trigger user".encode())
    async with reactor_on(
        database, Memory(), queues=tuple(Queue), sweep_s=dict.fromkeys(Queue, 0.2)
    ) as reactor:
        for _ in range(3):
            await settled(reactor)  # else the end of one row might find the next
            id = insert_into(sql, queue)
            await until_status(sql, id, "succeeded", queue, within_s=20.0)
        assert missed(reactor) == 3  # a listener that is trusted, and work nobody announced: made visible


async def test_a_row_that_comes_with_the_sweep_has_its_ring_on_the_way_and_is_not_missed(
    database: str, sql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reactor.engine.sweeps.RING_MAY_TAKE_S", 3.0)
    async with reactor_on(database, Memory()) as reactor:
        beaten_at = scalar(sql, "select heartbeat_at from ops_workers")
        _insert_in_silence(sql)
        reactor.sweeper._next[Queue.MISSION] = 0.0
        reactor.sweeper.beat_now()
        await until(lambda: scalar(sql, "select heartbeat_at from ops_workers") > beaten_at)
        await until_status(
            sql, insert(sql), "succeeded"
        )  # a ring that comes meanwhile finds what the sweep saw
        await settled(reactor)
        _insert_in_silence(sql)  # as one whose ring is late
        with trio.move_on_after(4.0):
            while woken(reactor, Via.SWEEP) == 0:
                await trio.sleep(0.01)
        assert woken(reactor, Via.SWEEP) == 0
        assert missed(reactor) == 0


def _insert_in_silence(sql: Session) -> int:
    with sql.transaction():
        sql.execute("set local ops.ring = 'off'")
        return insert(sql)


async def test_a_transaction_that_keeps_silent_is_found_by_the_sweep(database: str, sql: Session) -> None:
    async with reactor_on(database, Memory(), sweep_s=dict.fromkeys(Queue, 0.2)):
        with sql.transaction():
            sql.execute("set local ops.ring = 'off'")
            id = insert(sql)
            sql.execute("prepare transaction 'two phases'")
        sql.execute("commit prepared 'two phases'")
        await until_status(sql, id, "succeeded", within_s=20.0)


async def test_an_idle_reactor_asks_nothing(database: str, sql: Session) -> None:
    async with reactor_on(database, Memory(), queues=tuple(Queue)) as reactor:
        before = [claims(reactor, queue) for queue in Queue]
        await trio.sleep(0.5)
        assert [claims(reactor, queue) for queue in Queue] == before


async def test_rows_the_reactor_may_not_take_leave_it_asleep(database: str, sql: Session) -> None:
    async with reactor_on(database, Memory(), agent="sage") as reactor:
        other = insert(sql, agent_id="quill")
        await settled(reactor)
        own = insert(sql, agent_id="sage")
        nobodys = insert(sql)
        await until_status(sql, own, "succeeded")
        await until_status(sql, nobodys, "succeeded")
        await settled(reactor)
        assert status(sql, other) == "queued"
        seen = claims(reactor)
        await trio.sleep(0.2)
        assert claims(reactor) == seen


async def test_a_busy_reactor_leaves_the_bell_to_nobody_and_is_not_rung(database: str, sql: Session) -> None:
    free = trio.Event()

    async def wait(row: ClaimedRow) -> Outcome:
        await free.wait()
        return Done()

    async with reactor_on(database, Memory(wait), concurrency=1) as reactor:
        first = insert(sql)
        await until_status(sql, first, "running")
        await until(
            lambda: scalar(sql, BELLS_HELD) == 0
        )  # at the server: what is let go of here is on its way there
        heard = reactor.control.rings[Queue.MISSION]
        rest = [insert(sql) for _ in range(20)]
        free.set()
        for id in rest:
            await until_status(sql, id, "succeeded")
        assert reactor.control.rings[Queue.MISSION] == heard
        assert dispatcher(reactor).missed_wakes == 0


def _due_in(sql: Session, seconds: float) -> tuple[int, float]:
    """A step due in so many seconds; its id and the time, as time.time() has it."""
    row = sql.execute(
        "insert into ops_mission_steps (kind, run_at) values ('noop', now() + %s * interval '1 second')"
        " returning id, extract(epoch from run_at)::float8",
        (seconds,),
    ).fetchone()
    assert row is not None
    return row[0], row[1]
