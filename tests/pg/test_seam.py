"""The private surface of psycopg the seam leans on, and the seam's own small parts."""

import inspect
import socket

import psycopg
import pytest
import trio
from psycopg import _conninfo_utils, pq, waiting
from psycopg.transaction import AsyncTransaction

from reactor.pg.connection import Connection
from reactor.pg.seam import Lock, ready, ready_now
from tests.support.server import PrivateServer


def parameters(function: object) -> list[str]:
    assert callable(function)
    return list(inspect.signature(function).parameters)


def test_psycopg_is_the_minor_version_the_seam_was_written_for() -> None:
    assert psycopg.__version__.split(".")[:2] == ["3", "3"]


def test_the_private_signatures_of_psycopg_are_the_ones_the_seam_overrides() -> None:
    its = psycopg.AsyncConnection
    assert parameters(its.wait) == ["self", "gen", "interval", "timeout"]
    assert parameters(its.transaction) == ["self", "savepoint_name", "force_rollback"]
    assert parameters(its.cancel_safe) == ["self", "timeout"]
    assert parameters(its._connect_gen) == ["conninfo"]
    assert parameters(its._cancel_gen) == ["self"]
    assert parameters(its._should_cancel) == ["self"]
    assert parameters(AsyncTransaction.__init__) == [
        "self",
        "connection",
        "savepoint_name",
        "force_rollback",
    ]
    assert parameters(AsyncTransaction._enter_gen) == ["self"]
    assert parameters(AsyncTransaction._exit_gen) == ["self", "exc_type", "exc_val", "exc_tb"]
    assert parameters(AsyncTransaction._check_enter) == ["self"]
    assert parameters(AsyncTransaction._get_enter_commands) == ["self"]
    assert parameters(_conninfo_utils.split_attempts) == ["params"]
    assert parameters(_conninfo_utils.get_param) == ["params", "name"]
    assert parameters(_conninfo_utils.is_ip_address) == ["s"]
    assert issubclass(psycopg.errors._WaitTimeout, Exception)


def test_a_wait_is_two_bits_and_so_is_its_answer() -> None:
    assert (waiting.Wait.R, waiting.Wait.W, waiting.Wait.RW) == (1, 2, 3)
    assert (waiting.Ready.R, waiting.Ready.W, waiting.Ready.RW) == (1, 2, 3)


async def test_a_connection_has_the_private_attributes_the_seam_sets(server: PrivateServer) -> None:
    with psycopg.connect(server.dsn) as blocking:
        names = ("_autocommit", "_adapters", "_closed", "_pipeline", "_num_transactions", "lock")
        assert [name for name in names if not hasattr(blocking, name)] == []


async def test_every_wait_of_psycopg_goes_through_the_seam(connection: Connection) -> None:
    seen: list[str] = []
    usual = connection.wait

    async def counted(gen, interval=0.0, timeout=None):  # type: ignore[no-untyped-def]  # psycopg's own, private
        seen.append(type(gen).__name__)
        assert connection.lock.locked(), "psycopg waits without holding the lock"
        return await usual(gen, interval, timeout)

    connection.wait = counted  # type: ignore[method-assign]  # counts what passes
    async with connection.transaction():
        await connection.run("select 1")
    async with connection.cursor() as cursor:
        await cursor.executemany("select %s::int", [(1,), (2,)])
        async with cursor.copy("copy (select 1) to stdout") as copy:
            assert [row async for row in copy.rows()] == [("1",)]
    assert len(seen) >= 6


async def test_pipeline_mode_comes_for_free(connection: Connection) -> None:
    async with connection.pipeline():
        cursors = [await connection.execute("select %s::int", (n,)) for n in range(50)]
        assert [await cursor.fetchone() for cursor in cursors] == [(n,) for n in range(50)]
    assert connection.idle


async def test_copy_in_moves_more_than_the_socket_buffers_hold(connection: Connection) -> None:
    await connection.run("create temporary table big (n int, filler text)")
    filler = "x" * 1000
    async with connection.cursor() as cursor, cursor.copy("copy big from stdin") as copy:
        for n in range(20_000):
            await copy.write_row((n, filler))
    assert await connection.fetch_value("select count(*) from big") == 20_000


async def test_a_parameter_larger_than_the_socket_buffers_arrives(connection: Connection) -> None:
    text = "ab" * 8_000_000
    assert await connection.fetch_value("select length(%s::text)", (text,)) == len(text)


async def test_copying_for_long_leaves_the_loop_to_others(connection: Connection) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.sleep(0.001)

    await connection.run("create temporary table busy (n int)")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        async with connection.cursor() as cursor, cursor.copy("copy busy from stdin") as copy:
            for n in range(100_000):
                await copy.write_row((n,))
        nursery.cancel_scope.cancel()
    assert turns >= 5


async def test_asyncio_s_way_to_connect_is_closed() -> None:
    with pytest.raises(RuntimeError, match=r"reactor\.pg\.connect"):
        await Connection.connect("host=nowhere")


async def test_the_lock_is_given_in_order_of_arrival_and_skips_who_gave_up() -> None:
    lock = Lock()
    order: list[int] = []

    async def take(number: int, scope: trio.CancelScope) -> None:
        with scope:
            async with lock:
                order.append(number)

    scopes = [trio.CancelScope() for _ in range(4)]
    async with trio.open_nursery() as nursery, lock:
        for number, scope in enumerate(scopes):
            nursery.start_soon(take, number, scope)
            await trio.testing.wait_all_tasks_blocked()
        scopes[1].cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert order == []
    assert order == [0, 2, 3]
    assert not lock.locked()


async def test_asking_twice_from_one_task_is_an_error_not_a_standstill() -> None:
    lock = Lock()
    async with lock:
        with pytest.raises(RuntimeError, match="already using"):
            await lock.__aenter__()


async def test_waiting_for_either_direction_ends_with_the_one_that_came() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        while ready_now(ours.fileno(), 2):
            ours.send(b"x" * 65536)
        theirs.send(b"!")
        with trio.fail_after(2):
            assert await ready(ours.fileno(), 3) == waiting.Ready.R


async def test_waiting_for_either_direction_can_be_cancelled() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        while ready_now(ours.fileno(), 2):
            ours.send(b"x" * 65536)
        with trio.move_on_after(0.01) as scope:
            await ready(ours.fileno(), 3)
        assert scope.cancelled_caught


def test_libpq_is_new_enough_to_cancel_without_blocking() -> None:
    assert pq.version() >= 170000
