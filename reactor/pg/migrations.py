"""The schema, brought to current and checked.

``sql/schema`` is versioned: each file is applied once, in name order, in a transaction of its own, and its checksum kept; a
file that changed afterwards is refused. The other folders are repeatable: a file of theirs is applied again whenever its
text changed, folder by folder in the order of ``REPEATABLE``. Names in a database that this program does not know mean the
database is ahead of it.

``roles`` is repeatable too, but only for who asked for it: who may do what is the affair of a database's owner, and roles
belong to the whole server. Once applied in a database it is kept current there.

Two runs at once take turns, file by file, by one advisory lock that lasts as long as the file's transaction: nothing of a
run outlives it, whatever proxy stands between. A statement that needs a strong lock waits for it at most 0.3 s
(``lock_timeout``): a queue behind a waiting ``alter table`` would hold up every writer. Then the file is rolled back and
tried again a little later. A wait so much shorter than ``deadlock_timeout`` also keeps a file that locks two tables from
costing a writer, who has one of them and wants the other, his insert: nobody looks for a deadlock before we have gone.
"""

import hashlib
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import trio

from reactor import GENERATION, __version__
from reactor.errors import AccessDenied, DatabaseError, SchemaError, TransientConflict
from reactor.pg import drift, generations
from reactor.pg.connection import Connection, connect

REPEATABLE = ("functions", "triggers", "views", "seeds", "security")
ROLES = "roles"
OLDEST_SERVER = 150000
MIGRATION_CLASS = 1987014779  # first key of the advisory lock of a migration in progress
LOCK_TIMEOUT_MS = 300  # how long a strong lock may be waited for; every writer waits behind it
TRIES = 120  # of one file; with the pauses between them somewhat over a minute
WAIT_FOR_PEER_S = 120

BOOKKEEPING = """
create table if not exists public.ops_migrations (
  name text not null,
  checksum text not null,
  version text not null,
  applied_at timestamptz not null default now(),
  constraint ops_migrations_pkey primary key (name)
);
alter table public.ops_migrations enable row level security;
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One SQL file: ``name`` is folder/file, ``checksum`` the SHA-256 of its text.

    Programs under ``generation`` cannot live with what it makes, for that ``reason``; 0: all can.
    """

    name: str
    text: str
    checksum: str
    generation: int = 0
    reason: str | None = None

    @property
    def versioned(self) -> bool:
        """Whether it is applied once for ever."""
        return self.name.startswith("schema/")


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What a run did: names applied now, in order, and how many files needed nothing."""

    applied: list[str] = field(default_factory=list)
    already: int = 0


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Whether the schema is the one this program wants; ``problem`` is the sentence when not."""

    ok: bool
    problem: str | None = None


