"""Who holds the bell, how it is passed on, and what asking for it leaves behind."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
import trio

from reactor.engine.connections import Sessions, work_pool
from reactor.engine.doorbell import Doorbell
from reactor.engine.supervisor import Reactor
from reactor.engine.wake import Via, Wake
from reactor.model.outcomes import Done, Outcome
from reactor.model.queues import Queue
from reactor.pg import QUIET_SESSION, ListeningConnection, open_listener
from reactor.store.claimed import ClaimedRow
from tests.engine.support import (
    Memory,
    Session,
    insert,
    missed,
    reactor_on,
    scalar,
    settled,
    status,
    until_status,
)
from tests.support.waiting import until

HOLDERS = (
    "select array_agg(pid) from pg_locks where locktype = 'advisory' and classid = 1987014777 and objid = 1"
    " and mode = 'ExclusiveLock' and granted and database = (select oid from pg_database where datname = current_database())"
)


def holds(reactor: Reactor) -> bool:
    return reactor.lines[Queue.MISSION].bell.held


async def for_ever(row: ClaimedRow) -> Outcome:
    await trio.sleep_forever()


async def test_of_idle_reactors_exactly_one_holds_the_bell(database: str, sql: Session) -> None:
    async with (
        reactor_on(database, Memory()) as one,
        reactor_on(database, Memory()) as two,
        reactor_on(database, Memory()) as three,
    ):
        await settled(one, two, three)
        assert [holds(one), holds(two), holds(three)].count(True) == 1
        assert len(scalar(sql, HOLDERS)) == 1


async def test_a_leader_that_gets_busy_passes_the_bell_on(database: str, sql: Session) -> None:
    async with (
        reactor_on(database, Memory(for_ever), agent="sage", concurrency=1) as leader,
        reactor_on(database, Memory(), agent="quill") as follower,
    ):
        await _leader_gets_busy_by_itself(sql, leader, follower)
        await until(lambda: holds(follower), within_s=20.0)
        id = insert(sql, agent_id="quill")
        await until_status(sql, id, "succeeded", within_s=20.0)
        assert missed(leader) == missed(follower) == 0


async def test_without_the_pass_the_follower_would_sleep_on(
    database: str, sql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reactor.engine.control.Control._pass", lambda *_: None)
    async with (
        reactor_on(database, Memory(for_ever), agent="sage", concurrency=1) as leader,
        reactor_on(database, Memory(), agent="quill") as follower,
    ):
        await _leader_gets_busy_by_itself(sql, leader, follower)
        id = insert(sql, agent_id="quill")
        await settled(follower, quiet_s=0.5)
        assert status(sql, id) == "queued"


async def _leader_gets_busy_by_itself(sql: Session, leader: Reactor, follower: Reactor) -> None:
    """The leader, woken by its timer alone, is full: it has let go of the bell and nobody rang."""
    await settled(leader, follower)
    due_s = "insert into ops_mission_steps (kind, agent_id, run_at) values ('noop', 'sage', now() + interval '4 s')"
    taken = scalar(sql, due_s + " returning id")
    await settled(leader, follower)
    if holds(follower):  # the ring of the insert shuffled them: once more round, until the leader leads
        while not holds(leader):
            follower.lines[Queue.MISSION].wake.ring(Via.NEWS)
            leader.lines[Queue.MISSION].wake.ring(Via.NEWS)
            await settled(leader, follower, quiet_s=0.01)
        await settled(leader, follower)
    assert holds(leader)
    await until_status(sql, taken, "running")
    its_pid = leader.lines[Queue.MISSION].bell.own_pid()
    await until(
        lambda: its_pid not in (scalar(sql, HOLDERS) or ()), within_s=20.0
    )  # it claims first, then lets go


async def test_a_bell_whose_connection_breaks_is_taken_again_at_once(database: str, sql: Session) -> None:
    async with reactor_on(database, Memory()) as one, reactor_on(database, Memory()) as two:
        for _ in range(5):
            await settled(one, two)
            [holder] = scalar(sql, HOLDERS)
            assert scalar(sql, "select pg_terminate_backend(%s, 5000)", holder)
            id = insert(sql)
            await until_status(sql, id, "succeeded", within_s=20.0)
        assert missed(one) == missed(two) == 0


async def test_a_listener_whose_connection_breaks_hears_again_and_misses_nothing(
    database: str, sql: Session
) -> None:
    async with reactor_on(database, Memory()) as reactor:
        for _ in range(3):
            await settled(reactor)
            listener = reactor.listener.conn
            assert listener is not None
            assert scalar(sql, "select pg_terminate_backend(%s, 5000)", listener.info.backend_pid)
            ids = [insert(sql) for _ in range(3)]
            for id in ids:
                await until_status(sql, id, "succeeded", within_s=20.0)
            await until(lambda: reactor.listener.up)


async def test_every_connection_at_once_may_break(database: str, sql: Session) -> None:
    async with reactor_on(database, Memory()) as one, reactor_on(database, Memory()) as two:
        for _ in range(3):
            await settled(one, two)
            sql.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
            ids = [insert(sql) for _ in range(3)]
            for id in ids:
                await until_status(sql, id, "succeeded", within_s=20.0)


async def test_rows_start_also_while_a_stranger_keeps_the_bell(database: str, sql: Session) -> None:
    memory = Memory()
    async with reactor_on(database, memory) as reactor:
        running = insert(sql)
        await until_status(sql, running, "succeeded")
        with psycopg.connect(
            database
        ) as stranger:  # silent: the reactor is given no chance to take the bell first
            await until(lambda: holds(reactor))
            sql.execute("select ops_pause('mission')")
            gate = trio.Event()

            async def wait(row: ClaimedRow) -> Outcome:
                await gate.wait()
                return Done()

            memory.deed = wait
            sql.execute("select ops_resume('mission')")
            busy = [insert(sql) for _ in range(30)]  # more than it runs at once and reads ahead
            await until(lambda: len(memory.began_ids) == 11)
            await until(lambda: scalar(sql, HOLDERS) is None)  # at the server: the unlock is on its way there
            stranger.execute("insert into ops_mission_steps (kind) values ('noop')")
            gate.set()
            await until_status(sql, busy[-1], "succeeded")
            bell = reactor.lines[Queue.MISSION].bell
            await until(lambda: bell.timeouts > 0)  # it waited 0.8 s for the stranger, in vain
            for _ in range(10):
                id = insert(sql)
                await until_status(sql, id, "succeeded", within_s=20.0)
            assert not holds(reactor)
            stranger.commit()
        await settled(reactor)
        assert holds(reactor)
        assert scalar(sql, "select count(*) from ops_mission_steps where status <> 'succeeded'") == 0
        assert missed(reactor) == 0


async def test_arming_calls_cancelled_at_random_leave_no_lock_behind(database: str, sql: Session) -> None:
    dice = random.Random(200)
    granted = 0
    async with _bell_of(database) as bell:
        with psycopg.connect(database) as writer:
            for call in range(200):
                if call % 2 and not writer.info.transaction_status:
                    writer.execute("select pg_advisory_xact_lock_shared(1987014777, 1)")
                async with trio.open_nursery() as nursery:
                    with trio.move_on_after(dice.uniform(0.0, 0.012)):
                        ask = bell.wait_for_writers if call % 2 else bell.take
                        if call % 3 == 0:
                            nursery.start_soon(_end_soon, writer, dice.uniform(0.0, 0.012))
                        await ask()
                granted += bell.held
                if bell.held:
                    await bell.let_go()
                assert scalar(sql, HOLDERS) is None, f"after call {call}"
                waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
                assert scalar(sql, waiting) == 0
    assert 0 < granted < 200


async def _end_soon(writer: Session, seconds: float) -> None:
    await trio.sleep(seconds)
    writer.rollback()


@asynccontextmanager
async def _bell_of(dsn: str) -> AsyncIterator[Doorbell]:
    """A bell with a connection, and nobody who uses it."""

    async def open_quiet() -> ListeningConnection:
        return await open_listener(dsn, name="bell", settings=QUIET_SESSION)

    pool = work_pool(Sessions(dsn, dsn, 1), 1)
    bell = Doorbell(Queue.MISSION, Wake(), open_quiet, pool, random.random)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bell.run)
            await until(lambda: bell.connected)
            yield bell
            nursery.cancel_scope.cancel()
    finally:
        await pool.aclose()
