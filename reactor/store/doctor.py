"""What doctor wants to know of a database. Twin of ``queries/doctor.sql``."""

from typing import NamedTuple

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("doctor")


class Server(NamedTuple):
    """The server and the session."""

    version: str
    version_number: int
    replication_role: str
    read_only: bool


class Trigger(NamedTuple):
    """A trigger on a table of ours."""

    name: str
    on_table: str
    enabled: bool


class OldTransaction(NamedTuple):
    """A session with a transaction open for ``open_s`` seconds."""

    pid: int
    application: str
    open_s: float


class BellKeeper(NamedTuple):
    """A session whose open transaction keeps a queue's bell, so that reactors cannot sleep."""

    pid: int
    application: str
    open_s: float
    queue_number: int


async def server(conn: Connection) -> Server:
    """Version, and the settings that silence triggers."""
    row = await conn.fetch_row(_SQL["server"])
    assert row is not None
    return Server._make(row)


async def triggers(conn: Connection) -> dict[str, Trigger]:
    """The triggers on tables of ours, by name."""
    return {row[0]: Trigger._make(row) for row in await conn.fetch_all(_SQL["triggers"])}


async def open_tables(conn: Connection) -> list[str]:
    """Tables of ours without row-level security."""
    return [row[0] for row in await conn.fetch_all(_SQL["open_tables"])]


async def missing_rights(conn: Connection) -> list[str]:
    """Tables of ours this role cannot read and write."""
    return [row[0] for row in await conn.fetch_all(_SQL["missing_rights"])]


async def oldest_transaction(conn: Connection) -> OldTransaction | None:
    """The transaction open for longest, if that is over 10 s."""
    row = await conn.fetch_row(_SQL["oldest_transaction"])
    return OldTransaction._make(row) if row else None


async def bell_keepers(conn: Connection, older_than_s: float = 10.0) -> list[BellKeeper]:
    """Sessions that inserted in silence and have not committed for so long, the oldest first."""
    rows = await conn.fetch_all(_SQL["bell_keepers"], {"older_than_s": older_than_s})
    return [BellKeeper._make(row) for row in rows]
