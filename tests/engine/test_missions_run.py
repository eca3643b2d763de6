"""Missions on real reactors: one step after another, whoever does them."""

import random

import trio

from reactor.model.outcomes import Done, Fail, Outcome
from reactor.store.claimed import ClaimedRow, ClaimedStep
from tests.engine.support import (
    Memory,
    Session,
    columns,
    insert,
    mission,
    reactor_on,
    scalar,
    settled,
    until_none_unfinished,
    until_status,
)


async def test_no_two_steps_of_a_mission_ever_run_at_once_on_several_reactors(
    database: str, sql: Session
) -> None:
    running: dict[int, int] = {}
    order: dict[int, list[int]] = {}
    worst = 0
    dice = random.Random(3)

    async def deed(row: ClaimedRow) -> Outcome:
        nonlocal worst
        assert isinstance(row, ClaimedStep)
        assert row.mission_id is not None
        running[row.mission_id] = running.get(row.mission_id, 0) + 1
        worst = max(worst, running[row.mission_id])
        await trio.sleep(dice.uniform(0, 0.004))
        running[row.mission_id] -= 1
        if dice.random() < 0.2 and row.attempt < row.max_attempts:
            return Fail("once more")
        order.setdefault(row.mission_id, []).append(row.seq)
        return Done()

    async with (
        reactor_on(database, Memory(deed), chance=lambda: 0.01),
        reactor_on(database, Memory(deed), chance=lambda: 0.01),
    ):
        ids = [mission(sql, *["noop"] * 5) for _ in range(20)]
        for id in ids:  # put in front and in between while they run; some are too late, and refused
            for seq in (0, 3):
                _insert_unless_ended(sql, id, seq)
        await until_none_unfinished(sql)
    assert worst == 1
    assert scalar(sql, "select count(*) from ops_missions where status = 'succeeded'") == len(ids)
    done = scalar(sql, "select count(*) from ops_mission_steps where status = 'succeeded'")
    assert sum(map(len, order.values())) == done


async def test_a_kind_nobody_knows_fails_its_step_and_mission_and_names_the_known_ones(
    database: str, sql: Session
) -> None:
    async with reactor_on(database, Memory()) as reactor:
        single = insert(sql, "never_heard_of")
        await until_status(sql, single, "failed", within_s=20.0)
        await settled(
            reactor
        )  # a row inserted in silence, beside a reactor that is awake, is left to the sweep
        whole = scalar(sql, "insert into ops_missions (title) values ('m') returning id")
        first = insert(sql, "never_heard_of", mission_id=whole)
        insert(sql, mission_id=whole, seq=2)
        await until_status(sql, first, "failed", within_s=20.0)
        await until_none_unfinished(sql)
    assert columns(sql, single, "failure_reason")[0].startswith(
        "no reactor knows the kind never_heard_of; known"
    )
    assert scalar(sql, "select status from ops_missions where id = %s", whole) == "failed"


def _insert_unless_ended(sql: Session, mission_id: int, seq: int) -> None:
    sql.execute(
        "do $$ begin"
        f" insert into ops_mission_steps (mission_id, seq, kind) values ({mission_id:d}, {seq:d}, 'noop');"
        " exception when sqlstate 'OP006' then null; end $$"
    )
