"""Kill -9: the dead are found, their rows run again, nothing is lost and nothing is finished twice."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio

from reactor.model.outcomes import Outcome
from reactor.model.queues import Queue
from reactor.store.claimed import ClaimedRow
from tests.engine.support import (
    Memory,
    Session,
    columns,
    insert,
    insert_into,
    mission,
    reactor_on,
    scalar,
    until_none_unfinished,
    until_status,
)
from tests.support.waiting import until

OFTEN = dict.fromkeys(Queue, 0.1)  # beats come as often as sweeps
RUNNING = "select count(*) from ops_mission_steps where status = 'running'"


@contextmanager
def victim(dsn: str, kind: str, seconds: float, concurrency: int = 10) -> Iterator[subprocess.Popen[str]]:
    """A reactor at work in another process; killed at the end if nobody did before."""
    command = [sys.executable, "-m", "tests.engine.victim", dsn, kind, str(seconds), str(concurrency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "at work\n"
            yield process
        finally:
            process.kill()


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(10)


def until_running(sql: Session, count: int) -> None:
    deadline = time.monotonic() + 10
    while scalar(sql, RUNNING) != count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


async def test_what_a_killed_reactor_had_running_runs_again_elsewhere(database: str, sql: Session) -> None:
    ids = [insert(sql) for _ in range(50)]
    with victim(database, "noop", 600, 50) as process:
        until_running(sql, 50)
        kill(process)
    memory = Memory()
    async with reactor_on(database, memory, asleep=False) as reactor:
        await until_none_unfinished(sql, within_s=30.0)
        assert reactor.rescuer.rescued[Queue.MISSION] == 50
    assert sorted(memory.began_ids) == ids
    found = sql.execute("select distinct status, attempt, crashes from ops_mission_steps").fetchall()
    assert found == [("succeeded", 1, 1)]
    assert scalar(sql, "select count(*) from ops_agent_events where kind = 'step_rescued'") == 50


async def test_an_idle_reactor_hears_of_a_dead_peers_rows(database: str, sql: Session) -> None:
    memory = Memory()
    async with reactor_on(
        database, memory, sweep_s={**OFTEN, Queue.MISSION: 1e6}, queues=(Queue.MISSION, Queue.ROUNDTABLE)
    ):
        with victim(database, "other", 600) as process:
            id = insert(sql, "other")
            until_running(sql, 1)
            kill(process)
        memory.known = ("noop", "other")
        await until_status(sql, id, "succeeded", within_s=30.0)  # rung by the rescue: sweeps are off


async def test_peers_of_one_that_works_look_after_it_between_the_beats(
    database: str, sql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reactor.engine.sweeps.BEAT_S", 1e6)  # of the peers, not of the one that is killed
    memory = Memory(known=("nothing",))
    async with reactor_on(database, memory) as one, reactor_on(database, Memory(known=("nothing",))) as two:
        with victim(database, "other", 600) as process:
            id = insert(sql, "other")
            said = "select count(*) from ops_workers where pid = %s and working"
            await until(lambda: scalar(sql, said, process.pid) == 1)
            memory.known = ("other",)
            kill(process)
            await until_status(sql, id, "succeeded", within_s=10)
        assert one.rescuer.rescued[Queue.MISSION] + two.rescuer.rescued[Queue.MISSION] == 1


async def test_one_that_was_buried_alive_and_is_killed_before_it_knows_is_found_all_the_same(
    database: str, sql: Session
) -> None:
    memory = Memory(known=("other",))
    with victim(database, "other", 600) as process:
        id = insert(sql, "other")
        said = "select count(*) from ops_workers where pid = %s and working"
        await until(lambda: scalar(sql, said, process.pid) == 1)
        sql.execute("update ops_workers set state = 'dead' where pid = %s", (process.pid,))
        kill(process)
    async with reactor_on(database, memory, asleep=False):
        await until_status(sql, id, "succeeded", within_s=20)
    assert columns(sql, id, "crashes, attempt") == (1, 1)


async def test_a_killed_step_of_a_mission_runs_again_and_the_mission_goes_on(
    database: str, sql: Session
) -> None:
    id = mission(sql, "noop", "noop", "noop")
    with victim(database, "noop", 600) as process:
        until_running(sql, 1)
        kill(process)
    memory = Memory()
    async with reactor_on(database, memory, asleep=False):
        await until_none_unfinished(sql, within_s=30.0)
    assert scalar(sql, "select status from ops_missions where id = %s", id) == "succeeded"
    assert memory.began_ids == sorted(memory.began_ids)
    assert len(memory.began_ids) == 3


async def test_a_row_that_crashes_its_process_three_times_is_poison(database: str, sql: Session) -> None:
    first = insert(sql, "poison", max_attempts=1)
    whole = mission(sql, "poison", "noop")
    async with reactor_on(database, Memory(), sweep_s=OFTEN) as reactor:
        for crash in (1, 2, 3):
            with victim(database, "poison", 600) as process:
                until_running(sql, 2)
                kill(process)
            wanted = "failed" if crash == 3 else "queued"
            await until_status(sql, first, wanted, within_s=30.0)
            assert columns(sql, first, "crashes, attempt") == (crash, 0)
        await until(
            lambda: reactor.rescuer.rescued[Queue.MISSION] == 6
        )  # counted when its commit is answered
    assert columns(sql, first, "failure_reason")[0].startswith("poison: ")
    told = "select summary from ops_agent_events where kind = 'step_failed' and metadata ->> 'step_id' = %s::text"
    assert scalar(sql, told, first) == columns(sql, first, "failure_reason")[0]
    assert scalar(sql, "select status from ops_missions where id = %s", whole) == "failed"
    rest = scalar(sql, "select status from ops_mission_steps where mission_id = %s and seq = 2", whole)
    assert rest == "cancelled"


async def test_all_queues_are_rescued(database: str, sql: Session) -> None:
    blocked = Memory(_for_ever)
    async with reactor_on(database, Memory(), queues=tuple(Queue), sweep_s=OFTEN) as peer:
        for queue in Queue:
            sql.execute("select ops_pause()")
            insert_into(sql, queue)
        async with reactor_on(database, blocked, queues=tuple(Queue), asleep=False) as dying:
            await _hand_over(sql, dying.identity.id)
        for queue in Queue:
            await until_status(sql, 1, "succeeded", queue, within_s=30.0)
            assert columns(sql, 1, "crashes", queue) == (1,)
        assert set(peer.rescuer.rescued.values()) == {1}


async def test_kills_at_random_moments_lose_nothing(database: str, sql: Session) -> None:
    dice = random.Random(20)
    rows, kills = 0, 4
    for _ in range(kills):
        sql.execute("insert into ops_mission_steps (kind) select 'noop' from generate_series(1, 150)")
        for _ in range(5):
            mission(sql, "noop", "noop", "noop")
        rows += 165
        with victim(database, "noop", 0.003, 5) as process:
            await trio.sleep(dice.uniform(0.0, 0.35))
            kill(process)
    memory = Memory()
    async with reactor_on(database, memory, asleep=False):
        await until_none_unfinished(sql, within_s=15.0)
    statuses = sql.execute("select status, count(*) from ops_mission_steps group by status").fetchall()
    assert statuses == [("succeeded", rows)]
    assert scalar(sql, "select count(*) from ops_missions where status = 'succeeded'") == 5 * kills
    twice = "select count(*) - count(distinct metadata -> 'step_id') from ops_agent_events where kind = 'step_succeeded'"
    assert scalar(sql, twice) == 0
    sys.stdout.write(f"{kills} kills, {rows} steps: none lost, none finished twice\n")


async def _hand_over(sql: Session, worker: object) -> None:
    """Every queued row is running in the name of ``worker``, as if it had claimed it."""
    for queue in Queue:
        sql.execute(
            f"update {queue.table} set status = 'running', attempt = 1, claimed_by = %s,"
            " claim_token = gen_random_uuid() where status = 'queued'".encode(),
            (worker,),
        )
    sql.execute("select ops_resume()")


async def _for_ever(row: ClaimedRow) -> Outcome:
    await trio.sleep_forever()
