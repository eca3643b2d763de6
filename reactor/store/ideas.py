"""What an agent looks at before it proposes something, and the way there. Twin of ``queries/ideas.sql``."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("ideas")


class Readiness(NamedTuple):
    """Memories the agent may draw on (``ready``), how many are ``needed``, and how sure they have to be."""

    ready: int
    needed: int
    min_confidence: Decimal


class MadeBefore(NamedTuple):
    """The proposal that an initiative has led to already."""

    proposal_id: int
    title: str
    status: str
    mission_id: int | None
    rejection_reason: str | None
    simulated: bool
    influenced: bool


class PastProposal(NamedTuple):
    """A proposal and its fate; ``mission_status`` is None when it never became a mission."""

    id: int
    title: str
    kinds: list[str]
    status: str
    rejection_reason: str | None
    mission_status: str | None
    created_at: datetime


class RecentEvent(NamedTuple):
    """Something that happened, in the past tense."""

    kind: str
    agent_id: str | None
    title: str
    summary: str | None


class KnownKind(NamedTuple):
    """A kind of step; an ``external`` one leaves the house and waits for a person."""

    kind: str
    description: str
    external: bool


class Proposed(NamedTuple):
    """What became of a proposal at the door."""

    proposal_id: int
    status: str
    mission_id: int | None
    rejection_reason: str | None


async def readiness(conn: Connection, agent: str) -> Readiness | None:
    """Whether ``agent`` remembers enough for an idea of its own; None for an unknown agent."""
    row = await conn.fetch_row(_SQL["readiness"], {"agent": agent})
    return Readiness(*row) if row else None


async def made_before(conn: Connection, id: int, key: str) -> MadeBefore | None:
    """The proposal that initiative ``id`` made under ``key``, or None."""
    row = await conn.fetch_row(_SQL["made_before"], {"id": id, "key": key})
    return MadeBefore(*row) if row else None


async def past_proposals(conn: Connection, agent: str, limit: int) -> list[PastProposal]:
    """The last proposals of ``agent``, the newest first."""
    rows = await conn.fetch_all(_SQL["past_proposals"], {"agent": agent, "limit": limit})
    return [PastProposal(*row) for row in rows]


async def recent_events(conn: Connection, limit: int) -> list[RecentEvent]:
    """What happened in the house of late, the newest first."""
    return [RecentEvent(*row) for row in await conn.fetch_all(_SQL["recent_events"], {"limit": limit})]


async def kinds(conn: Connection) -> list[KnownKind]:
    """The kinds of steps somebody could propose."""
    return [KnownKind(*row) for row in await conn.fetch_all(_SQL["kinds"])]


async def propose(
    conn: Connection, agent: str, title: str, steps: str, *, description: str, key: str, simulated: bool
) -> Proposed:
    """The proposal is made, or found again under its ``key``; ``steps`` is JSON text of an array.

    Raises: OpsError OP003, OP004, OP005: it cannot be made like this; nothing was written.
    """
    values = {
        "agent": agent,
        "title": title,
        "steps": steps,
        "description": description,
        "key": key,
        "simulated": "on" if simulated else "off",
    }
    row = await conn.fetch_row(_SQL["propose"], values)
    assert row is not None
    return Proposed(*row)