def sql_root() -> Path:
    """The folder with the SQL files: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).resolve().parent.parent
    checkout = package.parent / "sql"
    return checkout if (checkout / "schema").is_dir() else package / "_sql"


def load_migrations(root: Path | None = None, *, roles: bool = False) -> list[Migration]:
    """All files in the order in which they are applied; those about ``roles`` come last."""
    base = root or sql_root()

    def files() -> Iterator[Migration]:
        for folder in ("schema", *REPEATABLE, *((ROLES,) if roles else ())):
            for path in sorted((base / folder).glob("*.sql")):
                text = path.read_text(encoding="utf-8")
                checksum = hashlib.sha256(text.encode()).hexdigest()
                asked = generations.asked_by(text) if folder == "schema" else (0, None)
                yield Migration(f"{folder}/{path.name}", text, checksum, *asked)

    found = list(files())
    if not found:
        raise SchemaError(
            f"no SQL files under {base}: the installation is incomplete, install voxyz-reactor again"
        )
    return found


async def migrate(
    dsn: str,
    *,
    name: str = "migrate",
    root: Path | None = None,
    roles: bool = False,
    again: bool = False,
    leave_within_s: float = generations.LEAVE_WITHIN_S,
) -> MigrationReport:
    """Bring the schema of the database at ``dsn`` to current. Idempotent, and safe when several run at once.

    ``roles``: with the roles voxyz_reactor, voxyz_writer and voxyz_reader, from now on. ``again``: repeatable files are
    applied also when they were before, which undoes what somebody changed by hand.

    Reactors that cannot live with the new schema have left before it is made; they get ``leave_within_s`` seconds.

    Raises: SchemaError: an applied file was changed, the database is ahead, it already holds another voxyz, or an older
        reactor would not leave.
        AccessDenied: the role may not create tables here; nothing was done.
    Cancellation: the file in progress is rolled back, those before it stay applied.
    """
    async with aclosing(await connect(dsn, name=name)) as conn:
        await _refuse_old_server(conn)
        async with _turn(conn):
            await _refuse_second_home(conn)
            await _keep_books(conn)
            known = await _applied(conn)
        migrations = load_migrations(root, roles=roles or _has_roles(known))
        _refuse_ahead(migrations, known)
        _refuse_changed(migrations, known)
        wanted = [m for m in migrations if _lacking(m, known) or (again and not m.versioned)]
        before = await drift.look(conn) if wanted else {}
        asking = max(migrations, key=lambda one: one.generation)
        if any(m.generation for m in wanted):
            await generations.see_older_off(
                conn, asking.name, asking.generation, asking.reason, leave_within_s
            )
        # A new object needs its row-level security, its revokes and grants: those are applied again after anything else was.
        last = [m for m in migrations if m.name.startswith(("security/", f"{ROLES}/"))]
        done = [
            m.name for m in wanted if m not in last and await _apply(conn, m, again=again and not m.versioned)
        ]
        new = bool(done)
        done += [m.name for m in last if (new or m in wanted) and await _apply(conn, m, again=new)]
        await generations.ask_for(conn, asking.generation, asking.reason)
        if await conn.fetch_value("select to_regprocedure('public.ops_settle_events()')") is not None:
            await conn.run("select public.ops_settle_events()")
        if done or not await drift.is_recorded(conn):
            async with _turn(conn):
                await drift.record(conn, before)
        return MigrationReport(done, len(migrations) - len(done))


async def check(conn: Connection, root: Path | None = None) -> SchemaState:
    """Whether this program can work with the database's schema; changes nothing.

    A schema that is ahead is well as long as the database does not ask for a newer generation of the program.
    """
    if await conn.fetch_value("select to_regclass('public.ops_migrations')") is None:
        return SchemaState(False, "the schema is missing: run `voxyz-reactor migrate`")
    known = await _applied(conn)
    migrations = load_migrations(root, roles=_has_roles(known))
    try:
        _refuse_changed(migrations, known)
    except SchemaError as error:
        return SchemaState(False, str(error))
    if (minimum := await generations.minimum(conn)) > GENERATION:
        return SchemaState(
            False,
            f"the schema is ahead of this program: it asks for generation {minimum} and this is {GENERATION}:"
            " install the newer voxyz-reactor",
        )
    behind = [m.name for m in migrations if _lacking(m, known)]
    if behind:
        return SchemaState(
            False,
            f"the schema is behind by {len(behind)} file(s), first {behind[0]}: run `voxyz-reactor migrate`",
        )
    return SchemaState(True)


async def _refuse_old_server(conn: Connection) -> None:
    version = int(await conn.fetch_value("select current_setting('server_version_num')"))
    if version < OLDEST_SERVER:
        raise SchemaError(f"PostgreSQL {version // 10000} is too old: 15 or later is needed")


@asynccontextmanager
async def _turn(conn: Connection) -> AsyncIterator[None]:
    """A transaction that no other migration of this database is in; waited for at most two minutes.

    Polls, and outside of the transaction: a blocked call would hold a snapshot.
    """
    deadline = time.monotonic() + WAIT_FOR_PEER_S
    while True:
        async with conn.transaction():
            if await conn.fetch_value("select pg_try_advisory_xact_lock(%s, 0)", (MIGRATION_CLASS,)):
                await conn.run("select set_config('statement_timeout', '0', true)")
                yield
                return
        if time.monotonic() > deadline:
            raise SchemaError(
                f"another migration of this database has been running for {WAIT_FOR_PEER_S} s: "
                "wait for it, or end its session (application_name 'voxyz-reactor migrate')"
            )
        await trio.sleep(0.1)


async def _keep_books(conn: Connection) -> None:
    try:
        await conn.run(BOOKKEEPING)
    except AccessDenied as error:
        raise AccessDenied(
            f"the role may not create tables in schema public ({error}): "
            "migrate as the owner of the database, or `grant create on schema public` to this role",
            error.sqlstate,
        ) from None


async def _refuse_second_home(conn: Connection) -> None:
    other = await conn.fetch_value(
        "select table_schema from information_schema.tables"
        " where table_name = 'ops_migrations' and table_schema <> 'public' limit 1"
    )
    if other is not None:
        raise SchemaError(
            f"this database already holds a voxyz in schema {other}: one per database, create another database"
        )


class _Applied(NamedTuple):
    """The text a file was applied with, and the version of the program that did it."""

    checksum: str
    version: str


async def _applied(conn: Connection) -> dict[str, _Applied]:
    rows = await conn.fetch_all("select name, checksum, version from public.ops_migrations")
    return {name: _Applied(checksum, version) for name, checksum, version in rows}


def _lacking(migration: Migration, known: dict[str, _Applied]) -> bool:
    """Whether the database lacks the file, or has an older text of it; what a newer version put there stays."""
    there = known.get(migration.name)
    if there is None:
        return True
    newer = generations.order(there.version) > generations.order(__version__)
    return there.checksum != migration.checksum and not newer


def _has_roles(known: dict[str, _Applied]) -> bool:
    return any(name.startswith(f"{ROLES}/") for name in known)


def _refuse_ahead(migrations: list[Migration], known: dict[str, _Applied]) -> None:
    """A versioned file that is unknown here means the database is ahead: nothing of ours may be applied to it."""
    ours = {m.name for m in migrations}
    if ahead := sorted(name for name in known.keys() - ours if name.startswith("schema/")):
        raise SchemaError(
            f"the schema is ahead of this program (it has {ahead[-1]}): install the newer voxyz-reactor"
        )


def _refuse_changed(migrations: list[Migration], known: dict[str, _Applied]) -> None:
    """A versioned file is applied once and for ever."""
    for migration in migrations:
        there = known.get(migration.name)
        if migration.versioned and there is not None and there.checksum != migration.checksum:
            raise SchemaError(
                f"{migration.name} was applied with another text than here:"
                " restore the file, and put the change into a new one"
            )


async def _apply(conn: Connection, migration: Migration, *, again: bool = False) -> bool:
    """The file is applied; False: a peer had done it meanwhile. ``again``: also when its text is the one applied."""
    for attempt in range(TRIES):
        try:
            async with _turn(conn):
                if not again and not _lacking(migration, await _applied(conn)):
                    return False
                await conn.run("select set_config('lock_timeout', %s, true)", (f"{LOCK_TIMEOUT_MS}ms",))
                await conn.run(migration.text)
                await conn.run(
                    "insert into public.ops_migrations (name, checksum, version) values (%s, %s, %s)"
                    " on conflict (name) do update"
                    " set checksum = excluded.checksum, version = excluded.version, applied_at = now()",
                    (migration.name, migration.checksum, __version__),
                )
            return True
        except TransientConflict:
            if attempt + 1 == TRIES:
                raise
            await trio.sleep(random.uniform(0.1, 0.5))
        except AccessDenied as error:
            who = "the owner of the database"
            if migration.name.startswith(f"{ROLES}/"):
                who += ", with the right to create roles"
            raise AccessDenied(
                f"the role lacks a right that {migration.name} needs ({error}): migrate as {who}",
                error.sqlstate,
            ) from None
        except DatabaseError as error:
            raise SchemaError(f"{migration.name} could not be applied: {error}") from error
    raise AssertionError("the last try returns or raises")
