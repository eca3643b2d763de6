"""Closing a connection under somebody's statement, at the worst moment."""

import os

import trio
import trio.testing

from reactor.errors import ConnectionLost
from reactor.pg import Connection, connect
from tests.support.server import PrivateServer

ROUNDS = 40  # both tasks become ready in one turn of the event loop; which one runs first is decided by a die


async def test_a_statement_whose_answer_has_come_never_touches_what_was_closed_under_it(
    server: PrivateServer,
) -> None:
    answers: list[str] = []
    for _ in range(ROUNDS):
        conn = await connect(server.dsn, name="closed under us")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_ask, conn, answers)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(_close_when_the_answer_comes, conn)
    in_time = answers.count("answered")
    # Anything else would be libpq speaking from memory that was freed.
    assert answers.count("the connection to the database broke: the connection is closed") == ROUNDS - in_time
    assert in_time < ROUNDS


async def _ask(conn: Connection, answers: list[str]) -> None:
    try:
        await conn.fetch_all("select pg_sleep(0.01), repeat('x', 100000)")
    except ConnectionLost as error:
        answers.append(str(error))
    else:
        answers.append("answered")


async def _close_when_the_answer_comes(conn: Connection) -> None:
    watched = os.dup(conn.pgconn.socket)
    try:
        await trio.lowlevel.wait_readable(watched)
    finally:
        os.close(watched)
    await conn.aclose()
