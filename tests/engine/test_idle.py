"""What idle reactors do to each other and to the database: nothing."""

import time
from pathlib import Path

import psycopg
import pytest
import trio

from reactor.model.queues import Queue
from tests.engine.support import Memory, Session, insert, missed, reactor_on, scalar, settled, until_status
from tests.support.server import PrivateServer
from tests.support.waiting import until

BUSY_FOR = (
    "select coalesce(max(extract(epoch from clock_timestamp() - query_start)), 0)::float8 from pg_stat_activity"
    " where datname = current_database() and backend_type = 'client backend' and state = 'active'"
    " and pid <> pg_backend_pid() and application_name like %s"
)


async def test_claims_and_completions_of_idle_reactors_ring_for_nobody(database: str, sql: Session) -> None:
    async with reactor_on(database, Memory()) as one, reactor_on(database, Memory()) as two:
        await settled(one, two)
        inserts = 20
        for _ in range(inserts):
            id = insert(sql)
            await until_status(sql, id, "succeeded")
            await settled(one, two, quiet_s=0.02)
        await until(lambda: min(r.control.rings[Queue.MISSION] for r in (one, two)) >= inserts)
        await settled(one, two)
        assert [r.control.rings[Queue.MISSION] for r in (one, two)] == [inserts, inserts]
        assert missed(one) == missed(two) == 0


@pytest.mark.parametrize("watched_s", [8.0, pytest.param(60.0, marks=pytest.mark.chaos)])
async def test_idle_reactors_hold_up_neither_vacuum_nor_an_index_nor_anybody(
    server: PrivateServer, database: str, sql: Session, watched_s: float
) -> None:
    sql.execute("create table scratch as select n from generate_series(1, 50000) as n")
    name = sql.info.dbname
    sql.execute(f"alter database {name} set log_lock_waits = on".encode())
    log_before = _lock_waits(server.log_path)
    queues = tuple(Queue)
    async with (
        reactor_on(database, Memory(), queues=queues) as one,
        reactor_on(database, Memory(), queues=queues) as two,
        reactor_on(database, Memory(), queues=queues) as three,
    ):
        await settled(one, two, three)
        sql.execute("delete from scratch")
        began_at = time.monotonic()
        sql.execute("create index concurrently on ops_mission_steps (created_at)")
        assert time.monotonic() - began_at < 3.0
        longest_s = await _longest_statement(sql, watched_s)
        sql.execute("vacuum scratch")
        assert scalar(sql, "select pg_relation_size('scratch')") == 0
    assert longest_s < 1.0
    assert _lock_waits(server.log_path) == log_before


async def test_nobody_waits_long_for_a_silent_writer_either(
    server: PrivateServer, database: str, sql: Session
) -> None:
    name = sql.info.dbname
    sql.execute(f"alter database {name} set log_lock_waits = on".encode())
    log_before = _lock_waits(server.log_path)
    with psycopg.connect(database) as writer:
        writer.execute(
            "insert into ops_mission_steps (kind) values ('noop')"
        )  # before anybody could hold the bell
        async with (
            reactor_on(database, Memory(), asleep=False) as one,
            reactor_on(database, Memory(), asleep=False) as two,
        ):
            longest_s = await _longest_statement(sql, 3.0)
            writer.commit()
            await settled(one, two)
    assert scalar(sql, "select count(*) from ops_mission_steps where status = 'succeeded'") == 1
    assert longest_s < 1.0
    assert _lock_waits(server.log_path) == log_before


async def _longest_statement(sql: Session, seconds: float) -> float:
    longest_s = 0.0
    until_at = trio.current_time() + seconds
    while trio.current_time() < until_at:
        longest_s = max(longest_s, scalar(sql, BUSY_FOR, "%"))
        await trio.sleep(0.05)
    return longest_s


def _lock_waits(log: Path) -> int:
    text = log.read_text(errors="replace")
    return text.count("still waiting for") + text.count("after waiting") + text.count("acquired ")
