"""A whole voxyz moved: to files and back, or straight from one database into another.

The source is read in one repeatable-read transaction, so what is taken is one moment, whatever goes on meanwhile. The target
is filled in one transaction: it is whole at the end, or as it was. What somebody had set up there is merged by its natural
key, see ``merging``; a target with work in it is refused. There the tables' own triggers are off (a moved row is no
news), references are not: tables are filled parents first, and a row without its parent fails the whole. Identities keep
their values and go on after the highest.

Columns the database fills are left to it: generated ones, and the transaction an event was written in. That number means
nothing on another server; all moved events count as written by the move, in the order of their ids.

Everything here blocks: the command line runs it in a thread.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import psycopg
from psycopg import sql

from reactor import __version__
from reactor.errors import SchemaError, UsageError
from reactor.pg import merging
from reactor.pg.errors import translate
from reactor.pg.exports import AGES, Table, begun, keep, read_table, whole, write_table

Say = Callable[[str], None]
Session = psycopg.Connection[tuple[Any, ...]]

COPY_CLASS: Final = 1987014781  # first key of the advisory lock of a copy in progress

_OWN: Final = (
    "ops_migrations",
    "ops_generation",
    "ops_guarded",
    "ops_schema_objects",
)  # what a database says about itself

# What `migrate` fills: rows here do not mean that a database is in use.
_SEEDED: Final = frozenset(
    {
        "ops_agent_relationships",
        "ops_agent_schedules",
        "ops_agents",
        "ops_circuit_breaker",
        "ops_conversation_formats",
        "ops_conversation_slots",
        "ops_policy",
        "ops_policy_history",
        "ops_proposal_door",
        "ops_step_kinds",
        "ops_trigger_rules",
        "ops_trigger_watches",
        "ops_webhook_key",
        "ops_workers",
    }
)

_TABLES: Final = """
with recursive ours as (
  select class.oid, class.relname::text as name
  from pg_class as class
  where class.relnamespace = 'public'::regnamespace
    and class.relkind in ('r', 'p')
    and class.relname ~ '^ops_'
    and not class.relispartition
    and class.relname <> all (%s)
),
needs as (
  select reference.conrelid as child, reference.confrelid as parent
  from pg_constraint as reference
  where reference.contype = 'f'
    and reference.conrelid <> reference.confrelid
),
deep as (
  select ours.oid, ours.name, 0 as depth
  from ours
  union all
  select child.oid, child.name, deep.depth + 1
  from deep
  join needs on needs.parent = deep.oid
  join ours as child on child.oid = needs.child
)
select deep.name, array(
  select attribute.attname::text
  from pg_attribute as attribute
  where attribute.attrelid = deep.oid
    and attribute.attnum > 0
    and not attribute.attisdropped
    and attribute.attgenerated = ''
    and attribute.atttypid <> 'xid8'::regtype
  order by attribute.attnum
)
from deep
group by deep.oid, deep.name
order by max(deep.depth), deep.name
"""

_SEQUENCES: Final = """
select class.relname::text, attribute.attname::text, sequence.oid::regclass::text
from pg_class as class
join pg_attribute as attribute on attribute.attrelid = class.oid and attribute.attidentity <> ''
join pg_depend as tie on tie.refobjid = class.oid and tie.refobjsubid = attribute.attnum and tie.deptype = 'i'
join pg_class as sequence on sequence.oid = tie.objid and sequence.relkind = 'S'
where class.relnamespace = 'public'::regnamespace
  and class.relname ~ '^ops_'
"""

_SCHEMA: Final = "select name from public.ops_migrations where name like 'schema/%' order by name"


def export(dsn: str, directory: Path, *, before: datetime | None, say: Say) -> dict[str, int]:
    """``directory`` holds every table as a gzipped CSV with a header, and a manifest; returns the rows of each.

    Resumed where it was interrupted: a table the manifest names is not read again. Children are read before parents, so
    that a later part still knows whom an earlier one refers to. ``before``: an archive of what was over by then.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _session(dsn) as source, source.transaction():
        _read_one_moment(source)
        manifest = begun(directory, before, _schema(source))
        for table in reversed(_tables(source)):
            if table.name in manifest["tables"] or (before is not None and table.name not in AGES):
                continue
            rows, checksum = write_table(source, table, directory, before)
            manifest["tables"][table.name] = {"columns": table.columns, "rows": rows, "sha256": checksum}
            keep(directory, manifest)
            say(f"{table.name}: {rows} rows")
        if not manifest["complete"]:
            manifest |= {"complete": True}
            keep(directory, manifest)
    return {name: int(one["rows"]) for name, one in manifest["tables"].items()}


def load(dsn: str, directory: Path, *, say: Say) -> dict[str, int]:
    """The database, which has the schema and nothing else, holds what was exported to ``directory``; rows by table.

    Raises: UsageError: the directory is no whole export, or the database is in use. SchemaError: it is of an older version.
    """
    manifest = whole(directory)
    with _session(dsn) as target, target.transaction():
        if lacking := sorted(set(manifest["schema"]) - set(_schema(target))):
            raise SchemaError(f"the export comes from a newer version (it has {lacking[-1]}): migrate first")
        tables = [
            Table(one.name, manifest["tables"][one.name]["columns"])
            for one in _tables(target)
            if one.name in manifest["tables"]
        ]
        with _filling(target, tables, say, older=manifest["voxyz"] != __version__):
            for table in tables:
                read_table(target, table, directory, manifest["tables"][table.name]["sha256"])
                _check_count(target, table, int(manifest["tables"][table.name]["rows"]))
                say(f"{table.name}: {manifest['tables'][table.name]['rows']} rows")
    return {table.name: int(manifest["tables"][table.name]["rows"]) for table in tables}


