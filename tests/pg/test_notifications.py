"""Hearing: nothing lost beside statements, at once, and noticing when the server is gone."""

import os
import random
import signal
from collections.abc import AsyncIterator

import pytest
import trio
from psycopg.waiting import Wait

from reactor import errors
from reactor.pg import Connection, ListeningConnection, Notification, open_listener
from reactor.pg.seam import ready_now
from tests.support.server import PrivateServer
from tests.support.waiting import Onlooker, until


@pytest.fixture
async def listener(server: PrivateServer) -> AsyncIterator[ListeningConnection]:
    async with await open_listener(server.dsn, name="listener") as opened:
        await opened.listen("wake", "Control")
        yield opened


async def test_a_notification_says_its_channel_payload_and_sender(
    listener: ListeningConnection, connection: Connection
) -> None:
    await connection.run("select pg_notify('wake', 'größe')")
    await connection.run('notify "Control"')
    heard: list[Notification] = []
    with trio.fail_after(5):
        while len(heard) < 2:
            heard += await listener.next_batch()
    pid = connection.info.backend_pid
    assert heard == [Notification("wake", "größe", pid), Notification("Control", "", pid)]


async def test_none_is_lost_and_order_is_kept_while_statements_run(
    listener: ListeningConnection, connection: Connection
) -> None:
    count = 3000
    heard: list[str] = []
    asked = 0
    done = trio.Event()

    async def hear() -> None:
        while len(heard) < count:
            heard.extend(one.payload for one in await listener.next_batch())
        done.set()

    async def ask(dice: random.Random) -> None:
        nonlocal asked
        while not done.is_set():
            n = dice.randrange(1000)
            assert await listener.fetch_value("select %s::int", (n,)) == n
            asked += 1
            await trio.sleep(dice.choice((0, 0, 0.001)))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hear)
            for seed in range(3):
                nursery.start_soon(ask, random.Random(seed))
            for n in range(count):
                await connection.run("select pg_notify('wake', %s)", (str(n),))
    assert heard == [str(n) for n in range(count)]
    assert asked > 100


async def test_one_that_arrives_with_an_answer_is_heard_without_another_byte(
    listener: ListeningConnection,
) -> None:
    for n in range(50):
        await listener.run("select pg_notify('wake', %s)", (str(n),))  # to itself: behind its own answer
        with trio.fail_after(5):
            assert [one.payload for one in await listener.next_batch()] == [str(n)]


async def test_one_that_arrives_during_a_statement_is_heard_after_it(
    listener: ListeningConnection, connection: Connection
) -> None:
    async def ask() -> None:
        await listener.run("select pg_sleep(0.2)")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked(0.01)
        await connection.run("notify wake, 'meanwhile'")
        with trio.fail_after(5):
            assert [one.payload for one in await listener.next_batch()] == ["meanwhile"]


async def test_a_cancelled_wait_loses_nothing(listener: ListeningConnection, connection: Connection) -> None:
    heard: list[str] = []
    for n in range(200):
        with trio.move_on_after((n % 7) * 0.0002):
            while True:
                heard += [one.payload for one in await listener.next_batch()]
        await connection.run("select pg_notify('wake', %s)", (str(n),))
    with trio.fail_after(5):
        while len(heard) < 200:
            heard += [one.payload for one in await listener.next_batch()]
    assert heard == [str(n) for n in range(200)]


async def test_a_cancelled_statement_beside_the_wait_leaves_both_working(
    listener: ListeningConnection, connection: Connection
) -> None:
    heard: list[str] = []

    async def hear() -> None:
        while True:
            heard.extend(one.payload for one in await listener.next_batch())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear)
        for _ in range(20):
            with trio.move_on_after(0.005):
                await listener.run("select pg_sleep(30)")
        async with listener.transaction():
            await listener.run("select 1")
        await connection.run("notify wake, 'still here'")
        with trio.fail_after(5):
            while not heard:
                await trio.sleep(0.001)
        nursery.cancel_scope.cancel()
    assert heard == ["still here"]


async def test_a_flood_leaves_the_loop_to_others(
    listener: ListeningConnection, connection: Connection
) -> None:
    turns = heard = batches = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    await connection.run("select pg_notify('wake', n::text) from generate_series(1, 20000) as s (n)")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        with trio.fail_after(20):
            while heard < 20_000:
                heard += len(await listener.next_batch())
                batches += 1
        nursery.cancel_scope.cancel()
    assert turns >= batches - 1 > 0


async def test_a_server_that_hangs_up_is_noticed(listener: ListeningConnection, onlooker: Onlooker) -> None:
    async def hang_up() -> None:
        await trio.testing.wait_all_tasks_blocked(0.01)
        onlooker.execute("select pg_terminate_backend(%s)", (listener.info.backend_pid,))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hang_up)
        with trio.fail_after(5), pytest.raises(errors.ConnectionLost):
            while True:
                await listener.next_batch()
    with pytest.raises(errors.ConnectionLost):
        await listener.next_batch()


async def test_what_was_said_before_the_end_is_heard_before_the_end(
    listener: ListeningConnection, onlooker: Onlooker
) -> None:
    pid = listener.info.backend_pid
    onlooker.execute("notify wake, 'last words'")
    await until(lambda: bool(ready_now(listener.pgconn.socket, Wait.R)))
    onlooker.execute("select pg_terminate_backend(%s, 5000)", (pid,))
    with trio.fail_after(5):
        assert [one.payload for one in await listener.next_batch()] == ["last words"]
        with pytest.raises(errors.ConnectionLost, match="administrator command"):
            await listener.next_batch()


async def test_closing_wakes_the_one_who_waits(listener: ListeningConnection) -> None:
    async def hear() -> None:
        with pytest.raises(errors.ConnectionLost):
            await listener.next_batch()

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hear)
            await trio.testing.wait_all_tasks_blocked(0.01)
            await listener.aclose()


async def test_a_frozen_server_fails_the_statement_with_a_deadline_and_frees_the_one_who_waits(
    listener: ListeningConnection,
) -> None:
    pid = listener.info.backend_pid
    lost = trio.Event()

    async def hear() -> None:
        with pytest.raises(errors.ConnectionLost):
            await listener.next_batch()
        lost.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear)
        await trio.testing.wait_all_tasks_blocked(0.01)
        os.kill(pid, signal.SIGSTOP)
        try:
            with trio.move_on_after(0.1):
                await listener.run("select 1")
            with trio.fail_after(5):
                await lost.wait()
        finally:
            os.kill(pid, signal.SIGCONT)
    assert listener.closed
