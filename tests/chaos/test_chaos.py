"""Everything goes wrong at once, for a while; then nothing is lost, nothing was done twice, and the books balance.

``VOXYZ_CHAOS_SEED`` repeats a storm (what the hand and the writers do; not when processes get to run), ``VOXYZ_CHAOS_S``
says how long it blows, 45 s without it, at most 120.
"""

import os
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trio

from reactor.pg.migrations import migrate
from tests.chaos.world import UNFINISHED, WRITERS, Hand, Process, Writer, fleet, keep_running
from tests.engine.support import scalar
from tests.support.scratch import scratch_directory
from tests.support.server import HURRIED_SETTINGS, PrivateServer, chosen_binaries, private_server

pytestmark = pytest.mark.chaos

SEED = int(os.environ.get("VOXYZ_CHAOS_SEED") or secrets.randbelow(2**31))
STORM_S = min(float(os.environ.get("VOXYZ_CHAOS_S") or 45), 120.0)
CALM_WITHIN_S = 120.0  # a frozen process is given up after 60 s
UP_WITHIN_S = 60.0
UP = "select count(distinct pid) from ops_workers where state = 'ready' and pid = any(%s)"

Sql = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def fragile() -> Iterator[PrivateServer]:
    """A server of the storm's own; what it acknowledges survives its crashes."""
    with private_server(chosen_binaries(), {**HURRIED_SETTINGS, "synchronous_commit": "on"}) as server:
        yield server


@pytest.fixture
def here() -> Iterator[Path]:
    with scratch_directory(executable=True) as directory:
        yield directory


