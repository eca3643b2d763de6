"""A reactor behind a transaction-pooling proxy works on sweeps and leaves nothing there; a direct address gives all back."""

import json
import subprocess
import threading
from typing import Any

import psycopg
import pytest
import trio
from psycopg.conninfo import conninfo_to_dict
from structlog.testing import capture_logs

from reactor.engine import listener as listener_module
from reactor.engine.wake import Via
from reactor.errors import DatabaseError
from reactor.model.outcomes import Done, Fail, Outcome
from reactor.model.queues import Queue
from reactor.settings import Settings
from reactor.store.claimed import ClaimedRow, ClaimedStep
from reactor.web import Health
from reactor.web.desk import Desk
from tests.cli.conftest import COMMAND, environment
from tests.engine.support import (
    SWEEPS_OFF,
    Memory,
    Session,
    insert,
    missed,
    mission,
    reactor_on,
    scalar,
    settled,
    status,
    until_none_unfinished,
    until_status,
    woken,
)
from tests.support.pgbouncer import PgBouncer, needs_pgbouncer
from tests.support.scratch import scratch_directory
from tests.support.waiting import until

pytestmark = needs_pgbouncer

OFTEN = dict.fromkeys(Queue, 0.1)  # beats come as often as sweeps
SIGNS_OF_LIFE = (
    "select count(*) from pg_locks where locktype = 'advisory' and classid = 1987014778 and granted"
)
BELLS_HELD = "select count(*) from pg_locks where locktype = 'advisory' and classid = 1987014777 and granted"


def name_of(dsn: str) -> str:
    return str(conninfo_to_dict(dsn)["dbname"])


async def left_behind(pooler: PgBouncer, dsn: str) -> list[str]:
    """In a thread: a reactor of this one may have a backend that it gives back only when it goes on."""
    return await trio.to_thread.run_sync(pooler.left_behind, name_of(dsn))


def deaf_lines(logs: list[Any]) -> list[Any]:
    return [line for line in logs if line["event"] in ("deaf", "not_listening", "listening_again")]


async def test_it_works_on_sweeps_alone_and_leaves_nothing_on_the_backends(
    database: str, sql: Session, transactions: PgBouncer
) -> None:
    behind = transactions.dsn_of(name_of(database))
    with capture_logs() as logs:
        async with reactor_on(behind, Memory(), queues=tuple(Queue), sweep_s=OFTEN, asleep=False) as reactor:
            assert (reactor.listener.deaf, reactor.listener.up) == (True, False)
            for _ in range(12):  # often enough to be prepared, were it allowed
                id = insert(sql)
                await until_status(sql, id, "succeeded")
            mission(sql, "noop", "noop", "noop")
            await until_none_unfinished(sql)
            assert woken(reactor, Via.BELL) == 0
            assert missed(reactor) == 0
            assert not any(line.bell.connected for line in reactor.lines.values())
            assert await left_behind(transactions, database) == []
            assert scalar(sql, SIGNS_OF_LIFE) == scalar(sql, BELLS_HELD) == 0
            assert scalar(sql, "select liveness_key from ops_workers") == 0
    [line] = deaf_lines(logs)
    assert line["event"] == "deaf"
    assert "set DIRECT_URL" in line["reason"]
    assert await left_behind(transactions, database) == []


async def test_it_needs_no_sweep_for_what_its_own_outcomes_make_due(
    database: str, sql: Session, transactions: PgBouncer
) -> None:
    async def once_more(row: ClaimedRow) -> Outcome:
        assert isinstance(row, ClaimedStep)
        return Fail("once more") if (row.seq, row.attempt) == (2, 1) else Done()

    id = mission(sql, "noop", "noop", "noop")
    memory = Memory(once_more)
    async with reactor_on(transactions.dsn_of(name_of(database)), memory, asleep=False) as reactor:
        assert reactor.listener.deaf
        await until_none_unfinished(sql)
    assert scalar(sql, "select status from ops_missions where id = %s", id) == "succeeded"
    assert len(memory.began_ids) == 4


