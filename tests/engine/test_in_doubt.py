"""A line that breaks in the middle of a statement: what it did is settled by looking, never by guessing."""

from collections.abc import Callable

import pytest
import trio
from psycopg.conninfo import make_conninfo

from reactor.model.outcomes import Done, Fail, Outcome
from reactor.model.queues import Queue
from reactor.store.claimed import ClaimedRow, ClaimedStep
from tests.engine.proxy import Proxy, proxy_to
from tests.engine.support import (
    Memory,
    Session,
    insert,
    mission,
    reactor_on,
    scalar,
    settled,
    until_none_unfinished,
)
from tests.support.server import PrivateServer

TWICE = "select count(*) - count(distinct metadata -> 'step_id') from ops_agent_events where kind = 'step_succeeded'"


def through(dsn: str, proxy: Proxy) -> str:
    """The database of ``dsn``, by way of the proxy."""
    return make_conninfo(dsn, host="127.0.0.1", port=proxy.port, gssencmode="disable", sslmode="disable")


def once(verdict: str, *marks: bytes) -> Callable[[bytes], str | None]:
    """The first message with all ``marks`` gets the verdict."""
    left = [verdict]
    return lambda data: left.pop() if left and all(mark in data for mark in marks) else None


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("statement", "mark"),
    [("a commit", b"COMMIT"), ("a completion in autocommit", b"step_succeeded"), ("a claim", b"skip locked")],
)
async def test_a_line_cut_at(
    server: PrivateServer, database: str, sql: Session, statement: str, mark: bytes, moment: str
) -> None:
    socket = server.cluster.sockets / f".s.PGSQL.{server.port}"
    memory = Memory()
    async with (
        proxy_to(socket) as proxy,
        reactor_on(through(database, proxy), memory, concurrency=5) as reactor,
    ):
        proxy.judge = once(moment, mark)
        ids = [insert(sql) for _ in range(10)]
        if statement == "a commit":
            mission(sql, "noop", "noop")
        await until_none_unfinished(sql, within_s=15.0)
        await settled(reactor)
        assert proxy.cuts == 1
        done = scalar(
            sql, "select count(*) from ops_mission_steps where status = 'succeeded' and result is not null"
        )
        assert done == len(ids) + (2 if statement == "a commit" else 0)
        assert scalar(sql, TWICE) == 0
        assert scalar(sql, "select max(attempt) from ops_mission_steps") == 1
        assert set(memory.times.values()) == {1}
        assert scalar(sql, "select count(*) from ops_missions where status <> 'succeeded'") == 0


async def test_a_line_cut_again_and_again_loses_nothing(
    server: PrivateServer, database: str, sql: Session
) -> None:
    async def deed(row: ClaimedRow) -> Outcome:
        assert isinstance(row, ClaimedStep)
        await trio.lowlevel.checkpoint()
        return Fail("no", retry=False) if row.seq == 13 else Done()

    socket = server.cluster.sockets / f".s.PGSQL.{server.port}"
    memory = Memory(deed)
    seen = 0

    def every_29th(data: bytes) -> str | None:
        nonlocal seen
        seen += 1
        return None if seen % 29 else ("before", "after")[seen // 29 % 2]

    async with (
        proxy_to(socket) as proxy,
        reactor_on(through(database, proxy), memory, concurrency=5) as reactor,
    ):
        proxy.judge = every_29th
        for _ in range(8):
            for _ in range(15):
                insert(sql)
            insert(sql, seq=13)
            mission(sql, "noop", "noop", "noop")
            await trio.sleep(0.05)
        await until_none_unfinished(sql, within_s=40.0)
        proxy.judge = lambda data: None
        await settled(reactor)
        assert proxy.cuts > 3
    assert scalar(sql, "select count(*) from ops_mission_steps where status = 'succeeded'") == 8 * 18
    assert scalar(sql, "select count(*) from ops_mission_steps where status = 'failed'") == 8
    assert scalar(sql, "select count(*) from ops_missions where status = 'succeeded'") == 8
    assert scalar(sql, TWICE) == 0
    assert reactor.lines[Queue.MISSION].dispatcher.missed_wakes == 0
