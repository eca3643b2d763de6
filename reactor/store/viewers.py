"""Who watches the events, and what keeps new ones provisional. Twin of ``queries/viewers.sql``."""

from typing import NamedTuple
from uuid import UUID

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("viewers")


class Horizon(NamedTuple):
    """The oldest transaction that has written: for how long it is open, and whose it is; None: not for our eyes."""

    age_s: float | None
    held_by: str | None


async def announce(conn: Connection) -> None:
    """Whoever watches looks at once."""
    await conn.run(_SQL["announce"])


async def say_begun(conn: Connection) -> None:
    """Whoever watches hears that some work has begun."""
    await conn.run(_SQL["say_begun"])


async def watch(conn: Connection) -> None:
    """For as long as this session lasts, every reactor announces what it writes."""
    await conn.run(_SQL["watch"])
    await conn.run(_SQL["say_watching"])


async def set_viewers(conn: Connection, worker: UUID, viewers: int) -> None:
    """So many watch at that process. When they are the first there, every reactor hears of it."""
    await conn.run(_SQL["set_viewers"], {"id": worker, "viewers": viewers})


async def horizon(conn: Connection) -> Horizon | None:
    """What holds the horizon of final events back, anywhere in the cluster; None while nothing does."""
    row = await conn.fetch_row(_SQL["horizon"])
    return Horizon._make(row) if row else None
