"""The agents as the operator sees and changes them. Twin of ``queries/people.sql``."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, TypedDict

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("people")


class AgentStats(NamedTuple):
    """An agent in figures. ``not_now_because``: why it is not asked for an idea of its own at present; None: it may be."""

    id: str
    display_name: str
    role: str
    model: str | None
    active: bool
    memories: int
    average_confidence: Decimal | None
    steps_succeeded: int | None
    steps_failed: int | None
    proposals_pending: int
    proposals_accepted: int
    proposals_rejected: int
    average_affinity: Decimal | None
    last_event_at: datetime | None
    not_now_because: str | None


class Profile(TypedDict):
    """Who an agent is; None leaves a field as it is, an empty ``model`` is the default one."""

    display_name: str | None
    role: str | None
    tone: str | None
    quirk: str | None
    directive: str | None
    model: str | None


async def stats(conn: Connection) -> list[AgentStats]:
    """Everybody, the inactive included, by id."""
    return [AgentStats(*row) for row in await conn.fetch_all(_SQL["stats"])]


async def add(conn: Connection, id: str, profile: Profile) -> bool:
    """There is an agent ``id``; False: there was one before, and it is as it was.

    Raises: DatabaseError: a constraint refuses the id or a text.
    """
    return await conn.fetch_value(_SQL["add"], {"id": id, **profile}) is not None


async def edit(conn: Connection, id: str, profile: Profile) -> bool:
    """The agent has the fields given; False: there is none of that id. Raises DatabaseError: a constraint refuses a text."""
    return await conn.fetch_value(_SQL["edit"], {"id": id, **profile}) is not None


async def switch(conn: Connection, id: str, *, active: bool) -> bool | None:
    """The agent is ``active`` or not; returns whether that is a change, None when there is no such agent."""
    changed: bool | None = await conn.fetch_value(_SQL["switch"], {"id": id, "active": active})
    return changed
