"""What comes round with time, and what events lead to. Twin of ``queries/heartbeat.sql``."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from reactor.pg import Connection, Jsonb
from reactor.store.named import statements

_SQL = statements("heartbeat")

WALKED = ("missions", "steps", "initiatives", "roundtables", "proposals", "events", "firings", "reactions")
"""What is pruned in the order of its ids."""


class TakenEvent(NamedTuple):
    """An event all rules have looked at; ``problem``: they could not, and will again.

    ``kind`` and ``root_id``, the event its chain began with, are None when it was gone already.
    """

    id: int
    proposals: int
    problem: str | None
    kind: str | None
    root_id: int | None


class Fired(NamedTuple):
    """A timed rule that had its turn."""

    rule: str
    proposals: int
    problem: str | None


async def take(conn: Connection, part: str, every_s: float) -> bool:
    """Whether this ``part`` is ours now; nobody else gets it for ``every_s`` seconds."""
    ours: bool = await conn.fetch_value(_SQL["take"], {"part": part, "every_s": every_s})
    return ours


async def now(conn: Connection) -> datetime:
    """The database's time."""
    at: datetime = await conn.fetch_value(_SQL["now"])
    return at


async def note(
    conn: Connection, part: str, started_at: datetime, result: Mapping[str, Any], failure_reason: str | None
) -> None:
    """What the part did, or how it failed, is in the book."""
    values = {
        "part": part,
        "started_at": started_at,
        "result": Jsonb(dict(result)),
        "failure_reason": failure_reason,
    }
    await conn.run(_SQL["note"], values)


async def take_event(conn: Connection) -> TakenEvent | None:
    """One event of the inbox has been looked at; None: there is none, or nothing may begin now."""
    row = await conn.fetch_row(_SQL["take_event"])
    return TakenEvent(*row) if row else None


async def fire_timed_rules(conn: Connection) -> list[Fired]:
    """The timed rules that are due had their turn; returns those that proposed or failed."""
    return [Fired(*row) for row in await conn.fetch_all(_SQL["fire_timed_rules"])]


async def count(conn: Connection, what: str) -> int:
    """How many rows promote, learn, queue_initiatives, bring_talks or expire came to."""
    return int(await conn.fetch_value(_SQL[what]))


async def prune(conn: Connection, what: str, after: int, batch: int) -> tuple[int, int | None]:
    """One batch behind id ``after`` was looked at; returns how many rows went, and where to go on, None at the end."""
    row = await conn.fetch_row(_SQL[f"prune_{what}"], {"after": after, "batch": batch})
    assert row is not None
    return row[0], row[1]


async def prune_rest(conn: Connection, what: str, batch: int) -> int:
    """At most ``batch`` old rows of each ``small`` table, the ``leftovers`` or the ``ledger`` went; returns how many."""
    return int(await conn.fetch_value(_SQL[f"prune_{what}"], {"batch": batch}))
