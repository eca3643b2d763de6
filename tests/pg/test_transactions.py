"""Transactions and savepoints on trio, also when they are cancelled or broken."""

import pytest
import trio

from reactor import errors
from reactor.pg import Connection, Rollback
from tests.support.waiting import Onlooker


@pytest.fixture
async def numbers(connection: Connection) -> Connection:
    await connection.run("create temporary table numbers (n int primary key deferrable initially deferred)")
    return connection


async def stored(connection: Connection) -> list[int]:
    return [n for (n,) in await connection.fetch_all("select n from numbers order by n")]


async def insert(connection: Connection, n: int) -> None:
    await connection.run("insert into numbers (n) values (%s)", (n,))


async def test_a_block_is_committed_at_its_end(numbers: Connection) -> None:
    async with numbers.transaction():
        await insert(numbers, 1)
        assert not numbers.idle
    assert numbers.idle
    assert await stored(numbers) == [1]


async def test_an_error_rolls_back_and_comes_out(numbers: Connection) -> None:
    with pytest.raises(ZeroDivisionError):
        async with numbers.transaction():
            await insert(numbers, 1)
            raise ZeroDivisionError
    assert await stored(numbers) == []


async def test_a_savepoint_rolls_back_alone(numbers: Connection) -> None:
    async with numbers.transaction():
        await insert(numbers, 1)
        with pytest.raises(errors.DatabaseError):
            async with numbers.transaction():
                await insert(numbers, 2)
                await numbers.run("select 1/0")
        await insert(numbers, 3)
        async with numbers.transaction():
            await insert(numbers, 4)
            raise Rollback
        await insert(numbers, 5)
    assert await stored(numbers) == [1, 3, 5]


async def test_cancelled_inside_it_is_rolled_back_and_the_connection_goes_on(numbers: Connection) -> None:
    for waiting in ("select pg_sleep(30)", None):
        with trio.move_on_after(0.05) as scope:
            async with numbers.transaction():
                await insert(numbers, 1)
                if waiting:
                    await numbers.run(waiting)
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert numbers.idle
        assert await stored(numbers) == []


async def test_cancelled_inside_a_savepoint_everything_is_rolled_back(numbers: Connection) -> None:
    with trio.move_on_after(0.05):
        async with numbers.transaction():
            await insert(numbers, 1)
            async with numbers.transaction():
                await insert(numbers, 2)
                await numbers.run("select pg_sleep(30)")
    assert numbers.idle
    assert await stored(numbers) == []


async def test_a_cancel_of_a_scope_inside_rolls_back_the_savepoint_only(numbers: Connection) -> None:
    async with numbers.transaction():
        await insert(numbers, 1)
        with trio.move_on_after(0.05):
            async with numbers.transaction():
                await insert(numbers, 2)
                await numbers.run("select pg_sleep(30)")
        await insert(numbers, 3)
    assert await stored(numbers) == [1, 3]


async def test_cancelled_before_the_commit_nothing_is_kept(numbers: Connection) -> None:
    with trio.CancelScope() as scope:
        async with numbers.transaction():
            await insert(numbers, 1)
            scope.cancel()
    assert scope.cancelled_caught
    assert numbers.idle
    assert await stored(numbers) == []


async def test_cancelled_before_the_begin_nothing_is_begun(numbers: Connection) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        async with numbers.transaction():
            raise AssertionError("the block was entered")
    assert numbers.idle
    async with numbers.transaction():
        await insert(numbers, 1)
    assert await stored(numbers) == [1]


async def test_random_cancels_keep_all_of_a_transaction_or_nothing(numbers: Connection) -> None:
    for n in range(0, 120, 2):
        with trio.move_on_after((n % 12) * 0.0004):
            async with numbers.transaction():
                await insert(numbers, n)
                await insert(numbers, n + 1)
        assert numbers.idle
    kept = await stored(numbers)
    assert all(n + 1 in kept for n in kept if n % 2 == 0)
    assert all(n - 1 in kept for n in kept if n % 2 == 1)


async def test_an_error_at_the_commit_is_ours_and_nothing_is_kept(numbers: Connection) -> None:
    with pytest.raises(errors.DatabaseError) as caught:
        async with numbers.transaction():
            await insert(numbers, 1)
            await insert(numbers, 1)  # the constraint is looked at by the commit
    assert caught.value.sqlstate == "23505"
    assert numbers.idle
    assert await stored(numbers) == []


async def test_an_error_swallowed_inside_is_no_silent_rollback(numbers: Connection) -> None:
    with pytest.raises(errors.DatabaseError, match="nothing of it is kept") as caught:
        async with numbers.transaction():
            await insert(numbers, 1)
            with pytest.raises(errors.DatabaseError):
                await numbers.run("select 1/0")
    assert caught.value.sqlstate == "25P02"
    assert numbers.idle
    assert await stored(numbers) == []


async def test_a_connection_lost_inside_is_no_silent_end(connection: Connection, onlooker: Onlooker) -> None:
    with pytest.raises(errors.ConnectionLost):
        async with connection.transaction():
            onlooker.execute("select pg_terminate_backend(%s)", (connection.info.backend_pid,))
            with pytest.raises(errors.ConnectionLost):
                await connection.run("select pg_sleep(5)")
    assert connection.closed


async def test_force_rollback_keeps_nothing(numbers: Connection) -> None:
    async with numbers.transaction(force_rollback=True):
        await insert(numbers, 1)
    assert await stored(numbers) == []
