"""What doctor wants to know of a database. Twin of ``queries/doctor.sql``."""

from datetime import datetime
from typing import NamedTuple

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("doctor")


class Server(NamedTuple):
    """The server and the session."""

    version: str
    version_number: int
    replication_role: str
    in_recovery: bool
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
    user: str
    since: datetime
    open_s: float


class BellKeeper(NamedTuple):
    """A session whose open transaction keeps a queue's bell, so that reactors cannot sleep."""

    pid: int
    application: str
    user: str
    since: datetime
    open_s: float
    queue_number: int


class Prepared(NamedTuple):
    """A transaction in its first phase of two for ``open_s`` seconds."""

    gid: str
    owner: str
    database: str
    since: datetime
    open_s: float


class Slot(NamedTuple):
    """A replication slot, or a standby without one. ``pid`` 0: nobody reads it; ``age`` in transactions."""

    slot: bool
    name: str
    pid: int
    application: str
    user: str
    age: int | None
    kept_bytes: int | None


class Applier(NamedTuple):
    """A subscription that writes tables of ours."""

    subscription: str
    owner: str
    tables: list[str]


class Room(NamedTuple):
    """How large everything is; ``oldest_transaction_age`` in transactions, of the server's database that has the oldest."""

    database_bytes: int
    largest: str
    largest_bytes: int
    oldest_database: str
    oldest_transaction_age: int


class Silent(NamedTuple):
    """A reactor, and for how long it has not beaten."""

    pid: int
    hostname: str
    heartbeat_at: datetime
    silent_s: float


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


async def hidden_tables(conn: Connection) -> list[str]:
    """Tables of ours whose rows row-level security hides from this role, all of them."""
    return [row[0] for row in await conn.fetch_all(_SQL["hidden_tables"])]


async def missing_functions(conn: Connection) -> list[str]:
    """Functions of ours this role may not call."""
    return [row[0] for row in await conn.fetch_all(_SQL["missing_functions"])]


async def public_objects(conn: Connection) -> list[str]:
    """Tables, views and functions of ours that are granted to everybody."""
    return [row[0] for row in await conn.fetch_all(_SQL["public_objects"])]


async def appliers(conn: Connection) -> list[Applier]:
    """Subscriptions that write tables of ours, past their triggers."""
    return [Applier._make(row) for row in await conn.fetch_all(_SQL["appliers"])]


async def clock(conn: Connection) -> float:
    """What time it is for everything that is due, in seconds since 1970."""
    return float(await conn.fetch_value(_SQL["clock"]))


async def room(conn: Connection) -> Room:
    """How large the database is."""
    row = await conn.fetch_row(_SQL["room"])
    assert row is not None
    return Room._make(row)


async def fill(conn: Connection) -> None:
    """A megabyte was written to the database's disk, and is gone again.

    Raises: DatabaseError 53100: there is no room for it. AccessDenied: this role may make no temporary table.
    """
    async with conn.transaction(force_rollback=True):
        await conn.run(_SQL["fill_there"])
        await conn.run(_SQL["fill"])


async def old_transactions(conn: Connection, older_than_s: float = 10.0) -> list[OldTransaction]:
    """The sessions with a transaction open for so long, the oldest first."""
    rows = await conn.fetch_all(_SQL["old_transactions"], {"older_than_s": older_than_s})
    return [OldTransaction._make(row) for row in rows]


async def unseen_sessions(conn: Connection) -> int:
    """How many sessions of this database this role may not look into."""
    return int(await conn.fetch_value(_SQL["unseen_sessions"]))


async def prepared(conn: Connection, older_than_s: float = 10.0) -> list[Prepared]:
    """Transactions that have waited so long for their second phase, the oldest first."""
    rows = await conn.fetch_all(_SQL["prepared"], {"older_than_s": older_than_s})
    return [Prepared._make(row) for row in rows]


async def slots(conn: Connection, older_than: int = 100_000) -> list[Slot]:
    """Slots nobody reads, and slots and standbys that hold vacuum back by so many transactions."""
    return [Slot._make(row) for row in await conn.fetch_all(_SQL["slots"], {"older_than": older_than})]


async def late_workers(conn: Connection) -> list[Silent]:
    """Reactors that should be there and have not beaten for 15 s, the most silent first."""
    return [Silent._make(row) for row in await conn.fetch_all(_SQL["late_workers"])]


async def lockless_workers(conn: Connection) -> list[Silent]:
    """Reactors that beat but can hold no lock."""
    return [Silent._make(row) for row in await conn.fetch_all(_SQL["lockless_workers"])]


async def orphans(conn: Connection) -> int:
    """How many rows run under a process that is gone."""
    return int(await conn.fetch_value(_SQL["orphans"]))


async def bell_keepers(conn: Connection, older_than_s: float = 10.0) -> list[BellKeeper]:
    """Sessions that inserted in silence and have not committed for so long, the oldest first."""
    rows = await conn.fetch_all(_SQL["bell_keepers"], {"older_than_s": older_than_s})
    return [BellKeeper._make(row) for row in rows]
