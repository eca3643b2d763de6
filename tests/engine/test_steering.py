"""People at the wheel: cancel, pause, resume."""

import time
from uuid import UUID

import pytest
import trio

from reactor.model.outcomes import Done, Outcome
from reactor.model.queues import Queue
from reactor.store.claimed import ClaimedRow, ClaimedStep
from tests.engine.support import (
    Memory,
    Session,
    columns,
    insert,
    insert_into,
    mission,
    reactor_on,
    rings,
    scalar,
    settled,
    status,
    until_status,
)
from tests.support.waiting import until


@pytest.mark.parametrize("queue", Queue)
async def test_a_cancelled_row_stops_its_handler_within_a_second(
    database: str, sql: Session, queue: Queue
) -> None:
    memory = Memory(_for_ever)
    async with reactor_on(database, memory, queues=tuple(Queue)) as reactor:
        id = insert_into(sql, queue)
        await until(lambda: memory.began_ids == [id])
        assert scalar(sql, "select ops_cancel(%s, %s)", queue.what, id)
        assert status(sql, id, queue) == "cancelled"
        await until(lambda: memory.cancelled == [id], within_s=4.0)
        await settled(reactor)
    assert columns(sql, id, "status, claim_token, result", queue) == ("cancelled", None, None)
    assert memory.outcomes == []


async def test_a_cancelled_mission_stops_the_step_that_runs(database: str, sql: Session) -> None:
    memory = Memory(_for_ever)
    async with reactor_on(database, memory) as reactor:
        id = mission(sql, "noop", "noop")
        await until(lambda: len(memory.began_ids) == 1)
        assert scalar(sql, "select ops_cancel('mission', %s)", id)
        await until(lambda: len(memory.cancelled) == 1, within_s=4.0)
        await settled(reactor)
    assert _step_states(sql, id) == ["cancelled", "cancelled"]


async def test_a_handler_that_ends_in_spite_of_its_cancellation_writes_nothing(
    database: str, sql: Session
) -> None:
    go_on = trio.Event()

    async def stubborn(row: ClaimedRow) -> Outcome:
        with trio.CancelScope(shield=True):
            await go_on.wait()
        return Done({"late": True})

    memory = Memory(stubborn)
    async with reactor_on(database, memory) as reactor:
        id = insert(sql)
        await until(lambda: memory.began_ids == [id])
        assert scalar(sql, "select ops_cancel('step', %s)", id)
        go_on.set()
        await settled(reactor)
    assert columns(sql, id, "status, result") == ("cancelled", None)


@pytest.mark.parametrize("theft", ["cancelled in silence", "taken over"])
async def test_a_late_result_is_fenced_out(database: str, sql: Session, theft: str) -> None:
    go_on = trio.Event()

    async def slow(row: ClaimedRow) -> Outcome:
        await go_on.wait()
        return Done({"late": True})

    memory = Memory(slow)
    async with reactor_on(database, memory) as reactor:
        id = insert(sql)
        await until(lambda: memory.began_ids == [id])
        if theft == "cancelled in silence":
            sql.execute(
                "update ops_mission_steps set status = 'cancelled', claim_token = null where id = %s", (id,)
            )
        else:
            sql.execute("update ops_mission_steps set claim_token = gen_random_uuid() where id = %s", (id,))
        go_on.set()
        await until(lambda: reactor.lines[Queue.MISSION].completer.fenced_out == 1)
    wanted = "cancelled" if theft == "cancelled in silence" else "running"
    assert columns(sql, id, "status, result") == (wanted, None)


async def test_a_row_lost_in_silence_is_dropped_at_the_next_beat(database: str, sql: Session) -> None:
    memory = Memory(_for_ever)
    async with reactor_on(database, memory, sweep_s=dict.fromkeys(Queue, 0.1)) as reactor:
        id = insert(sql)
        await until(lambda: memory.began_ids == [id])
        sql.execute(
            "update ops_mission_steps set status = 'cancelled', claim_token = null where id = %s", (id,)
        )
        await until(lambda: memory.cancelled == [id], within_s=4.0)
        await settled(reactor)


