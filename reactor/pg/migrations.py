"""The schema, brought to current and checked.

``sql/schema`` is versioned: each file is applied once, in name order, in a transaction of its own, and its checksum kept; a
file that changed afterwards is refused. The other folders are repeatable: a file of theirs is applied again whenever its
text changed, folder by folder in the order of ``REPEATABLE``. Names in a database that this program does not know mean the
database is ahead of it.

``roles`` is repeatable too, but only for who asked for it: who may do what is the affair of a database's owner, and roles
belong to the whole server. Once applied in a database it is kept current there.

Two runs at once take turns, file by file, by one advisory lock that lasts as long as the file's transaction: nothing of a
run outlives it, whatever proxy stands between. A statement that needs a strong lock waits for it at most 2 s
(``lock_timeout``): a queue behind a waiting ``alter table`` would hold up every writer. Then the file is rolled back and
tried again a little later.
"""

import hashlib
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from reactor import __version__
from reactor.errors import AccessDenied, DatabaseError, SchemaError, TransientConflict
from reactor.pg.connection import Connection, connect

REPEATABLE = ("functions", "triggers", "views", "seeds", "security")
ROLES = "roles"
OLDEST_SERVER = 150000
MIGRATION_CLASS = 1987014779  # first key of the advisory lock of a migration in progress
LOCK_TIMEOUT_S = 2  # how long a strong lock may be waited for; every writer waits behind it
TRIES = 30  # of one file; with the pauses between them somewhat over a minute
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
    """One SQL file: ``name`` is folder/file, ``checksum`` the SHA-256 of its text."""

    name: str
    text: str
    checksum: str

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
                yield Migration(f"{folder}/{path.name}", text, hashlib.sha256(text.encode()).hexdigest())

    found = list(files())
    if not found:
        raise SchemaError(
            f"no SQL files under {base}: the installation is incomplete, install voxyz-reactor again"
        )
    return found


async def migrate(
    dsn: str, *, name: str = "migrate", root: Path | None = None, roles: bool = False
) -> MigrationReport:
    """Bring the schema of the database at ``dsn`` to current. Idempotent, and safe when several run at once.

    ``roles``: with the roles voxyz_reactor, voxyz_writer and voxyz_reader, from now on.

    Raises: SchemaError: an applied file was changed, the database is ahead, or it already holds another voxyz.
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
        _refuse_mismatch(migrations, known)
        wanted = [m for m in migrations if known.get(m.name) != m.checksum]
        # A new object needs its row-level security, its revokes and grants: those are applied again after anything else was.
        last = [m for m in migrations if m.name.startswith(("security/", f"{ROLES}/"))]
        done = [m.name for m in wanted if m not in last and await _apply(conn, m)]
        again = bool(done)
        done += [m.name for m in last if (again or m in wanted) and await _apply(conn, m, again=again)]
        return MigrationReport(done, len(migrations) - len(done))


async def check(conn: Connection, root: Path | None = None) -> SchemaState:
    """Compare the database's schema with the one this program wants; changes nothing."""
    if await conn.fetch_value("select to_regclass('public.ops_migrations')") is None:
        return SchemaState(False, "the schema is missing: run `voxyz-reactor migrate`")
    known = await _applied(conn)
    migrations = load_migrations(root, roles=_has_roles(known))
    try:
        _refuse_mismatch(migrations, known)
    except SchemaError as error:
        return SchemaState(False, str(error))
    behind = [m.name for m in migrations if known.get(m.name) != m.checksum]
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


async def _applied(conn: Connection) -> dict[str, str]:
    rows = await conn.fetch_all("select name, checksum from public.ops_migrations")
    return dict(rows)


def _has_roles(known: dict[str, str]) -> bool:
    return any(name.startswith(f"{ROLES}/") for name in known)


def _refuse_mismatch(migrations: list[Migration], known: dict[str, str]) -> None:
    """Versioned files only: a changed one is refused, an unknown one means the database is ahead."""
    ours = {m.name: m.checksum for m in migrations if m.versioned}
    theirs = {name: checksum for name, checksum in known.items() if name.startswith("schema/")}
    if ahead := sorted(theirs.keys() - ours.keys()):
        raise SchemaError(
            f"the schema is ahead of this program (it has {ahead[-1]}): install the newer voxyz-reactor"
        )
    for name, checksum in theirs.items():
        if ours[name] != checksum:
            raise SchemaError(
                f"{name} was applied with another text than here: restore the file, and put the change into a new one"
            )


async def _apply(conn: Connection, migration: Migration, *, again: bool = False) -> bool:
    """The file is applied; False: a peer had done it meanwhile. ``again``: also when its text is the one applied."""
    for attempt in range(TRIES):
        try:
            async with _turn(conn):
                if not again and (await _applied(conn)).get(migration.name) == migration.checksum:
                    return False
                await conn.run("select set_config('lock_timeout', %s, true)", (f"{LOCK_TIMEOUT_S}s",))
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
