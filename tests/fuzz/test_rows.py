"""Every column that people may insert, with everything they might: the database refuses it by name, or the row ends.

Behind each batch a good row is inserted, and it succeeds: nothing that was inserted before it holds the queue up.
"""

import json
import sys
import time
from collections import Counter
from typing import Any

import psycopg
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql as compose

from tests.fuzz.hostile import JSON_TEXTS, TEXTS, any_text, texts, values
from tests.support.daemon import daemon

pytestmark = pytest.mark.fuzz

Sql = psycopg.Connection[tuple[Any, ...]]
Row = dict[str, Any]

BATCHES = 40
ENDED_WITHIN_S = 60.0
AGENTS = ("sage", "minion", "nobody")
KINDS = ("noop", "analyze", "summarize", "webhook", "plan", "nobodys", "review")
FORMATS = ("standup", "debate", "watercooler", "chat")
# Refusals that say what is wrong: constraints by name, malformed input, our own. Anything else is an accident.
GOOD_REFUSALS = ("22", "23", "OP", "42501", "42804", "428C9", "54001", "0A000")

_json = st.one_of(
    st.sampled_from(JSON_TEXTS), values.map(json.dumps), values.map(lambda v: json.dumps({"topic": v}))
)
_integers = st.one_of(st.integers(-3, 12), st.sampled_from([2**31, -(2**63), 10**30]), texts)
_times = st.one_of(
    st.sampled_from(["infinity", "-infinity", "epoch", "now", "294276-12-31", "4713-01-01 BC", "0001-01-01", "soon"]),
    st.datetimes().map(str),
    texts,
)  # fmt: skip
_common: dict[str, st.SearchStrategy[Any]] = {
    "status": st.one_of(st.sampled_from(["queued", "waiting", "running", "succeeded", "cancelled"]), texts),
    "priority": _integers,
    "run_at": _times,
    "attempt": _integers,
    "max_attempts": _integers,
    "crashes": _integers,
    "claimed_by": st.one_of(st.uuids().map(str), texts),
    "claim_token": st.one_of(st.uuids().map(str), texts),
    "started_at": _times,
    "completed_at": _times,
    "failure_reason": any_text,
    "created_at": _times,
    "simulated": st.one_of(st.booleans().map(str), texts),
    "result": _json,
}
_own: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "ops_mission_steps": {
        "kind": st.one_of(st.sampled_from(KINDS), any_text),
        "payload": _json,
        "agent_id": st.one_of(st.sampled_from(AGENTS), any_text),
        "mission_id": _integers,
        "seq": _integers,
        "hold": st.one_of(st.just("approval"), texts),
    },
    "ops_roundtable_queue": {
        "format": st.one_of(st.sampled_from(FORMATS), any_text),
        "topic": any_text,
        "participants": st.one_of(
            st.lists(st.one_of(st.sampled_from(AGENTS), texts), max_size=6),
            st.sampled_from(["{}", "{sage,minion}", "{sage,sage}", "{null}", "{{sage},{minion}}", "{"]),
            st.just("{" + "a," * 60 + "a}"),
        ),
    },
    "ops_initiative_queue": {
        "agent_id": st.one_of(st.sampled_from(AGENTS), any_text),
        "trigger_reason": any_text,
        "memory_influenced": texts,
        "proposal_id": _integers,
    },
}  # fmt: skip
_least: dict[str, Row] = {
    "ops_mission_steps": {"kind": "noop"},
    "ops_roundtable_queue": {"format": "watercooler", "topic": "tea"},
    "ops_initiative_queue": {"agent_id": "sage"},
}


@st.composite
def rows(draw: st.DrawFn) -> tuple[str, Row]:
    """A table, and a row for it that is good but for one to three columns; null is among everything."""
    table = draw(st.sampled_from(list(_own)))
    columns = {**_common, **_own[table]}
    chosen = draw(st.lists(st.sampled_from(list(columns)), min_size=1, max_size=3, unique=True))
    bad = {name: draw(st.one_of(st.none(), columns[name])) for name in chosen}
    return table, {**_least[table], **bad}


def insert(sql: Sql, table: str, row: Row) -> int | None:
    """The row's id; None when the database refused it and said why."""
    statement = compose.SQL("insert into {} ({}) values ({}) returning id").format(
        compose.Identifier(table),
        compose.SQL(", ").join(map(compose.Identifier, row)),
        compose.SQL(", ").join(compose.Placeholder() * len(row)),
    )
    try:
        found = sql.execute(statement, [_plain(value) for value in row.values()]).fetchone()
    except psycopg.Error as error:
        if (error.sqlstate or "22").startswith(GOOD_REFUSALS):
            return None
        raise AssertionError(f"{error.sqlstate} {error} for {table} {row}") from None
    except (UnicodeEncodeError, ValueError):  # the driver's own refusal: no text of PostgreSQL's
        return None
    assert found is not None
    id: int = found[0]
    return id


def _plain(value: Any) -> Any:
    """Everything goes as text of no declared type, as from psql; lists as arrays."""
    return value if value is None or isinstance(value, list) else str(value)


