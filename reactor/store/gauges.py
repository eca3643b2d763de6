"""The numbers of the whole database, for metrics and probes. Twin of ``queries/gauges.sql``."""

from collections.abc import Sequence
from typing import NamedTuple

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("gauges")


class Due(NamedTuple):
    """What waits in a queue. ``oldest_s``: below 0 or 0 when nothing is due yet."""

    queue: str
    queued: int
    oldest_s: float
    paused: bool


class Readiness(NamedTuple):
    """What decides whether this database can be worked on, and what holds the work up.

    ``missing``: schema files never applied. ``breakers``: the services whose breaker is not closed, with its state.
    """

    missing: list[str]
    paused: list[str]
    breakers: dict[str, str]


async def due(conn: Connection) -> list[Due]:
    """One row a queue: mission, roundtable, initiative. Reads only what is queued."""
    return [Due._make(row) for row in await conn.fetch_all(_SQL["due"])]


async def statuses(conn: Connection) -> dict[tuple[str, str], int]:
    """How many rows by (queue, status), without the queued ones. Reads the queues whole: as slow as they are long."""
    async with conn.transaction():
        await conn.run(_SQL["allow_scans"])
        rows = await conn.fetch_all(_SQL["statuses"])
    return {(queue, status): count for queue, status, count in rows}


async def breakers(conn: Connection) -> dict[str, str]:
    """The state of every breaker by service: ``closed``, ``open`` or ``half_open``."""
    return dict(await conn.fetch_all(_SQL["breakers"]))


async def readiness(conn: Connection, schema: Sequence[str]) -> Readiness:
    """How the database stands, for a program whose schema files are ``schema``.

    Raises: DatabaseError with SQLSTATE 42P01: there is no schema at all.
    """
    row = await conn.fetch_row(_SQL["readiness"], {"schema": list(schema)})
    assert row is not None
    return Readiness._make(row)
