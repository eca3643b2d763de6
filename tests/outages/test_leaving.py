"""A stop signal in every phase: what is done is written, the rest goes back, and the process leaves on time."""

import random
import signal
import socket
from collections.abc import Iterator

import psycopg
import pytest
import trio

from tests.engine.support import Session, columns, insert, scalar, status, until_status
from tests.support.daemon import Daemon, daemon
from tests.support.server import PrivateServer

COUNT = "select count(*) from ops_mission_steps where status = %s"
TWICE = "select count(*) - count(distinct metadata -> 'step_id') from ops_agent_events where kind = 'step_succeeded'"
KINDS = """
import pathlib
import time

import trio

from reactor.handlers import Step, step_kind


@step_kind("nap")
async def nap(step: Step) -> None:
    pathlib.Path(f"began-{step.id}").touch()
    await trio.sleep(step.payload.get("s", 0.005))


@step_kind("stubborn")
async def stubborn(step: Step) -> None:
    with trio.CancelScope(shield=True):
        pathlib.Path(f"began-{step.id}").touch()
        await trio.sleep(600)


@step_kind("hog")
async def hog(step: Step) -> None:
    pathlib.Path(f"began-{step.id}").touch()
    time.sleep(600)
"""


@pytest.fixture
def silence() -> Iterator[socket.socket]:
    """The door of somebody who takes calls and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        yield door


async def _until_begun(reactor: Daemon, id: int) -> None:
    """The handler is at it: a row says `running` a moment before."""
    await reactor.until(lambda: (reactor.folder / f"began-{id}").exists())


async def _left_in_order(reactor: Daemon, within_s: float = 60.0) -> None:
    assert await reactor.ended(within_s) == 0, reactor.errors()
    assert "Traceback" not in reactor.errors()
    assert [line["event"] for line in reactor.log()][-1] == "stopped"


async def test_told_while_it_starts_it_does_not_come_up(silence: socket.socket) -> None:
    address = f"postgresql://nobody@127.0.0.1:{silence.getsockname()[1]}/nothing"
    with daemon("mission", DATABASE_URL=address) as reactor:
        silence.settimeout(60)
        caller, _ = await trio.to_thread.run_sync(silence.accept)
        with caller:
            reactor.tell(signal.SIGTERM)
            await _left_in_order(reactor)
        assert reactor.said() == ""


async def test_told_while_it_migrates_it_leaves_half_done_nothing(empty_database: str) -> None:
    with (
        daemon("mission", DATABASE_URL=empty_database) as reactor,
        psycopg.connect(empty_database) as other,
        psycopg.connect(empty_database, autocommit=True) as sql,
    ):
        other.execute("create table ops_missions ()")  # whoever wants this name waits
        waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        await reactor.until(lambda: scalar(sql, waiting) > 0)
        reactor.tell(signal.SIGTERM)
        await _left_in_order(reactor)
        other.rollback()
    with daemon("mission", DATABASE_URL=empty_database) as another:
        await another.until_ready()
        another.tell(signal.SIGTERM)
        await _left_in_order(another)


async def test_told_while_idle_it_says_that_it_left(database: str, sql: Session) -> None:
    with daemon(DATABASE_URL=database) as reactor:
        await reactor.until_ready()
        reactor.tell(signal.SIGINT)
        await _left_in_order(reactor)
    assert scalar(sql, "select state from ops_workers") == "stopped"


@pytest.mark.chaos
async def test_told_at_any_moment_of_its_work_it_leaves_nothing_running_and_nothing_done_twice(
    database: str, sql: Session
) -> None:
    dice = random.Random(6)
    rows = 0
    for _ in range(3):
        sql.execute("insert into ops_mission_steps (kind) select 'nap' from generate_series(1, 300)")
        rows += 300
        with daemon("mission", kinds=KINDS, DATABASE_URL=database, OPS_MISSION_CONCURRENCY="5") as reactor:
            await reactor.until_ready()
            await trio.sleep(dice.uniform(0.0, 0.2))
            reactor.tell(signal.SIGTERM)
            await _left_in_order(reactor)
        counts = {name: scalar(sql, COUNT, name) for name in ("running", "succeeded", "queued")}
        assert counts["running"] == 0
        assert counts["succeeded"] + counts["queued"] == rows
        assert scalar(sql, TWICE) == 0
    assert scalar(sql, "select max(attempt) from ops_mission_steps where status = 'queued'") in (0, None)


@pytest.mark.chaos
async def test_work_done_is_written_and_work_that_takes_longer_goes_back(database: str, sql: Session) -> None:
    with daemon("mission", kinds=KINDS, DATABASE_URL=database, OPS_GRACE_S="6") as reactor:
        await reactor.until_ready()
        short = insert(sql, "nap", '{"s": 2}')
        long = insert(sql, "nap", '{"s": 600}')
        for id in (short, long):
            await _until_begun(reactor, id)
        reactor.tell(signal.SIGTERM)
        await _left_in_order(reactor)
    assert status(sql, short) == "succeeded"
    assert columns(sql, long, "status, attempt, claimed_by") == ("queued", 0, None)


async def test_a_second_signal_does_not_wait(database: str, sql: Session) -> None:
    with daemon("mission", kinds=KINDS, DATABASE_URL=database, OPS_GRACE_S="3600") as reactor:
        await reactor.until_ready()
        id = insert(sql, "nap", '{"s": 600}')
        await until_status(sql, id, "running", within_s=20)
        reactor.tell(signal.SIGTERM)
        await reactor.until_logged("stopping")
        reactor.tell(signal.SIGTERM)
        await _left_in_order(reactor)
    assert columns(sql, id, "status, attempt") == ("queued", 0)


@pytest.mark.chaos
async def test_a_handler_that_ignores_its_cancellation_is_named_and_left_behind(
    database: str, sql: Session
) -> None:
    with daemon("mission", kinds=KINDS, DATABASE_URL=database, OPS_GRACE_S="0") as reactor:
        await reactor.until_ready()
        id = insert(sql, "stubborn")
        await _until_begun(reactor, id)
        reactor.tell(signal.SIGTERM)
        assert await reactor.ended() == 1
        assert [line["handler"] for line in reactor.log("handler_ignores_cancellation")] == [
            f"step {id} (stubborn)"
        ]
    assert columns(sql, id, "status, attempt") == ("queued", 0)


@pytest.mark.chaos
async def test_told_while_the_database_is_away_it_leaves_all_the_same_and_the_rows_run_again(
    server: PrivateServer, database: str, sql: Session
) -> None:
    with daemon("mission", kinds=KINDS, DATABASE_URL=database, OPS_GRACE_S="4") as reactor:
        await reactor.until_ready()
        ids = [insert(sql, "nap", '{"s": 3}'), insert(sql, "nap", '{"s": 600}')]
        for id in ids:
            await _until_begun(reactor, id)
        server.stop()
        try:
            await reactor.until_logged("not_listening")
            reactor.tell(signal.SIGTERM)
            await _left_in_order_but_for_the_outcomes(reactor)
        finally:
            server.start()
    with (
        psycopg.connect(database, autocommit=True) as again,
        daemon("mission", kinds=KINDS, DATABASE_URL=database) as next,
    ):
        await next.until_ready()
        await until_status(again, ids[0], "succeeded", within_s=60)
        assert columns(again, ids[0], "crashes") == (1,)


async def _left_in_order_but_for_the_outcomes(reactor: Daemon) -> None:
    assert await reactor.ended() == 0
    assert [line["rows"] for line in reactor.log("outcomes_unwritten")] == [2]
    assert "Traceback" not in reactor.errors()


@pytest.mark.chaos
async def test_a_handler_that_holds_the_event_loop_is_left_behind_with_the_place_it_is_at(
    database: str, sql: Session
) -> None:
    with daemon("mission", kinds=KINDS, DATABASE_URL=database, OPS_GRACE_S="0") as reactor:
        await reactor.until_ready()
        id = insert(sql, "hog")
        await _until_begun(reactor, id)
        await trio.sleep(0.5)
        reactor.tell(signal.SIGTERM)
        await trio.sleep(0.1)
        reactor.tell(signal.SIGTERM)
        assert await reactor.ended() == 1
        [line] = reactor.log("handler_ignores_cancellation")
        assert line["handler"] == f"step {id} (hog)"
        assert "kinds_of_its_own.py" in line["where"]
