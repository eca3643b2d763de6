"""The kill switch, as reactors see it. Twin of ``queries/pauses.sql``."""

from reactor.model.queues import Queue
from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("pauses")


async def paused(conn: Connection) -> frozenset[Queue]:
    """The queues that take no row now."""
    return frozenset(Queue(row[0]) for row in await conn.fetch_all(_SQL["paused"]))