async def test_a_pause_gives_back_what_was_read_ahead_and_resume_rings(
    database: str, sql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reactor.engine.executor.STALE_S", 600.0)  # else age alone would give them back
    blocked = trio.Event()

    async def deed(row: ClaimedRow) -> Outcome:
        assert isinstance(row, ClaimedStep)
        if "slow" in row.payload:
            await blocked.wait()
        return Done()

    memory = Memory(deed)
    sql.execute(
        "insert into ops_mission_steps (kind, payload)"
        " select 'noop', case when n = 100 then '{\"slow\": 1}' else '{}' end::jsonb"
        " from generate_series(1, 300) as n"
    )
    async with reactor_on(database, memory, concurrency=1, asleep=False) as reactor:
        shelf = reactor.lines[Queue.MISSION].executor
        await until(lambda: shelf.load > 20 and len(memory.began_ids) == 100)
        read_ahead = scalar(sql, _COUNT, "running") - 1
        assert read_ahead > 10
        paused_at = time.monotonic()
        sql.execute("select ops_pause('mission', 'a look first')")
        while scalar(sql, _COUNT, "running") != 1:  # the one in a handler goes on
            assert time.monotonic() - paused_at < 1.0
            await trio.sleep(0.005)
        assert scalar(sql, "select max(attempt) from ops_mission_steps where status = 'queued'") == 0
        blocked.set()
        await settled(reactor)
        began = len(memory.began_ids)
        late = insert(sql)
        await settled(reactor)
        assert status(sql, late) == "queued"
        assert len(memory.began_ids) == began == 100
        heard = rings(reactor)
        sql.execute("select ops_resume('mission')")
        await until_status(sql, late, "succeeded")
        await settled(reactor)
        assert rings(reactor) > heard
    assert scalar(sql, _COUNT, "succeeded") == 301
    assert set(memory.times.values()) == {1}


async def test_a_pause_holds_one_queue_and_outlives_the_process(database: str, sql: Session) -> None:
    sql.execute("select ops_pause('roundtable')")
    async with reactor_on(database, Memory(), queues=tuple(Queue)) as reactor:
        held = insert_into(sql, Queue.ROUNDTABLE)
        await until_status(sql, insert_into(sql, Queue.INITIATIVE), "succeeded", Queue.INITIATIVE)
        await settled(reactor)
        assert status(sql, held, Queue.ROUNDTABLE) == "queued"
        sql.execute("select ops_resume()")
        await until_status(sql, held, "succeeded", Queue.ROUNDTABLE, within_s=4.0)


_COUNT = "select count(*) from ops_mission_steps where status = %s"


def _step_states(sql: Session, mission_id: int) -> list[str]:
    rows = sql.execute(
        "select status from ops_mission_steps where mission_id = %s order by seq, id", (mission_id,)
    ).fetchall()
    return [row[0] for row in rows]


async def _for_ever(row: ClaimedRow) -> Outcome:
    await trio.sleep_forever()


async def test_a_cancel_heard_before_the_claims_answer_still_stops_the_handler(
    database: str, sql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory(_for_ever)
    async with reactor_on(database, memory) as reactor:
        executor = reactor.lines[Queue.MISSION].executor
        stop_row = executor.stop_row

        def not_on_the_shelf_yet(id: int, token: UUID | None = None) -> bool:
            monkeypatch.setattr(executor, "stop_row", stop_row)
            return False

        id = insert(sql)
        await until(lambda: memory.began_ids == [id])
        monkeypatch.setattr(executor, "stop_row", not_on_the_shelf_yet)
        assert scalar(sql, "select ops_cancel('step', %s)", id)
        await until(lambda: memory.cancelled == [id], within_s=4.0)


async def test_a_row_rescued_from_the_living_and_claimed_again_by_them_runs_once_and_nothing_breaks(
    database: str, sql: Session
) -> None:
    """Peers may believe us dead while a network is away; then our own row comes to us a second time."""
    let_go = trio.Event()
    deaf = trio.CancelScope(shield=True)

    async def deed(row: ClaimedRow) -> Outcome:
        if len(memory.began_ids) == 1:
            with deaf:  # it takes its time to notice that it was stopped
                await let_go.wait()
            await trio.lowlevel.checkpoint()
        return Done({"run": len(memory.began_ids)})

    memory = Memory(deed)
    async with reactor_on(database, memory) as reactor:
        id = insert(sql)
        await until(lambda: memory.began_ids == [id])
        sql.execute(
            "update ops_mission_steps set status = 'queued', attempt = 0, crashes = 1, claimed_by = null,"
            " claim_token = null, started_at = null where id = %s",
            (id,),
        )
        await until_status(sql, id, "succeeded")
        let_go.set()
        await settled(reactor)
        assert memory.cancelled == [id]
        assert columns(sql, id, "status, attempt, result ->> 'run'") == ("succeeded", 1, "2")
        await until_status(sql, insert(sql), "succeeded")
