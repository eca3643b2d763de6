"""The wake protocol against the real database: many writers of every habit, several reactors, all sweeps off."""

import random
import sys

import pytest
import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.engine.storm import (
    AGENTS,
    HABITS,
    WRITERS,
    Action,
    fleet,
    let_loose,
    made_up,
    nothing_is_lost,
    writers,
)
from tests.engine.support import Session, settled

actions = st.builds(
    Action,
    habit=st.sampled_from(HABITS),
    agent=st.sampled_from(AGENTS),
    rows=st.integers(1, 5),
    ms=st.sampled_from([0, 1, 5, 20, 60]),
)
scripts = st.lists(st.lists(actions, min_size=1, max_size=4), min_size=1, max_size=WRITERS)


@pytest.mark.properties
async def test_whatever_writers_do_no_row_is_lost_and_none_runs_twice(database: str, sql: Session) -> None:
    counts = {"examples": 0, "rows": 0}
    async with fleet(database, sql) as reactors:
        with writers(database) as (sessions, threads):

            @settings(
                max_examples=60,
                deadline=None,
                database=None,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(scripts)
            def explore(script: list[list[Action]]) -> None:
                let_loose(sessions, threads, script)
                counts["rows"] = nothing_is_lost(sql, reactors)
                counts["examples"] += 1

            await trio.to_thread.run_sync(explore)
        await settled(*reactors.reactors)
        sys.stdout.write(f"{counts['examples']} examples, {counts['rows']} rows, {reactors.told()}\n")
    assert counts["rows"] > counts["examples"]


@pytest.mark.parametrize("seed", [7, 2024])
async def test_a_storm_of_writers_loses_nothing(database: str, sql: Session, seed: int) -> None:
    dice = random.Random(seed)
    storm = [[made_up(dice) for _ in range(60)] for _ in range(8)]
    async with fleet(database, sql) as reactors:
        with writers(database, 8) as (sessions, threads):
            await trio.to_thread.run_sync(let_loose, sessions, threads, storm)
            rows = await trio.to_thread.run_sync(nothing_is_lost, sql, reactors)
        await settled(*reactors.reactors)
        sys.stdout.write(f"seed {seed}: {rows} rows, {reactors.told()}\n")
    assert rows > 500
