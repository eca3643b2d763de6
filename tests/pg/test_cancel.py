"""A cancelled statement: cancelled on the server, the connection usable, or closed within the bound."""

import os
import random
import signal
import subprocess
import sys
import textwrap

import pytest
import trio

from reactor import errors
from reactor.pg import Connection, connect
from reactor.pg.seam import CANCEL_BOUND_S
from tests.support.server import PrivateServer
from tests.support.waiting import Onlooker, state_of


async def test_a_cancelled_statement_ends_on_the_server_and_the_connection_goes_on(
    connection: Connection, onlooker: Onlooker
) -> None:
    pid = connection.info.backend_pid
    with trio.move_on_after(0.05) as scope:
        await connection.run("select pg_sleep(30)")
    assert scope.cancelled_caught
    assert state_of(onlooker, pid) == "idle"
    assert connection.idle
    assert await connection.fetch_value("select pg_backend_pid()") == pid


async def test_in_a_cancelled_scope_nothing_is_sent(connection: Connection) -> None:
    await connection.run("create temporary table t (n int)")
    with trio.CancelScope() as scope:
        scope.cancel()
        await connection.run("insert into t (n) values (1)")
    assert await connection.fetch_value("select count(*) from t") == 0


async def test_a_hundred_cancels_at_random_times_leave_every_answer_right(connection: Connection) -> None:
    dice = random.Random(7)
    cancelled = 0
    for n in range(100):
        with trio.move_on_after(dice.uniform(0, 0.004)) as scope:
            await connection.fetch_all("select g, repeat('x', 100) from generate_series(1, 3000) as s (g)")
        cancelled += scope.cancelled_caught
        assert await connection.fetch_value("select %s::int", (n,)) == n
    assert not connection.closed
    assert cancelled > 10


async def test_cancelling_in_the_middle_of_a_large_answer_leaves_the_connection_usable(
    connection: Connection,
) -> None:
    with trio.move_on_after(0.1):
        await connection.fetch_all("select repeat('x', 1000) from generate_series(1, 10000000)")
    assert connection.closed or await connection.fetch_value("select 1") == 1


async def test_a_second_task_s_statement_runs_after_the_cancelled_one(connection: Connection) -> None:
    answers: list[int] = []

    async def ask() -> None:
        answers.append(await connection.fetch_value("select 42"))

    async with trio.open_nursery() as nursery:
        with trio.move_on_after(0.1):
            nursery.start_soon(ask)
            await connection.run("select pg_sleep(30)")
    assert answers == [42]


async def test_a_frozen_server_costs_the_socket_within_the_bound(connection: Connection) -> None:
    pid = connection.info.backend_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        began = trio.current_time()
        with trio.move_on_after(0.05):
            await connection.run("select 1")
        assert trio.current_time() - began < CANCEL_BOUND_S + 1
    finally:
        os.kill(pid, signal.SIGCONT)
    assert connection.closed
    assert connection.broken
    with pytest.raises(errors.ConnectionLost):
        await connection.run("select 1")


async def test_a_frozen_server_inside_a_transaction_costs_the_bound_once(connection: Connection) -> None:
    pid = connection.info.backend_pid
    began = trio.current_time()
    try:
        with trio.move_on_after(0.2):
            async with connection.transaction():
                await connection.run("select 1")
                os.kill(pid, signal.SIGSTOP)
                await connection.run("select 1")
        assert trio.current_time() - began < CANCEL_BOUND_S + 1
    finally:
        os.kill(pid, signal.SIGCONT)
    assert connection.closed


async def test_a_cancelled_copy_gives_back_a_usable_or_closed_connection(connection: Connection) -> None:
    await connection.run("create temporary table t (n int)")
    with trio.move_on_after(0.05):
        async with connection.cursor() as cursor, cursor.copy("copy t from stdin") as copy:
            while True:
                await copy.write_row((1,))
                await trio.lowlevel.checkpoint()
    assert connection.closed or await connection.fetch_value("select count(*) from t") == 0


async def test_a_cancelled_executemany_gives_back_a_usable_or_closed_connection(
    connection: Connection,
) -> None:
    with trio.move_on_after(0.05):
        async with connection.cursor() as cursor:
            await cursor.executemany("select pg_sleep(%s)", [(0.02,)] * 100)
    assert connection.closed or await connection.fetch_value("select 1") == 1


async def test_a_cancelled_pipeline_gives_back_a_usable_or_closed_connection(connection: Connection) -> None:
    with trio.move_on_after(0.05):
        async with connection.pipeline():
            for _ in range(10):
                await connection.execute("select pg_sleep(1)")
    assert connection.closed or await connection.fetch_value("select 1") == 1


async def test_leaving_a_stream_early_leaves_the_connection_usable(connection: Connection) -> None:
    async with connection.cursor() as cursor:
        rows = cursor.stream("select g from generate_series(1, 100000) as s (g)")
        assert await anext(rows) == (1,)
        await rows.aclose()  # type: ignore[attr-defined]  # an async generator, typed as an iterator
    assert connection.closed or await connection.fetch_value("select 1") == 1


def test_ctrl_c_during_a_statement_cancels_it_on_the_server(server: PrivateServer) -> None:
    script = """
        import os, signal, sys, threading, trio
        from reactor.pg import connect

        async def main():
            connection = await connect(sys.argv[1], name="interrupted")
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
            try:
                await connection.run("select pg_sleep(30)")
            except KeyboardInterrupt:
                print("usable", await connection.fetch_value("select 1"), connection.idle)
            await connection.aclose()

        trio.run(main)
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), server.dsn],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("usable 1 True\n", "", 0)


async def test_a_cancel_that_comes_late_never_hits_the_next_statement(
    server: PrivateServer,
) -> None:
    async with await connect(server.tcp_dsn, name="tcp") as connection:
        for n in range(50):
            with trio.move_on_after(0.001 * (n % 5)):
                await connection.run("select pg_sleep(0.002)")
            assert await connection.fetch_value("select %s::int", (n,)) == n