class Doors:
    """What was tried, and that all of it ended."""

    def __init__(self, sql: Sql) -> None:
        self.sql = sql
        self.tried: Counter[str] = Counter()

    def push(self, batch: list[tuple[str, Row]]) -> None:
        """Insert the batch and a good row behind it in each queue; all of it ends, each with a reason if it failed."""
        ids: dict[str, list[int]] = {table: [] for table in _own}
        for table, row in batch:
            id = insert(self.sql, table, row)
            self.tried["refused" if id is None else "taken"] += 1
            if id is not None:
                ids[table].append(id)
        good = {
            table: insert(self.sql, table, row)
            for table, row in _least.items()
            if table == "ops_mission_steps"
        }
        deadline = time.monotonic() + ENDED_WITHIN_S
        for table, id in good.items():
            self._until_ended(table, [id or 0], deadline)
            state = self.sql.execute(f"select status from {table} where id = %s".encode(), (id,)).fetchone()
            assert state == ("succeeded",), f"the good row behind {batch} is {state}"
        for table, inserted in ids.items():
            self._until_ended(table, inserted, deadline)
            speechless = self.sql.execute(
                f"select id from {table} where id = any (%s) and status = 'failed'"
                " and coalesce(failure_reason, '') = '' and completed_at > created_at".encode(),
                (inserted,),
            ).fetchall()
            assert speechless == [], f"failed without a reason: {speechless} of {batch}"

    def _until_ended(self, table: str, ids: list[int], deadline: float) -> None:
        """Nothing of it is left that a reactor should have done by now."""
        left = (
            f"select id, status, run_at::text, attempt from {table} where id = any (%s)"
            " and status = 'queued' and run_at <= now() limit 3"
        )
        # Somebody who inserts a row as running has it in his own hands: only a reactor's are looked at.
        running = (
            f"select id, status, run_at::text, attempt from {table} where id = any (%s) and status = 'running'"
            " and claimed_by in (select id from ops_workers) limit 3"
        )
        while found := [
            *self.sql.execute(left.encode(), (ids,)),
            *self.sql.execute(running.encode(), (ids,)),
        ]:
            assert time.monotonic() < deadline, f"{table}: {found} do not end"
            time.sleep(0.02)


# A reason that only says where our program stumbled tells nobody what was wrong with his row.
OUR_OWN_FAULT = """
select reason
from (
  select failure_reason as reason from ops_mission_steps where status = 'failed'
  union all
  select failure_reason from ops_roundtable_queue where status = 'failed'
  union all
  select failure_reason from ops_initiative_queue where status = 'failed'
) as failed
where reason ~ '^(Type|Attribute|Key|Index|Value|Assertion|Recursion)Error'
"""


async def test_every_column_with_everything(
    database: str, sql: Sql, capsys: pytest.CaptureFixture[str]
) -> None:
    doors = Doors(sql)

    @settings(
        max_examples=BATCHES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(st.lists(rows(), min_size=8, max_size=16))
    def push(batch: list[tuple[str, Row]]) -> None:
        doors.push(batch)

    with daemon(
        "mission", "roundtable", "initiative",
        DATABASE_URL=database, OPS_MISSION_SWEEP_S="1", OPS_ROUNDTABLE_SWEEP_S="1", OPS_INITIATIVE_SWEEP_S="1",
    ) as reactor:  # fmt: skip
        await reactor.until_ready()
        await trio.to_thread.run_sync(doors.push, _by_name())
        await trio.to_thread.run_sync(push)
        assert reactor.process.poll() is None
        assert "Traceback" not in reactor.errors()
        assert reactor.log("claim_refused", "outcome_refused") == []
        assert sql.execute(OUR_OWN_FAULT).fetchall() == []
    with capsys.disabled():
        total = sum(doors.tried.values())
        sys.stdout.write(
            f"\nfuzz of rows: {total} tried, {dict(doors.tried)}; all ended, the good ones behind too\n"
        )


def _by_name() -> list[tuple[str, Row]]:
    """Each known troublemaker once, in each text and in each JSON that people insert."""
    batch: list[tuple[str, Row]] = []
    for text in TEXTS:
        batch += [
            ("ops_mission_steps", {"kind": text}),
            ("ops_mission_steps", {"kind": "analyze", "agent_id": text}),
            ("ops_mission_steps", {"kind": "noop", "failure_reason": text}),
            ("ops_roundtable_queue", {"format": text}),
            ("ops_roundtable_queue", {"format": "watercooler", "topic": text}),
            ("ops_roundtable_queue", {"format": "watercooler", "topic": "x", "participants": [text, "sage"]}),
            ("ops_initiative_queue", {"agent_id": text}),
            ("ops_initiative_queue", {"agent_id": "sage", "trigger_reason": text}),
        ]
    for text in JSON_TEXTS:
        for kind in ("noop", "analyze", "webhook"):
            batch.append(("ops_mission_steps", {"kind": kind, "payload": text}))
        batch.append(("ops_mission_steps", {"kind": "noop", "result": text}))
    for who in ("{null}", "{sage,null}", "{{sage},{minion}}", "{}"):
        batch.append(("ops_roundtable_queue", {"format": "watercooler", "participants": who}))
    return batch


def test_sixty_megabytes_are_refused_by_name(database: str, sql: Sql) -> None:
    for table, column, constraint in (
        ("ops_mission_steps", "payload", "step_payload_is_at_most_1_mib"),
        ("ops_mission_steps", "result", "step_result_is_at_most_1_mib"),
        ("ops_roundtable_queue", "result", "roundtable_result_is_at_most_1_mib"),
    ):
        noise = "".join(chr(0x4E00 + (n * 7919) % 20000) for n in range(1000))  # does not compress away
        large = json.dumps({"a": [f"{n}{noise}" for n in range(20_000)]}, ensure_ascii=False)
        assert len(large.encode()) > 60_000_000
        statement = f"insert into {table} ({', '.join([*_least[table], column])}) values (%s{', %s' * len(_least[table])})"
        with pytest.raises(psycopg.errors.CheckViolation) as refused:
            sql.execute(statement.encode(), [*_least[table].values(), large])
        assert refused.value.diag.constraint_name == constraint
