"""Every column of every table, changed by a hand in psql to anything it takes: nobody else's work stands still for it.

Each change is made in a transaction, everything reactors ask again and again is asked, and all of it is undone. What the
database refuses by name is well; what it takes must not make a look fail, nor keep a good row of a queue from its claim.
"""

import os
import random
import secrets
import sys
from collections import Counter
from contextlib import aclosing
from typing import Any, Final, NamedTuple

import psycopg
import pytest
import trio
from psycopg import sql as compose

from reactor.errors import DatabaseError
from reactor.pg import Connection, connect
from tests.fuzz.looks import KEY_PRINT, LOOKS
from tests.fuzz.seeded import SEEDED
from tests.fuzz.test_rows import GOOD_REFUSALS

pytestmark = [pytest.mark.fuzz, pytest.mark.sql]

SEED: Final = int(os.environ.get("VOXYZ_FUZZ_SEED") or secrets.randbelow(2**31))
CHANGES: Final = int(os.environ.get("VOXYZ_FUZZ_CHANGES") or 150)  # 0: every one there is

Sql = psycopg.Connection[tuple[Any, ...]]

# Books of the migrations alone, and what stops everybody on purpose.
LEFT_ALONE: Final = ("ops_migrations", "ops_schema_objects", "ops_guarded", "ops_generation", "ops_pauses")

_TIMES: Final = (
    "infinity",
    "-infinity",
    "294276-12-31 23:59:59+00",
    "4714-11-24 00:00:00+00 BC",
    "1900-01-01",
)
_VALUES: Final[dict[str, tuple[str | None, ...]]] = {
    "text": ("", " ", "'; drop table ops_agents; --", "{{", "a" * 101, "ü" * 501, "x" * 20_000, "\x1b[2J", "infinity"),
    "int2": ("-32768", "32767", "0"),
    "int4": ("-2147483648", "2147483647", "0"),
    "int8": ("-9223372036854775808", "9223372036854775807", "0"),
    "numeric": ("NaN", "0", "-1", "99999999.99", "1e12"),
    "float8": ("NaN", "Infinity", "-Infinity", "1e308", "-1", "0"),
    "bool": ("true", "false"),
    "uuid": ("00000000-0000-0000-0000-000000000000",),
    "timestamptz": _TIMES,
    "date": ("infinity", "-infinity", "5874897-12-31", "4714-11-24 BC"),
    "xid8": ("0", "18446744073709551615"),
    "jsonb": (
        "null", "1", '"text"', "[]", "[1]", "{}", "[[]]", '[{"a": {}}]', '{"a": "x"}', "true",
        '{"step_id": "x", "mission_id": -1, "simulated": "?"}', '[{"kind": "noop"}]', '[{"kind": 7}]', '["noop"]',
    ),
    "_text": ("{}", "{null}", "{{a,b}}", "{{a,b},{c,d}}", '{""}', "{" + ",".join(["a"] * 300) + "}", "{" + "x" * 3000 + "}"),
    "_int8": ("{}", "{null}", "{{1,2}}", "{-1}"),
    "_timestamptz": ("{}", "{null}", "{infinity}", "{-infinity}", "{294276-12-31}", "{{2020-01-01}}"),
}  # fmt: skip


class Change(NamedTuple):
    """One column of every row of a table, set to one value; ``policy``: of that one, its shape taken away before."""

    table: str
    column: str
    value: str | None
    policy: str | None = None

    def __str__(self) -> str:
        shown = "null" if self.value is None else repr(self.value[:60])
        return f"update {self.table} set {self.column} = {shown}{f' of {self.policy}' if self.policy else ''}"

    @property
    def statement(self) -> compose.Composed:
        statement = compose.SQL("update {} set {} = {}").format(
            compose.Identifier(self.table), compose.Identifier(self.column), compose.Literal(self.value)
        )
        if self.policy is None:
            return statement
        return statement + compose.SQL(", shape = '{{}}' where key = {}").format(compose.Literal(self.policy))


def changes(sql: Sql) -> list[Change]:
    """Every column of ours that a hand may write, with every value for its type."""
    columns = sql.execute(
        "select class.relname::text, attribute.attname::text, type.typname::text"
        " from pg_class as class"
        " join pg_attribute as attribute on attribute.attrelid = class.oid"
        " join pg_type as type on type.oid = attribute.atttypid"
        " where class.relnamespace = 'public'::regnamespace and class.relkind = 'r' and class.relname ~ '^ops_'"
        " and attribute.attnum > 0 and not attribute.attisdropped and attribute.attgenerated = ''"
        " and attribute.attidentity = '' and class.relname <> all (%s)"
        " order by class.relname, attribute.attnum",
        (list(LEFT_ALONE),),
    ).fetchall()
    return [
        *(
            Change(table, column, value)
            for table, column, type in columns
            for value in (*_VALUES[type], None)
        ),
        *(
            Change("ops_policy", "value", value, policy)
            for (policy,) in sql.execute("select key from ops_policy order by key")
            for value in _VALUES["jsonb"]
        ),
    ]


async def look_at_everything(conn: Connection) -> list[str]:
    """What failed, each with the look that met it; nothing of what the looks do is kept."""
    problems = []
    for name, look in LOOKS.items():
        try:
            async with conn.transaction(force_rollback=True):
                await look(conn)
        except (DatabaseError, AssertionError) as error:
            problems.append(f"{name}: {type(error).__name__}: {error}")
        except Exception as error:
            problems.append(f"{name}: not even an error of ours: {type(error).__name__}: {error}")
    return problems


async def try_out(conn: Connection, change: Change) -> tuple[str, list[str]]:
    """What became of the change (refused or taken), and what it broke."""
    statement = change.statement.as_string(None)
    try:
        async with conn.transaction(force_rollback=True):
            try:
                await conn.run(statement.replace("%", "%%"), {})
            except DatabaseError as error:
                if (error.sqlstate or "").startswith(GOOD_REFUSALS):
                    return "refused", []
                return "refused", [f"refused in an odd way: {error.sqlstate} {error}"]
            return "taken", await look_at_everything(conn)
    except DatabaseError as error:
        return "broken", [str(error)]


async def test_no_column_stops_the_work_of_others(
    database: str, sql: Sql, capsys: pytest.CaptureFixture[str]
) -> None:
    sql.execute(SEEDED.replace("KEY_PRINT", KEY_PRINT).encode())
    every = changes(sql)
    chosen = random.Random(SEED).sample(every, CHANGES) if CHANGES else every
    ends: Counter[str] = Counter()
    found: list[str] = []
    async with aclosing(await connect(database, name="fuzz")) as conn:
        assert await look_at_everything(conn) == [], "before anything was changed"
        for change in chosen:
            became, problems = await try_out(conn, change)
            ends[became] += 1
            found += [f"{change}: {problem}" for problem in problems]
            await trio.lowlevel.checkpoint()
    with capsys.disabled():
        sys.stdout.write(
            f"\nfuzz of tables: VOXYZ_FUZZ_SEED={SEED}; {len(chosen)} of {len(every)} changes, {dict(ends)}\n"
        )
    assert found == [], "\n".join(found)
