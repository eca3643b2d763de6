"""The pool: its limit and order, what it lends again and what it drops, how it gets through an outage."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from reactor import errors
from reactor.pg import Connection, Pool, connect
from tests.support.server import PrivateServer
from tests.support.waiting import Onlooker, open_files, until

Opener = Callable[[], Awaitable[Connection]]


@pytest.fixture
def opening(server: PrivateServer) -> Opener:
    async def open_one() -> Connection:
        return await connect(server.dsn, name="pool")

    return open_one


@asynccontextmanager
async def pool_of(
    opening: Opener,
    limit: int = 2,
    acquire_timeout_s: float = 30,
    max_lifetime_s: float = 3600,
    check_after_idle_s: float = 30,
) -> AsyncIterator[Pool]:
    pool = Pool(
        opening,
        limit=limit,
        acquire_timeout_s=acquire_timeout_s,
        max_lifetime_s=max_lifetime_s,
        check_after_idle_s=check_after_idle_s,
    )
    try:
        yield pool
    finally:
        await pool.aclose()


async def pid_of(pool: Pool) -> int:
    async with pool.connection() as connection:
        return connection.info.backend_pid


async def test_fifty_tasks_never_have_more_connections_than_the_limit(opening: Opener) -> None:
    lent = most = served = 0

    async with pool_of(opening, 4) as pool:

        async def work() -> None:
            nonlocal lent, most, served
            for _ in range(5):
                async with pool.connection() as connection:
                    lent += 1
                    most = max(most, lent, pool.size)
                    await connection.run("select pg_sleep(0.001)")
                    lent -= 1
                served += 1

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(work)
        assert pool.idle == pool.size <= 4
    assert (most, served) == (4, 250)
    assert pool.size == 0


async def test_those_who_wait_are_served_in_order(opening: Opener) -> None:
    served: list[int] = []
    async with pool_of(opening, 1) as pool, trio.open_nursery() as nursery:

        async def wait_for_turn(number: int) -> None:
            async with pool.connection():
                served.append(number)

        async with pool.connection():
            for number in range(10):
                nursery.start_soon(wait_for_turn, number)
                await trio.testing.wait_all_tasks_blocked()
    assert served == list(range(10))


async def test_the_connection_used_last_is_lent_first_and_at_once(opening: Opener) -> None:
    async with pool_of(opening, 3) as pool:
        async with pool.connection() as first, pool.connection() as second:
            pids = {first.info.backend_pid, second.info.backend_pid}
        last = await pid_of(pool)
        assert last in pids
        assert [await pid_of(pool) for _ in range(5)] == [last] * 5
        assert pool.size == 2


async def test_an_idle_connection_is_lent_without_a_trip_through_the_scheduler(opening: Opener) -> None:
    async with pool_of(opening, 1) as pool:
        await pid_of(pool)
        with trio.testing.assert_no_checkpoints():
            connection = await pool.acquire(1)
        await pool.release(connection)


async def test_all_busy_for_too_long_says_so(opening: Opener) -> None:
    async with pool_of(opening, 1, acquire_timeout_s=0.05) as pool, pool.connection():
        with pytest.raises(errors.PoolTimeout, match=r"all 1 connections.*POOL_MAX"):
            async with pool.connection():
                raise AssertionError("there was none to lend")
        with pytest.raises(errors.PoolTimeout, match=r"0\.01 s"):
            async with pool.connection(timeout_s=0.01):
                raise AssertionError("there was none to lend")


async def test_cancellation_while_waiting_or_opening_takes_nothing(opening: Opener) -> None:
    async with pool_of(opening, 2) as pool:
        await pid_of(pool)
        before = open_files()
        for step in range(60):
            with trio.move_on_after(step * 0.0001):
                async with pool.connection() as one, pool.connection() as other:
                    await one.run("select pg_sleep(0.001)")
                    await other.run("select pg_sleep(0.001)")
        async with pool.connection(timeout_s=5), pool.connection(timeout_s=5):
            assert pool.size == 2
        assert pool.idle == 2
        assert open_files() <= before + 1


async def test_a_broken_connection_is_replaced(opening: Opener, onlooker: Onlooker) -> None:
    async with pool_of(opening, 1) as pool:
        with pytest.raises(errors.ConnectionLost):
            async with pool.connection() as connection:
                pid = connection.info.backend_pid
                onlooker.execute("select pg_terminate_backend(%s)", (pid,))
                await connection.run("select pg_sleep(5)")
        assert pool.size == 0
        assert await pid_of(pool) != pid


async def test_a_connection_that_died_idle_is_never_lent(opening: Opener, onlooker: Onlooker) -> None:
    async with pool_of(opening, 2) as pool:
        async with pool.connection() as one, pool.connection() as other:
            connections = [one, other]
        for connection in connections:
            onlooker.execute("select pg_terminate_backend(%s)", (connection.info.backend_pid,))
        await until(lambda: onlooker_counts(onlooker) == 0)
        async with pool.connection() as fresh:
            assert fresh not in connections
            assert await fresh.fetch_value("select 1") == 1


def onlooker_counts(onlooker: Onlooker) -> int:
    row = onlooker.execute(
        "select count(*) from pg_stat_activity where application_name = 'voxyz-reactor pool'"
    ).fetchone()
    assert row is not None
    return int(row[0])


async def test_a_transaction_left_open_is_rolled_back(opening: Opener) -> None:
    async with pool_of(opening, 1) as pool:
        async with pool.connection() as connection:
            pid = connection.info.backend_pid
            await connection.run("begin")
            await connection.run("create table left_open (n int)")
        async with pool.connection() as connection:
            assert connection.info.backend_pid == pid
            assert connection.idle
            assert await connection.fetch_value("select to_regclass('left_open')") is None


async def test_a_transaction_left_open_is_rolled_back_in_a_cancelled_scope(opening: Opener) -> None:
    async with pool_of(opening, 1) as pool:
        with trio.CancelScope() as scope:
            async with pool.connection() as connection:
                pid = connection.info.backend_pid
                await connection.run("begin")
                scope.cancel()
        assert await pid_of(pool) == pid
        assert pool.idle == 1


async def test_a_connection_past_its_lifetime_is_replaced(opening: Opener) -> None:
    async with pool_of(opening, 1, max_lifetime_s=0.1) as pool:
        first = await pid_of(pool)
        await trio.sleep(0.1)
        assert await pid_of(pool) != first
        assert pool.size == 1


async def test_after_idling_a_connection_must_answer_before_it_is_lent(
    opening: Opener, onlooker: Onlooker
) -> None:
    async with pool_of(opening, 1, check_after_idle_s=0) as pool:
        pid = await pid_of(pool)
        assert await pid_of(pool) == pid
        row = onlooker.execute("select query from pg_stat_activity where pid = %s", (pid,)).fetchone()
        assert row == ("select 1",)


async def test_a_server_that_is_away_is_knocked_at_by_one_at_growing_intervals(opening: Opener) -> None:
    knocks: list[float] = []
    at_once = most = 0
    away = True

    async def knock() -> Connection:
        nonlocal at_once, most
        knocks.append(trio.current_time())
        at_once += 1
        most = max(most, at_once)
        try:
            await trio.sleep(0.001)
            if away:
                raise errors.DatabaseUnavailable("away")
            return await opening()
        finally:
            at_once -= 1

    async with pool_of(knock, 4) as pool:
        with pytest.raises(errors.DatabaseUnavailable, match="away"):
            async with pool.connection(timeout_s=0.05):
                raise AssertionError("nobody is there")
        at_once = most = 0
        knocks.clear()
        served = 0

        async def work() -> None:
            nonlocal served
            async with pool.connection(timeout_s=20) as connection:
                await connection.run("select 1")
            served += 1

        async with trio.open_nursery() as nursery:
            for _ in range(30):
                nursery.start_soon(work)
            await until(lambda: len(knocks) >= 4)
            assert most == 1
            gaps = [later - earlier for earlier, later in itertools.pairwise(knocks)]
            assert gaps[-1] > gaps[0]
            away = False
        assert served == 30


async def test_one_that_comes_back_is_taken_by_who_waits_to_knock(opening: Opener) -> None:
    full = False
    refused = 0

    async def while_there_is_room() -> Connection:
        nonlocal refused
        if full:
            refused += 1
            raise errors.DatabaseUnavailable("too many clients")
        return await opening()

    async with pool_of(while_there_is_room, 2) as pool:
        connection = await pool.acquire(1)
        full = True
        while refused < 6:  # until the pauses are long
            with pytest.raises(errors.DatabaseUnavailable, match="too many"):
                await pool.acquire(0.01)
        taken: list[Connection] = []

        async def take() -> None:
            taken.append(await pool.acquire(20))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            await trio.testing.wait_all_tasks_blocked()
            await pool.release(connection)
        assert taken == [connection]
        await pool.release(connection)


async def test_a_wrong_password_is_told_at_once(server: PrivateServer) -> None:
    async def refused() -> Connection:
        return await connect(server.tcp_dsn.replace(server.password, "wrong"), name="pool")

    async with pool_of(refused, 1, acquire_timeout_s=60) as pool:
        with pytest.raises(errors.AccessDenied):
            async with pool.connection():
                raise AssertionError("we were let in")


async def test_it_gets_through_a_restart_of_the_server(server: PrivateServer, opening: Opener) -> None:
    async with pool_of(opening, 2) as pool:
        await pid_of(pool)
        await trio.to_thread.run_sync(server.restart)
        async with pool.connection() as connection:
            assert await connection.fetch_value("select 1") == 1


async def test_closing_ends_the_wait_of_those_who_wait_and_closes_what_comes_back(opening: Opener) -> None:
    refused = 0
    pool = Pool(opening, limit=1)

    async def work() -> None:
        nonlocal refused
        with pytest.raises(errors.DatabaseUnavailable, match="pool is closed"):
            async with pool.connection():
                raise AssertionError("the pool is closed")
        refused += 1

    async with trio.open_nursery() as nursery, pool.connection() as connection:
        for _ in range(3):
            nursery.start_soon(work)
        await trio.testing.wait_all_tasks_blocked()
        await pool.aclose()
        assert not connection.closed
    assert refused == 3
    assert connection.closed
    assert pool.size == 0
    await work()
