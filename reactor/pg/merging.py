"""What somebody set up in a database before another one is moved into it: edited agents, added slots, changed policies.

Rows have natural keys, such as an agent's id or a slot's name. Where both sides have a row of one key, the one that comes
wins, since what is moved is whole in itself. A row that only the target has stays, unless it is as the seeds make it: then
the source had it too, and threw it out. Which of the target's rows are somebody's work is told by sowing an empty target
again, inside the move's transaction, and comparing. Times and identities are left out of that, they always differ.

A row that cannot stay, because an agent or a format that it refers to did not come, is named and left out.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import psycopg
from psycopg import sql

from reactor.pg.migrations import load_migrations

Say = Callable[[str], None]
Session = psycopg.Connection[tuple[Any, ...]]

# What people set up, by the columns that name it; parents before children.
KEYS: Final[dict[str, tuple[str, ...]]] = {
    "ops_agents": ("id",),
    "ops_step_kinds": ("kind",),
    "ops_conversation_formats": ("format",),
    "ops_policy": ("key",),
    "ops_circuit_breaker": ("service",),
    "ops_agent_schedules": ("agent_id", "hour"),
    "ops_agent_relationships": ("agent_a", "agent_b"),
    "ops_conversation_slots": ("name",),
    "ops_trigger_rules": ("name",),
}

_COLUMNS: Final = """
select
  attribute.attname::text,
  attribute.attidentity = '' as moves,
  attribute.attidentity = '' and attribute.atttypid <> 'timestamptz'::regtype as tells
from pg_attribute as attribute
where attribute.attrelid = %s::regclass
  and attribute.attnum > 0
  and not attribute.attisdropped
  and attribute.attgenerated = ''
order by attribute.attnum
"""


class SetUp:
    """What the target had set up; made while it still has it, which ends with the transaction.

    ``unmoved``: its tables that do not come, since this version is newer than what is moved; they stay as they are.
    """

    def __init__(self, target: Session, unmoved: Collection[str] = ()) -> None:
        self._target = target
        self._unmoved = [name for name in unmoved if name not in KEYS]
        for name in self._unmoved:
            self._run("create temp table {mine} on commit drop as table {table}", name)
        for name in KEYS:
            self._run("create temp table {mine} on commit drop as table {table}", name)

    def forget_seeds(self) -> None:
        """Only what somebody made or changed is still known. The target holds nothing but freshly sown seeds."""
        for name in KEYS:
            self._run("delete from {mine} as mine using {table} as theirs where {same_key} and {same}", name)

    def put_back(self, say: Say) -> dict[str, int]:
        """Rows that only the target had are in it again; every row kept, given up or left out is named.

        Returns how many were kept, by table.
        """
        for name in self._unmoved:
            self._run(
                "insert into {table} ({all}) overriding system value select {all} from {mine} as mine", name
            )
        kept: dict[str, int] = {}
        for name in KEYS:
            changed = self._names(
                "select {keys} from {mine} as mine join {table} as theirs on {same_key} where not ({same})"
                " order by {keys}",
                name,
            )
            if changed:
                say(f"{name}: replaced by what came: {_list(changed)}")
            missing = self._names(
                "select {keys} from {mine} as mine"
                " where not exists (select from {table} as theirs where {same_key}) order by {keys}",
                name,
            )
            left_out = [key for key in missing if not self._keep(name, key)]
            if stays := [key for key in missing if key not in left_out]:
                kept[name] = len(stays)
                say(f"{name}: kept, only the target has it: {_list(stays)}")
            if left_out:
                say(f"{name}: left out, what it refers to did not come: {_list(left_out)}")
        return kept

    def _keep(self, name: str, key: tuple[Any, ...]) -> bool:
        """The one row is in the target, if those it refers to are."""
        try:
            with self._target.transaction():
                self._run(
                    "insert into {table} ({columns}) select {columns} from {mine} as mine where ({keys}) = ({values})",
                    name,
                    values=sql.SQL(", ").join(map(sql.Literal, key)),
                )
        except psycopg.errors.ForeignKeyViolation:
            return False
        return True

    def _names(self, statement: str, name: str) -> list[tuple[Any, ...]]:
        return self._run(statement, name).fetchall()

    def _run(self, statement: str, name: str, **more: sql.Composable) -> psycopg.Cursor[tuple[Any, ...]]:
        columns = self._target.execute(_COLUMNS, (name,)).fetchall()
        keys = KEYS.get(name, ())
        return self._target.execute(
            sql.SQL(statement).format(
                mine=sql.Identifier(f"mine_{name}"),
                table=sql.Identifier("public", name),
                all=sql.SQL(", ").join(sql.Identifier(column) for column, _, _ in columns),
                columns=sql.SQL(", ").join(sql.Identifier(column) for column, moves, _ in columns if moves),
                keys=sql.SQL(", ").join(sql.Identifier("mine", key) for key in keys),
                same_key=_equal(keys),
                same=_equal([column for column, _, tells in columns if tells]),
                **more,
            )
        )


def sow(target: Session) -> None:
    """The seeds are applied as ``migrate`` does: they fill empty tables, and add what is missing by name elsewhere."""
    for one in load_migrations():
        if one.name.startswith("seeds/"):
            target.execute(one.text.encode())


def _equal(columns: Collection[str]) -> sql.Composed:
    return sql.SQL(" and ").join(
        sql.SQL("mine.{0} is not distinct from theirs.{0}").format(sql.Identifier(column))
        for column in columns
    )


def _list(keys: Sequence[tuple[Any, ...]]) -> str:
    return ", ".join(" ".join(map(str, key)) for key in keys)
