"""Leaving in order: nothing is left running, and somebody else goes on."""

import pytest
import trio

from reactor.model.outcomes import Done, Outcome
from reactor.model.queues import Queue
from reactor.store.claimed import ClaimedRow
from tests.engine.support import (
    Deed,
    Memory,
    Session,
    columns,
    insert,
    mission,
    reactor_on,
    scalar,
    settled,
    status,
    until_none_unfinished,
    until_status,
)
from tests.support.waiting import until

_COUNT = "select count(*) from ops_mission_steps where status = %s"


async def test_running_work_ends_within_the_grace_period_and_is_written(database: str, sql: Session) -> None:
    async with reactor_on(database, Memory(_takes(0.5))) as reactor:
        ids = [insert(sql) for _ in range(3)]
        await until(lambda: reactor.running() == 3)
        stopped = await reactor.stop(5.0)
        assert (stopped.finished, stopped.given_back, stopped.stuck) == (3, 0, ())
        assert [status(sql, id) for id in ids] == ["succeeded"] * 3
        assert scalar(sql, "select state from ops_workers where id = %s", reactor.identity.id) == "stopped"
        late = insert(sql)
        await trio.sleep(0.1)
        assert status(sql, late) == "queued"


async def test_work_that_takes_longer_goes_back_as_if_never_taken_and_a_peer_does_it(
    database: str, sql: Session
) -> None:
    slow, peer = Memory(_takes(60)), Memory()
    async with reactor_on(database, slow) as reactor:
        id = insert(sql)
        await until(lambda: slow.began_ids == [id])
        async with reactor_on(database, peer):
            stopped = await reactor.stop(0.1)
            assert (stopped.finished, stopped.given_back) == (0, 1)
            await until_status(sql, id, "succeeded")
    assert slow.cancelled == [id]
    assert peer.began_ids == [id]
    assert columns(sql, id, "attempt, crashes") == (1, 0)


async def test_a_second_signal_does_not_wait(database: str, sql: Session) -> None:
    async with reactor_on(database, Memory(_takes(60))) as reactor:
        id = insert(sql)
        await until_status(sql, id, "running")
        async with trio.open_nursery() as nursery:

            async def hurry() -> None:
                await trio.sleep(0.05)
                reactor.hurry()

            nursery.start_soon(hurry)
            with trio.fail_after(3):
                stopped = await reactor.stop(60.0)
        assert stopped.given_back == 1
        assert columns(sql, id, "status, attempt, claimed_by") == ("queued", 0, None)


async def test_rows_read_ahead_go_back_at_once_also_under_load(database: str, sql: Session) -> None:
    sql.execute("insert into ops_mission_steps (kind) select 'noop' from generate_series(1, 5000)")
    memory = Memory(_takes(0.0))
    async with reactor_on(database, memory, concurrency=20, asleep=False) as reactor:
        await until(lambda: len(memory.began_ids) > 300)
        stopped = await reactor.stop(5.0)
        assert scalar(sql, _COUNT, "running") == 0
        succeeded, queued = scalar(sql, _COUNT, "succeeded"), scalar(sql, _COUNT, "queued")
        assert succeeded + queued == 5000
        assert succeeded == len(memory.began_ids)
        assert stopped.given_back > 0
        assert (
            scalar(sql, "select count(*) from ops_mission_steps where status = 'queued' and attempt > 0") == 0
        )
    other = Memory()
    async with reactor_on(database, other, asleep=False):
        await until_none_unfinished(sql)
    assert len(other.began_ids) == queued
    assert not set(other.began_ids) & set(memory.began_ids)


async def test_a_handler_that_will_not_end_is_named(
    database: str, sql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reactor.engine.supervisor.CANCEL_WITHIN_S", 0.2)
    free = trio.Event()

    async def stubborn(row: ClaimedRow) -> Outcome:
        with trio.CancelScope(shield=True):
            await free.wait()
        return Done()

    memory = Memory(stubborn)
    async with reactor_on(database, memory) as reactor:
        id = insert(sql)
        await until(lambda: memory.began_ids == [id])
        stopped = await reactor.stop(0.05)
        assert stopped.stuck == (f"step {id} (noop)",)
        assert status(sql, id) == "queued"  # nothing is left running by a clean exit
        free.set()


async def test_every_queue_is_given_back(database: str, sql: Session) -> None:
    async with reactor_on(database, Memory(_takes(60)), queues=tuple(Queue)) as reactor:
        sql.execute("insert into ops_mission_steps (kind) values ('noop')")
        sql.execute("insert into ops_roundtable_queue (format) values ('standup')")
        sql.execute("insert into ops_initiative_queue (agent_id) values ('sage')")
        for queue in Queue:
            await until_status(sql, 1, "running", queue)
        stopped = await reactor.stop(0.0)
        assert stopped.given_back == 3
        for queue in Queue:
            assert columns(sql, 1, "status, attempt", queue) == ("queued", 0)


async def test_a_mission_goes_on_where_the_stopped_reactor_left_it(database: str, sql: Session) -> None:
    first = Memory(_takes(0.0))
    async with reactor_on(database, first) as reactor:
        id = mission(sql, *["noop"] * 5)
        await until(lambda: len(first.began_ids) >= 2)
        await reactor.stop(5.0)
    assert scalar(sql, _COUNT, "running") == 0
    second = Memory()
    async with reactor_on(database, second) as reactor:
        await until_none_unfinished(sql)
        await settled(reactor)
    assert scalar(sql, "select status from ops_missions where id = %s", id) == "succeeded"
    assert (first.began_ids + second.began_ids) == sorted(first.began_ids + second.began_ids)
    assert len(first.began_ids + second.began_ids) == 5


def _takes(seconds: float) -> Deed:
    async def deed(row: ClaimedRow) -> Outcome:
        await trio.sleep(seconds)
        return Done()

    return deed
