"""What happened. Twin of ``queries/events.sql``.

Events commit out of the order of their ids: one with a smaller id may appear later. The order that never changes is
(xact, id) below the *horizon*, the oldest transaction still running anywhere in the cluster. What lies above it can be
shown at once as provisional, but a reader's place must not move past the horizon.
"""

from datetime import datetime
from typing import Any, NamedTuple

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("events")
_LAST_ID = 2**63 - 1


class Event(NamedTuple):
    """One event; ``final`` when none can appear before it any more."""

    id: int
    xact: str
    final: bool
    created_at: datetime
    kind: str
    agent_id: str | None
    title: str
    summary: str | None
    tags: list[str]
    metadata: dict[str, Any]
    root_id: int | None
    depth: int


class Place(NamedTuple):
    """How far a reader is: all events up to here, in the order (xact, id), have been seen."""

    xact: str
    id: int


class Skipped(NamedTuple):
    """Too many events to tell one by one: all final ones behind ``since`` and before ``before``, counted by kind."""

    since: Place
    before: Place
    kinds: dict[str, int]

    @property
    def until(self) -> Place:
        """The place behind them."""
        return Place(self.before.xact, self.before.id - 1)


async def last(
    conn: Connection,
    limit: int,
    before: Place | None = None,
    *,
    since: Place | None = None,
    kind: str | None = None,
    agent: str | None = None,
    about: tuple[str, int] | None = None,
) -> list[Event]:
    """The last ``limit`` events, the newest first: those before one place and behind the other.

    ``about``: those whose metadata say so, such as ("step_id", 7).
    """
    values = {
        "limit": limit,
        "xact": before.xact if before else None,
        "id": before.id if before else None,
        "since_xact": since.xact if since else None,
        "since_id": since.id if since else None,
        "kind": kind,
        "agent": agent,
        "key": about[0] if about else None,
        "about": str(about[1]) if about else None,
    }
    return [Event._make(row) for row in await conn.fetch_all(_SQL["last"], values)]


async def one(conn: Connection, id: int) -> Event | None:
    """The event, or None when there is none."""
    row = await conn.fetch_row(_SQL["one"], {"id": id})
    return Event._make(row) if row else None


async def recent(conn: Connection, limit: int, kind: str | None = None) -> tuple[list[Event], Place]:
    """The last ``limit`` events, oldest first, and the place behind all that was final then."""
    # The horizon is read first: what is below it is in the answer of the second statement, which may see more.
    place = await _horizon(conn)
    return (await last(conn, limit, kind=kind))[::-1], place


async def after(
    conn: Connection, place: Place, *, limit: int = 1000, kind: str | None = None
) -> tuple[list[Event], Place]:
    """The events behind ``place``, in order, and the next place: behind those of them that are final.

    A provisional event is returned again by later calls, until it is final.
    """
    horizon = await _horizon(conn)
    rows = await conn.fetch_all(
        _SQL["after"], {"xact": place.xact, "id": place.id, "limit": limit, "kind": kind}
    )
    events = [Event._make(row) for row in rows]
    if len(events) < limit:
        return events, max(place, horizon, key=_order)
    final = [event for event in events if event.final]
    return events, Place(final[-1].xact, final[-1].id) if final else place


async def newest(conn: Connection, place: Place, limit: int) -> tuple[Skipped, list[Event], Place]:
    """The last ``limit`` events behind ``place``, in order; what lies between, counted; and the next place."""
    horizon = await _horizon(conn)
    events = (await last(conn, limit, since=place))[::-1]
    final = [event for event in events if event.final]
    before = Place(final[0].xact, final[0].id) if final else Place(str(int(horizon.xact) + 1), 1)
    behind = Place(final[-1].xact, final[-1].id) if final else place
    counted = await conn.fetch_all(
        _SQL["counted"],
        {"xact": place.xact, "id": place.id, "before_xact": before.xact, "before_id": before.id},
    )
    return Skipped(place, before, dict(counted)), events, max(place, horizon, behind, key=_order)


async def about(conn: Connection, key: str, id: int, limit: int = 100) -> list[Event]:
    """The last ``limit`` events whose metadata say ``key``: ``id`` (``step_id``, ``mission_id``, …), oldest first."""
    return (await last(conn, limit, about=(key, id)))[::-1]


async def now(conn: Connection) -> Place:
    """The place behind everything that is final now."""
    return await _horizon(conn)


async def _horizon(conn: Connection) -> Place:
    xmin = await conn.fetch_value(_SQL["horizon"])
    return Place(str(int(xmin) - 1), _LAST_ID)


def _order(place: Place) -> tuple[int, int]:
    return int(place.xact), place.id
