"""Giving back what a dead process had running. Twin of ``queries/rescue.sql``.

Lock order: the missions by id in a statement of their own, then their steps.
"""

from uuid import UUID

from reactor.model.queues import Queue
from reactor.pg import Connection
from reactor.store import steps, workers
from reactor.store.named import statements

_SQL = statements("rescue")


async def rescue(conn: Connection, worker: UUID) -> dict[Queue, int] | None:
    """The dead process is buried, its rows run again (at the third crash: failed), all queues are rung.

    Returns: how many rows of each queue; None when somebody else buried it first. All in one transaction.
    """
    async with conn.transaction():
        if not await workers.bury(conn, worker):
            return None
        missions = [row[0] for row in await conn.fetch_all(_SQL["lock_missions"], {"worker": worker})]
        counts = {
            Queue.MISSION: len(await conn.fetch_all(_SQL["steps"], {"worker": worker})),
            Queue.ROUNDTABLE: len(await conn.fetch_all(_SQL["roundtables"], {"worker": worker})),
            Queue.INITIATIVE: len(await conn.fetch_all(_SQL["initiatives"], {"worker": worker})),
        }
        if missions:
            await steps.roll_up(conn, missions)
        if any(counts.values()):
            await conn.run(_SQL["ring_all"])
    return counts
