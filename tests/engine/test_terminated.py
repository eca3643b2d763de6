"""``pg_terminate_backend`` on any connection of ours, in any phase: heard again, everything goes on, nothing twice."""

import random
import sys

import pytest
import trio

from reactor.engine.wake import Via
from reactor.model.outcomes import Done, Outcome
from reactor.model.queues import Queue
from reactor.store.claimed import ClaimedRow
from tests.engine.support import (
    Memory,
    Session,
    insert,
    mission,
    reactor_on,
    scalar,
    settled,
    until_none_unfinished,
    until_status,
    woken,
)
from tests.support.waiting import until

OURS = (
    "select pg_terminate_backend(pid) from pg_stat_activity"
    " where datname = current_database() and application_name = %s"
)
ONE_OF_OURS = (
    "select application_name, state, pg_terminate_backend(pid) from pg_stat_activity"
    " where datname = current_database() and application_name like 'voxyz-reactor %' order by random() limit 1"
)
TWICE = "select count(*) - count(distinct metadata -> 'step_id') from ops_agent_events where kind = 'step_succeeded'"


@pytest.mark.parametrize(
    "names", [["listener"], ["bell mission"], ["work"], ["listener", "bell mission", "work"]]
)
async def test_an_idle_reactor_whose_connection_is_terminated_hears_the_next_ring(
    database: str, sql: Session, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    memory = Memory()
    async with reactor_on(database, memory) as reactor:
        listening, bell = reactor.listener.conn, reactor.lines[Queue.MISSION].bell
        first_bell = bell.own_pid()
        for name in names:
            sql.execute(OURS, (f"voxyz-reactor {name}",))
        during = insert(sql)
        await until_status(sql, during, "succeeded", within_s=20)
        if "listener" in names:
            await until(lambda: reactor.listener.conn not in (None, listening), within_s=20)
        if "bell mission" in names:
            await until(lambda: bell.own_pid() not in (None, first_bell), within_s=20)
        await settled(reactor, within_s=20)
        rung = woken(reactor, Via.BELL)
        await until_status(sql, insert(sql), "succeeded", within_s=20)
        assert woken(reactor, Via.BELL) == rung + 1
        assert set(memory.times.values()) == {1}
    said = capsys.readouterr().out
    assert said.count("event=not_listening") == said.count("event=listening_again") == ("listener" in names)
    assert "Traceback" not in said


@pytest.mark.chaos
async def test_connections_terminated_at_random_under_load_lose_nothing(database: str, sql: Session) -> None:
    dice = random.Random(2)
    memories = [Memory(_a_while) for _ in range(2)]
    ended: list[str] = []
    async with reactor_on(database, memories[0]) as one, reactor_on(database, memories[1]) as two:
        inserted = 0
        for _ in range(120):
            for _ in range(5):
                insert(sql)
            mission(sql, "noop", "noop")
            inserted += 7
            found = sql.execute(ONE_OF_OURS).fetchone()
            if found is not None:
                ended.append(f"{found[0].removeprefix('voxyz-reactor ')} {found[1]}")
            await trio.sleep(dice.uniform(0.0, 0.06))
        await until_none_unfinished(sql, within_s=60.0)
        await settled(one, two, within_s=30)
        assert one.listener.up
        assert two.listener.up
    assert scalar(sql, "select count(*) from ops_mission_steps where status = 'succeeded'") == inserted
    assert scalar(sql, "select count(*) from ops_missions where status = 'succeeded'") == 120
    assert scalar(sql, TWICE) == 0
    kinds = ", ".join(f"{ended.count(one)} {one}" for one in sorted(set(ended)))
    sys.stdout.write(
        f"{len(ended)} connections terminated ({kinds}), {inserted} steps: none lost, none ended twice\n"
    )


async def _a_while(row: ClaimedRow) -> Outcome:
    await trio.sleep(0.001 * (row.id % 20))
    return Done()
