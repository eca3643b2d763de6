"""What people decide while everything runs. Twin of ``queries/control.sql``."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from reactor.model.queues import Thing, What
from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("control")


class Policy(NamedTuple):
    """One policy with its present value."""

    key: str
    value: Any
    description: str
    version: int
    updated_at: datetime


class InHand(NamedTuple):
    """A row that runs: of which queue, which one, its kind, format or agent, and for how long."""

    queue: str
    id: int
    what: str
    since_s: float


class HeldBack(NamedTuple):
    """Rows that wait, and calls to the language model that are under way."""

    queued: int
    calls: int


async def retry(conn: Connection, what: What, id: int) -> bool:
    """True when the row is due again, False when there was nothing to bring back. Raises OpsError: unknown id."""
    return bool(await conn.fetch_value(_SQL["retry"], {"what": what, "id": id}))


async def cancel(conn: Connection, what: Thing, id: int) -> bool:
    """True when the row is called off, False when it had ended. Raises OpsError: unknown id."""
    return bool(await conn.fetch_value(_SQL["cancel"], {"what": what, "id": id}))


async def pause(conn: Connection, queue: str, reason: str | None, by: str | None = None) -> None:
    """The queue, or all with ``all``, takes no row until resumed. ``by``: who wants it, None: the role of the session."""
    await conn.run(_SQL["pause"], {"queue": queue, "reason": reason, "by": by})


async def resume(conn: Connection, queue: str, by: str | None = None) -> None:
    """The queue, or all with ``all``, takes rows; ``by`` as for `pause`."""
    await conn.run(_SQL["resume"], {"queue": queue, "by": by})


async def in_hand(conn: Connection, queue: str) -> list[InHand]:
    """What runs now of the queue, or of ``all``."""
    return [InHand(*row) for row in await conn.fetch_all(_SQL["in_hand"], {"queue": queue})]


async def given_back(conn: Connection, rows: Collection[InHand]) -> set[tuple[str, int]]:
    """Those of the rows that are queued again, by queue and id."""
    values = {"queues": [row.queue for row in rows], "ids": [row.id for row in rows]}
    return {(row[0], row[1]) for row in await conn.fetch_all(_SQL["given_back"], values)}


async def held_back(conn: Connection, queue: str) -> HeldBack:
    """What waits of the queue, or of ``all``, and what is asked of the language model at this moment."""
    row = await conn.fetch_row(_SQL["held_back"], {"queue": queue})
    assert row is not None
    return HeldBack(*row)


async def failed_since(conn: Connection, since_s: float) -> list[tuple[What, int]]:
    """What failed by itself in the last ``since_s`` seconds, oldest first."""
    return [(row[0], row[1]) for row in await conn.fetch_all(_SQL["failed_since"], {"since_s": since_s})]


async def policies(conn: Connection) -> list[Policy]:
    """Every policy, by key."""
    return [Policy._make(row) for row in await conn.fetch_all(_SQL["policies"])]


async def policy(conn: Connection, key: str, *, lock: bool = False) -> Policy | None:
    """The policy, None when there is none; with ``lock`` nobody else changes it until the transaction ends."""
    row = await conn.fetch_row(_SQL["policy_to_change" if lock else "policy"], {"key": key})
    return Policy._make(row) if row else None


async def set_policy(conn: Connection, key: str, patch: str) -> Any:
    """The policy has the JSON text ``patch`` merged in, in force everywhere at once; returns its value.

    Raises: OpsError: there is no such policy, or the value has not its shape.
    """
    return await conn.fetch_value(_SQL["set_policy"], {"key": key, "patch": patch})
