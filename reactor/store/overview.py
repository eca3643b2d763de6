"""What there is, in numbers. Twin of ``queries/overview.sql``."""

from datetime import datetime
from typing import NamedTuple

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("overview")


class QueueCounts(NamedTuple):
    """How many rows a queue has in which state. ``oldest_due_s``: how long the oldest due one has waited."""

    queue: str
    waiting: int
    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    oldest_due_s: float | None


class DeadLetter(NamedTuple):
    """A row that failed for good; retry brings it back."""

    what: str
    id: int
    kind: str
    agent_id: str | None
    failure_reason: str | None
    completed_at: datetime | None


class Facts(NamedTuple):
    """The database itself. ``now`` is its clock; ``company_known``: somebody said what the company is; ``sources``: how many
    pages are scanned."""

    now: datetime
    database: str
    server_version: str
    size_bytes: int
    active_missions: int
    company_known: bool
    sources: int


class Pause(NamedTuple):
    """A queue that takes no row."""

    queue: str
    reason: str | None
    paused_by: str
    paused_at: datetime


async def queues(conn: Connection) -> list[QueueCounts]:
    """One row a queue: mission, roundtable, initiative. Reads the queues whole."""
    return [QueueCounts._make(row) for row in await conn.fetch_all(_SQL["queues"])]


async def dead_letters(conn: Connection, limit: int) -> list[DeadLetter]:
    """The last ``limit`` rows that failed for good, newest first."""
    return [DeadLetter._make(row) for row in await conn.fetch_all(_SQL["dead_letters"], {"limit": limit})]


async def facts(conn: Connection) -> Facts:
    """What the database is, what it holds, and what its clock says."""
    row = await conn.fetch_row(_SQL["facts"])
    assert row is not None
    return Facts._make(row)


async def pauses(conn: Connection) -> list[Pause]:
    """The queues that are paused, by name."""
    return [Pause._make(row) for row in await conn.fetch_all(_SQL["pauses"])]
