"""The bell of a queue: one advisory lock. Twin of ``queries/doorbell.sql``."""

from typing import Literal

from reactor.model.queues import Queue
from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("doorbell")

Standing = Literal["taken", "peer", "writers"]


async def take(conn: Connection, queue: Queue) -> Standing:
    """``taken``: this session holds the bell. Else who keeps it: a ``peer`` that sleeps, or silent ``writers``."""
    standing: Standing = await conn.fetch_value(_SQL["take"], {"number": queue.number})
    return standing


async def wait(conn: Connection, queue: Queue) -> bool:
    """True: silent writers have committed and this session holds the bell. False: they kept it for 0.8 s."""
    return bool(await conn.fetch_value(_SQL["wait"], {"number": queue.number}))


async def let_go(conn: Connection, queue: Queue) -> None:
    """This session holds no bell, and every reactor is told so."""
    await conn.run(_SQL["let_go"], {"queue": queue.value})


async def pass_on(conn: Connection, queue: Queue) -> None:
    """Every reactor is told that the bell was let go."""
    await conn.run(_SQL["pass_on"], {"queue": queue.value})