def copy(source_dsn: str, target_dsn: str, *, say: Say) -> dict[str, int]:
    """The target, which has our schema and nothing else, holds every row of the source; returns the rows by table.

    Raises: UsageError: the target is in use. SchemaError: their schemas differ.
    """
    counts: dict[str, int] = {}
    with (
        _session(source_dsn) as source,
        _session(target_dsn) as target,
        target.transaction(),
        source.transaction(),
    ):
        _read_one_moment(source)
        _refuse_same(source, target)
        if _schema(source) != _schema(target):
            raise SchemaError("the two databases have different schemas: migrate both with this version")
        tables = _tables(source)
        with _filling(target, tables, say):
            for table in tables:
                counts[table.name] = _pour(source, target, table)
                _check_count(target, table, counts[table.name])
                say(f"{table.name}: {counts[table.name]} rows")
    return counts


@contextmanager
def _session(dsn: str) -> Iterator[Session]:
    """A connection that takes its time; what the driver raises comes out as one of our errors."""
    try:
        with psycopg.connect(
            dsn, application_name="voxyz-reactor move", prepare_threshold=None, autocommit=True
        ) as session:
            yield session
    except psycopg.Error as error:
        raise translate(error) from error


def _read_one_moment(source: Session) -> None:
    source.execute("set transaction isolation level repeatable read, read only")
    source.execute("set local statement_timeout = 0")
    source.execute("set local idle_in_transaction_session_timeout = 0")


def _refuse_same(source: Session, target: Session) -> None:
    """One database cannot be read and emptied at once: each would wait for the other."""
    for session in (source, target):
        if session.execute("select pg_try_advisory_xact_lock(%s, 0)", (COPY_CLASS,)).fetchone() != (True,):
            raise UsageError("the target is the database in use, or somebody else is copying into it")


def _schema(session: Session) -> list[str]:
    if session.execute("select to_regclass('public.ops_migrations')").fetchone() == (None,):
        raise SchemaError("the schema is missing: run `voxyz-reactor migrate`")
    return [row[0] for row in session.execute(_SCHEMA)]


def _tables(session: Session) -> list[Table]:
    """Parents before children."""
    return [Table(name, columns) for name, columns in session.execute(_TABLES, (list(_OWN),))]


@contextmanager
def _filling(target: Session, moved: Sequence[Table], say: Say, *, older: bool = False) -> Iterator[None]:
    """Inside the target is empty and its triggers are off; afterwards its identities go on behind the highest.

    What had been set up in it is merged with what came, and told to ``say``. ``older``: what comes is of another version,
    and what it lacks is sown, as when a database of that version is brought to current.
    """
    target.execute("set local statement_timeout = 0")
    target.execute("set local idle_in_transaction_session_timeout = 0")
    target.execute("set local lock_timeout = '5s'")
    tables = _tables(target)
    _refuse_used(target, tables)
    coming = {table.name for table in moved}
    set_up = merging.SetUp(target, [table.name for table in tables if table.name not in coming])
    _empty(target, tables)
    merging.sow(target)
    set_up.forget_seeds()
    _empty(target, tables)
    _triggers(target, tables, "disable")
    yield
    _triggers(target, tables, "enable")
    for table_name, column, sequence in target.execute(_SEQUENCES).fetchall():
        target.execute(
            sql.SQL(
                "select setval({}, greatest(coalesce(max({}), 0), 1), max({}) is not null) from {}"
            ).format(
                sql.Literal(sequence),
                sql.Identifier(column),
                sql.Identifier(column),
                sql.Identifier(table_name),
            )
        )
    set_up.put_back(say)
    if older:
        merging.sow(target)


def _empty(target: Session, tables: Sequence[Table]) -> None:
    target.execute(
        sql.SQL("truncate {}").format(sql.SQL(", ").join(sql.Identifier(table.name) for table in tables))
    )


def _triggers(target: Session, tables: Sequence[Table], switch: Literal["enable", "disable"]) -> None:
    target.execute("set constraints all immediate")  # a table with checks outstanding cannot be altered
    for table in tables:
        target.execute(
            sql.SQL("alter table {} {} trigger user").format(sql.Identifier(table.name), sql.SQL(switch))
        )


def _refuse_used(target: Session, tables: Sequence[Table]) -> None:
    for table in tables:
        if table.name in _SEEDED:
            continue
        found = target.execute(
            sql.SQL("select exists (select from {})").format(sql.Identifier(table.name))
        ).fetchone()
        if found == (True,):
            raise UsageError(
                f"the target is in use: {table.name} has rows; take a new database, or drop what is in this one"
            )


def _pour(source: Session, target: Session, table: Table) -> int:
    with source.cursor() as reader, target.cursor() as writer:
        with reader.copy(table.reading(None)) as out, writer.copy(table.writing()) as into:
            for block in out:
                into.write(block)
        return reader.rowcount


def _check_count(target: Session, table: Table, rows: int) -> None:
    found = target.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(table.name))).fetchone()
    if found != (rows,):
        raise SchemaError(
            f"{table.name} should have {rows} rows and has {found and found[0]}: nothing was kept"
        )