async def test_nothing_is_lost_and_nothing_is_done_twice(
    fragile: PrivateServer, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\nchaos: VOXYZ_CHAOS_SEED={SEED} VOXYZ_CHAOS_S={STORM_S:g}\n")
    await migrate(fragile.dsn)
    with psycopg.connect(fragile.dsn, autocommit=True) as sql:
        sql.execute(
            "create table chaos_effects"
            " (n bigint generated always as identity, key text primary key, step_id bigint, asked integer default 1)"
        )
    writers = [Writer(SEED + number, fragile.dsn) for number in range(WRITERS)]
    async with fleet(fragile, fragile.dsn, here) as processes:
        hand = await _storm(fragile, processes, writers)
        with psycopg.connect(fragile.dsn, autocommit=True) as sql:
            calm_s = await _calm(sql, processes)
            told = _books(sql, writers)
            assert await _ended(processes) == [0, 0, 0]
            assert scalar(sql, "select count(*) from ops_mission_steps where status = 'running'") == 0
        _nobody_lost_his_head(processes)
    with capsys.disabled():
        deeds = ", ".join(f"{count} × {deed}" for deed, count in sorted(hand.did.items()))
        sys.stdout.write(f"chaos: {deeds}; calm after {calm_s:.1f} s\nchaos: {told}\n")


async def _storm(server: PrivateServer, processes: list[Process], writers: list[Writer]) -> Hand:
    """It blows for as long as was asked, and is over: everything that can be put right is."""
    hand = Hand(random.Random(SEED), server, processes)
    async with trio.open_nursery() as nursery:
        for writer in writers:
            nursery.start_soon(trio.to_thread.run_sync, writer.write)
        nursery.start_soon(_blow, hand, processes)
        await trio.sleep(STORM_S)
        for writer in writers:
            writer.told_to_stop = True
        nursery.cancel_scope.cancel()
    for process in processes:
        await process.proxy.cut()  # a line that swallows would say nothing for ever
    return hand


async def _blow(hand: Hand, processes: list[Process]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_running, processes)
        await hand.meddle(nursery)


async def _calm(sql: Sql, processes: list[Process]) -> float:
    """Every row has ended; returns how long that took."""
    began = time.monotonic()
    while left := scalar(sql, UNFINISHED):
        for process in processes:
            process.start()
        if time.monotonic() - began > CALM_WITHIN_S:
            rows = sql.execute(
                "select id, status, attempt, crashes, run_at - now(), mission_id, claimed_by, failure_reason"
                " from ops_mission_steps where status in ('waiting', 'queued', 'running') order by id limit 5"
            ).fetchall()
            raise AssertionError(f"{left} rows are unfinished, such as {rows}")
        await trio.sleep(0.2)
    calm_s = time.monotonic() - began
    # One that is still starting would end by a signal in its own way, not by ours.
    while scalar(sql, UP, [process.pid for process in processes]) < len(processes):
        assert time.monotonic() - began < CALM_WITHIN_S + UP_WITHIN_S, "not all of them came up again"
        for process in processes:
            process.start()
        await trio.sleep(0.2)
    return calm_s


async def _ended(processes: list[Process]) -> list[int]:
    """All were told to stop, and have; their exit codes."""
    codes: dict[int, int] = {}

    async def end(number: int, process: Process) -> None:
        # In a thread: on its way out it speaks to the database through a proxy of this loop.
        codes[number] = await trio.to_thread.run_sync(process.end, 40)

    async with trio.open_nursery() as nursery:
        for number, process in enumerate(processes):
            nursery.start_soon(end, number, process)
    return [codes[number] for number in sorted(codes)]


def _books(sql: Sql, writers: list[Writer]) -> str:
    """Inserted = succeeded + failed + cancelled, each effect once, each mission in order."""
    acknowledged: Counter[str] = Counter()
    doubtful: set[str] = set()
    for writer in writers:
        doubtful |= writer.in_doubt
        acknowledged.update({t: n for t, n in writer.tokens.items() if t not in writer.in_doubt})
    kept: Counter[str] = Counter(
        dict(sql.execute("select payload ->> 'token', count(*) from ops_mission_steps group by 1").fetchall())
    )
    assert {t: kept[t] for t in acknowledged} == acknowledged, "an acknowledged insert is lost"
    assert kept.keys() - acknowledged.keys() <= doubtful, "there are rows that nobody inserted"

    by_status: dict[str, int] = dict(
        sql.execute("select status, count(*) from ops_mission_steps group by status").fetchall()
    )
    assert sum(kept.values()) == sum(
        by_status.get(status, 0) for status in ("succeeded", "failed", "cancelled")
    )
    twice = sql.execute(
        "select step.id, step.status, count(event.id) from ops_mission_steps as step"
        " left join ops_agent_events as event"
        "   on event.kind = 'step_' || step.status and (event.metadata ->> 'step_id')::bigint = step.id"
        " where step.status in ('succeeded', 'failed') group by step.id having count(event.id) <> 1"
    ).fetchall()
    assert twice == [], "ended more or less often than once"
    wrong = sql.execute(
        "select step.id, count(effect.key) from ops_mission_steps as step"
        " left join chaos_effects as effect on effect.step_id = step.id"
        " where step.status = 'succeeded' group by step.id having count(effect.key) <> 1"
    ).fetchall()
    assert wrong == [], "succeeded without its effect, or with two"
    early = sql.execute(
        "select earlier.mission_id, earlier.seq from ops_mission_steps as earlier"
        " join ops_mission_steps as later on later.mission_id = earlier.mission_id and later.seq > earlier.seq"
        " join chaos_effects as first on first.step_id = earlier.id"
        " join chaos_effects as second on second.step_id = later.id"
        " where second.n < first.n"
    ).fetchall()
    assert early == [], "a mission's steps ran out of order"
    wrong_missions = sql.execute(
        "select mission.id, mission.status from ops_missions as mission where (mission.status = 'succeeded') = exists"
        " (select from ops_mission_steps as step where step.mission_id = mission.id and step.status <> 'succeeded')"
    ).fetchall()
    assert wrong_missions == [], "a mission says something else than its steps"
    return _told(sql, by_status, sum(kept.values()), len(doubtful))


def _told(sql: Sql, by_status: dict[str, int], rows: int, doubtful: int) -> str:
    effects, asked = sql.execute(
        "select count(*), coalesce(sum(asked), 0) from chaos_effects"
    ).fetchone() or (0, 0)
    crashed = scalar(sql, "select count(*) from ops_mission_steps where crashes > 0")
    poison = scalar(sql, "select count(*) from ops_mission_steps where failure_reason like 'poison%'")
    missions = scalar(sql, "select count(*) from ops_missions")
    books = " + ".join(f"{count} {status}" for status, count in sorted(by_status.items()))
    return (
        f"{rows} inserted = {books}; 0 lost, 0 ended twice; {missions} missions in order;"
        f" {effects} effects, asked for {asked} times; {crashed} rows lived through a crash, {poison} failed as poison;"
        f" {doubtful} inserts were in doubt"
    )


def _nobody_lost_his_head(processes: list[Process]) -> None:
    """No traceback in any log, and no storm of lines."""
    for process in processes:
        process.errors.seek(0)
        log = process.errors.read().decode()
        assert "Traceback" not in log, log[log.index("Traceback") - 2000 :][:6000]
        assert log.count("\n") < 3000, Counter(line[:120] for line in log.splitlines()).most_common(5)