def test_the_look_at_the_backends_sees_what_a_careless_client_leaves(
    database: str, transactions: PgBouncer
) -> None:
    behind = transactions.dsn_of(name_of(database))
    with psycopg.connect(behind, autocommit=True, prepare_threshold=None) as careless:
        careless.execute("set lock_timeout = '7s'")
        careless.execute("select pg_advisory_lock(7, 8)")
        careless.execute("listen somewhere")
    assert transactions.left_behind(name_of(database)) == [
        "listening on somewhere",
        "lock 7 8",
        "setting lock_timeout",
    ]


async def test_plans_and_time_limits_hold_in_every_transaction(
    database: str, transactions: PgBouncer
) -> None:
    pinned = {"enable_seqscan": "off", "statement_timeout": "1min", "timezone": "UTC"}
    behind = transactions.dsn_of(name_of(database))
    async with reactor_on(behind, Memory(), asleep=False) as reactor, reactor.pool.connection() as conn:
        for name, value in pinned.items():
            assert await conn.fetch_value("select current_setting(%s)", (name,)) == value
        async with conn.transaction():
            assert await conn.fetch_value("show enable_hashjoin") == "off"


async def test_what_the_page_looks_with_can_change_nothing_there_either(
    database: str, sql: Session, transactions: PgBouncer
) -> None:
    chosen: dict[str, Any] = {}
    health = Health()
    desk = Desk(Settings(**chosen), health)
    give = "insert into ops_mission_steps (kind) values ('noop')"
    async with (
        reactor_on(transactions.dsn_of(name_of(database)), Memory(known=()), asleep=False) as reactor,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(desk.run)  # closes its connections in the end
        health.ready(reactor)
        for _ in range(3):
            async with desk.reading() as conn:
                assert conn.shared
                with pytest.raises(DatabaseError, match="read-only"):
                    await conn.run(give)
        async with desk.changing() as conn:
            await conn.run(give)
        nursery.cancel_scope.cancel()
    assert scalar(sql, "select count(*) from ops_mission_steps") == 1
    assert await left_behind(transactions, database) == []


async def test_it_looks_again_and_hears_once_sessions_hold(
    database: str, sql: Session, transactions: PgBouncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "DEAF_AGAIN_S", 0.3)
    with capture_logs() as logs:
        async with reactor_on(transactions.dsn_of(name_of(database)), Memory(), asleep=False) as reactor:
            assert reactor.listener.deaf
            await trio.sleep(1.0)  # a few looks more, of which nobody hears
            transactions.stop()
            transactions.mode = "session"
            transactions.start()
            await until(lambda: reactor.listener.up, within_s=20)
            await settled(reactor)
            id = insert(sql)
            await until_status(sql, id, "succeeded")
            assert woken(reactor, Via.BELL) >= 1
            assert scalar(sql, "select liveness_key from ops_workers") == reactor.plan.liveness_key
    assert [line["event"] for line in deaf_lines(logs)][:1] == ["deaf"]
    assert len([line for line in deaf_lines(logs) if line["event"] == "deaf"]) == 1
    assert deaf_lines(logs)[-1]["event"] == "listening_again"


async def test_a_pooler_that_keeps_sessions_is_as_good_as_none(
    database: str, sql: Session, sessions: PgBouncer
) -> None:
    async with reactor_on(sessions.dsn_of(name_of(database)), Memory()) as reactor:
        assert not reactor.listener.deaf
        for _ in range(3):
            await settled(reactor)
            id = insert(sql)
            await until_status(sql, id, "succeeded")
        assert woken(reactor, Via.BELL) == 3
        assert missed(reactor) == 0
        async with reactor.pool.connection() as conn:
            assert not conn.shared
            assert await conn.fetch_value("show enable_seqscan") == "off"
        assert scalar(sql, SIGNS_OF_LIFE) >= 2
        assert scalar(sql, BELLS_HELD) == 1


async def test_two_reactors_behind_a_session_pooler_do_not_keep_each_other_awake(
    database: str, sql: Session, sessions: PgBouncer
) -> None:
    behind = sessions.dsn_of(name_of(database))
    async with reactor_on(behind, Memory()) as one, reactor_on(behind, Memory()) as two:
        for _ in range(5):
            id = insert(sql)
            await until_status(sql, id, "succeeded")
            await settled(one, two, quiet_s=0.2)


async def test_a_direct_address_beside_it_gives_everything_back(
    database: str, sql: Session, transactions: PgBouncer
) -> None:
    behind = transactions.dsn_of(name_of(database))
    async with reactor_on(behind, Memory(), direct_dsn=database) as reactor:
        assert reactor.listener.up
        for _ in range(8):
            id = insert(sql)
            await until_status(sql, id, "succeeded")
            await settled(reactor)
        assert woken(reactor, Via.BELL) == 8
        await until(lambda: scalar(sql, SIGNS_OF_LIFE) == 2)
        assert await left_behind(transactions, database) == []
        # One of its two signs of life is cut: a peer still sees it alive.
        async with reactor_on(database, Memory(), sweep_s=OFTEN) as peer:
            assert reactor.listener.conn is not None
            sql.execute("select pg_terminate_backend(%s)", (reactor.listener.conn.info.backend_pid,))
            await until(lambda: reactor.listener.up)
            await settled(reactor, peer)
        assert scalar(sql, "select count(*) from ops_workers where state = 'dead'") == 0


async def test_writers_behind_a_transaction_pooler_wake_a_direct_reactor(
    database: str, sql: Session, transactions: PgBouncer
) -> None:
    async with reactor_on(database, Memory(), sweep_s=SWEEPS_OFF) as reactor:
        with psycopg.connect(
            transactions.dsn_of(name_of(database)), autocommit=True, prepare_threshold=None
        ) as writer:
            for count in range(1, 21):
                id = insert(writer)
                await until_status(sql, id, "succeeded")
                await settled(reactor, quiet_s=0.02)
                assert woken(reactor, Via.BELL) == count
    assert await left_behind(transactions, database) == []


def test_who_follows_the_events_is_told_that_nothing_is_heard_and_sees_them_all_the_same(
    database: str, sql: Session, transactions: PgBouncer
) -> None:
    with (
        scratch_directory() as here,
        subprocess.Popen(
            [*COMMAND, "events", "--follow", "--json"],
            cwd=here,
            env=environment(DATABASE_URL=transactions.dsn_of(name_of(database))),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        hangs = threading.Timer(60.0, process.kill)  # lest a failure last for ever
        hangs.start()
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert "no notification gets through here" in process.stderr.readline()
            sql.execute("insert into ops_agent_events (kind, title) values ('said', 'something')")
            assert json.loads(process.stdout.readline())["title"] == "something"
        finally:
            hangs.cancel()
            process.kill()


async def test_a_peer_without_a_lock_is_dead_by_its_heartbeat_alone(
    database: str, sql: Session, transactions: PgBouncer
) -> None:
    async def forever(row: ClaimedRow) -> Outcome:
        await trio.sleep_forever()
        return Done()

    id = insert(sql)
    behind = transactions.dsn_of(name_of(database))
    async with reactor_on(behind, Memory(forever), sweep_s=OFTEN, asleep=False) as deaf:
        await until_status(sql, id, "running")
        async with reactor_on(database, Memory(), sweep_s=OFTEN):
            await trio.sleep(0.5)  # a few beats of the peer, which finds nobody dead
            assert scalar(sql, "select count(*) from ops_workers where state = 'dead'") == 0
        await _crash(deaf)
    assert status(sql, id) == "running"
    _age(sql, 31)
    async with reactor_on(database, Memory(), sweep_s=OFTEN, asleep=False):
        await until_status(sql, id, "succeeded")
    assert scalar(sql, "select crashes from ops_mission_steps") == 1


async def _crash(reactor: Any) -> None:
    """Nothing more is written by it; the caller drops it."""
    await reactor.pool.aclose()


def _age(sql: Session, seconds: int) -> None:
    sql.execute(
        "update ops_workers set heartbeat_at = ops_now() - make_interval(secs => %s) where liveness_key = 0",
        (seconds,),
    )
