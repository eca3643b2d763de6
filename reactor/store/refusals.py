"""Rows that the database refuses to have claimed, told from those beside them. Twin of ``queries/refusals.sql``.

Lock order of a failure: the mission, then its step.
"""

from typing import NamedTuple
from uuid import UUID

from reactor.model.queues import Queue
from reactor.pg import Connection
from reactor.store import queues, steps, terms
from reactor.store.arrays import bigints
from reactor.store.claimed import ClaimedRow
from reactor.store.named import statements
from reactor.store.queues import Taker

_SQL = statements("refusals")
_NAMES = {Queue.MISSION: "steps", Queue.ROUNDTABLE: "roundtables", Queue.INITIATIVE: "initiatives"}

AT_ONCE = 30  # of a MiB each at most: what one claim may return
REASON_CHARS = 4000


class Refused(NamedTuple):
    """A row that is due and cannot be claimed, and the database's words for it."""

    id: int
    reason: str


async def claim_singly(
    conn: Connection, queue: Queue, taker: Taker, *, token: UUID, limit: int, limited: bool
) -> tuple[list[ClaimedRow], list[Refused]]:
    """As `queues.claim`, each row by itself: what is ours now, at most `AT_ONCE`, and what was refused on the way.

    ``limited``: no more than policy ``queue_limits`` lets run at once over all reactors.
    """
    async with conn.transaction():
        most = min(limit, AT_ONCE)
        if limited and (free := await terms.slots_free(conn, queue)) is not None:
            most = min(most, free)
        values = {
            "queue": queue.value,
            "worker": taker.worker,
            "token": token,
            "limit": most,
            "kinds": list(taker.kinds),
            "agent": taker.agent,
        }
        looked_at = await conn.fetch_all(_SQL["claim"], values)
        ids = [id for id, reason in looked_at if reason is None]
        if limited and ids:
            await terms.hold_slots(conn, queue, ids, token)
        taken = await conn.fetch_all(_SQL[f"claimed_{_NAMES[queue]}"], {"ids": bigints(ids)}) if ids else []
    return queues.rows_of(queue, taken), [Refused(*one) for one in looked_at if one[1] is not None]


async def fail(conn: Connection, queue: Queue, refused: Refused) -> bool:
    """The row, if it is still queued, has failed with the refusal as its reason, and its mission with it.

    Returns: whether it has. Raises: DatabaseError: the row refuses that too.
    """
    reason = f"the database refuses to have it claimed: {refused.reason}"[:REASON_CHARS]
    async with conn.transaction():
        missions = []
        if queue is Queue.MISSION:
            missions = [row[0] for row in await conn.fetch_all(_SQL["lock_mission_of"], {"id": refused.id})]
        values = {"id": refused.id, "reason": reason}
        failed = await conn.fetch_all(_SQL[f"fail_{_NAMES[queue]}"], values)
        if missions:
            await steps.roll_up(conn, missions)
    return bool(failed)
