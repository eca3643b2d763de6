"""ops_apply_drift, one promise a test; and what the seeds and the map show."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reactor.model.affinity import label
from tests.support.clock import NOON, Clock
from tests.support.sessions import Session, at_once

pytestmark = pytest.mark.sql

SEEDS = Path(__file__).parents[2] / "sql" / "seeds"


def drift(
    sql: Session, one: str | None, other: str | None, by: Any, reason: str | None = "talk", source: Any = None
) -> Decimal:
    row = sql.execute(
        "select ops_apply_drift(%s, %s, %s::numeric, %s, %s)", (one, other, by, reason, source)
    ).fetchone()
    assert row is not None
    value: Decimal = row[0]
    return value


def row_of(sql: Session, one: str, other: str) -> tuple[Any, ...] | None:
    return sql.execute(
        "select affinity, total_interactions, positive_interactions, negative_interactions, drift_log"
        " from ops_agent_relationships where agent_a = %s and agent_b = %s",
        sorted((one, other)),
    ).fetchone()


def log_of(sql: Session, one: str, other: str) -> list[dict[str, Any]]:
    row = row_of(sql, one, other)
    assert row is not None
    log: list[dict[str, Any]] = row[4]
    return log


def hire(sql: Session, *names: str) -> None:
    for name in names:
        sql.execute("insert into ops_agents (id, display_name) values (%s, %s)", (name, name.title()))


def test_a_drift_moves_the_pair_whoever_is_named_first(sql: Session) -> None:
    assert drift(sql, "sage", "minion", "0.01") == Decimal("0.810")
    assert drift(sql, "minion", "sage", "-0.02") == Decimal("0.790")
    assert row_of(sql, "minion", "sage") is not None
    assert row_of(sql, "minion", "sage")[1:4] == (2, 1, 1)  # type: ignore[index]  # the pair is there


def test_a_line_of_the_log_says_everything(sql: Session) -> None:
    Clock(sql)
    drift(sql, "sage", "minion", "0.5", "agreed on a date", "roundtable:1")
    line = log_of(sql, "minion", "sage")[-1]
    assert line.pop("at").replace("Z", "+00:00").startswith(NOON.strftime("%Y-%m-%dT%H:%M"))
    assert line == {
        "asked": 0.5,
        "applied": 0.03,
        "before": 0.8,
        "after": 0.83,
        "reason": "agreed on a date",
        "source": "roundtable:1",
        "simulated": False,
    }


def test_a_missing_pair_starts_in_the_middle(sql: Session) -> None:
    hire(sql, "newcomer")
    assert drift(sql, "newcomer", "minion", "-0.004") == Decimal("0.496")
    assert [line["before"] for line in log_of(sql, "minion", "newcomer")] == [0.5]


def test_the_order_within_a_pair_is_by_bytes_in_every_database(sql: Session) -> None:
    hire(sql, "a-b", "a_b", "a1")
    for one, other in (("a_b", "a-b"), ("a_b", "a1"), ("a1", "a-b")):
        drift(sql, one, other, "0.01")
        assert row_of(sql, one, other) is not None


def test_a_source_moves_a_pair_once_for_ever(sql: Session) -> None:
    assert drift(sql, "sage", "minion", "0.01", source="roundtable:1") == Decimal("0.810")
    assert drift(sql, "minion", "sage", "-0.03", source="roundtable:1") == Decimal("0.810")
    assert drift(sql, "minion", "sage", "-0.03", source="roundtable:2") == Decimal("0.780")
    assert drift(sql, "minion", "quill", "0.01", source="roundtable:1") == Decimal("0.560")
    for _ in range(25):
        drift(sql, "minion", "sage", "0")
    assert drift(sql, "minion", "sage", "-0.03", source="roundtable:1") == Decimal("0.780")
    assert len(log_of(sql, "minion", "sage")) == 20


def test_simulated_drifts_are_marked_within_their_transaction(sql: Session) -> None:
    with sql.transaction():
        sql.execute("set local ops.simulated = 'on'")
        drift(sql, "sage", "minion", "0.01")
    drift(sql, "sage", "minion", "0.01")
    assert [line["simulated"] for line in log_of(sql, "minion", "sage")] == [True, False]


@pytest.mark.parametrize(
    ("one", "other", "by", "reason", "state", "message"),
    [
        ("sage", "minion", None, "talk", "OP004", "the drift is null"),
        ("sage", "minion", "NaN", "talk", "OP004", "the drift is NaN"),
        ("sage", "minion", "Infinity", "talk", "OP004", "the drift is Infinity"),
        ("sage", "minion", "-Infinity", "talk", "OP004", "the drift is -Infinity"),
        ("sage", "minion", "0.01", None, "OP004", "needs a reason"),
        ("sage", "minion", "0.01", " \t\n", "OP004", "needs a reason"),
        ("sage", "sage", "0.01", "talk", "OP004", "two different agents"),
        (None, "minion", "0.01", "talk", "OP004", "one of them is null"),
        ("sage", None, "0.01", "talk", "OP004", "one of them is null"),
        ("sage", "nobody", "0.01", "talk", "OP003", "unknown agent 'nobody'; known are minion, observer"),
        ("", "sage", "0.01", "talk", "OP003", "unknown agent ''"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(
    sql: Session,
    one: str | None,
    other: str | None,
    by: str | None,
    reason: str | None,
    state: str,
    message: str,
) -> None:
    before = sql.execute("select * from ops_agent_relationships order by agent_a, agent_b").fetchall()
    with pytest.raises(psycopg.Error, match=message) as refusal:
        drift(sql, one, other, by, reason, "source:1")
    assert refusal.value.sqlstate == state
    assert sql.execute("select * from ops_agent_relationships order by agent_a, agent_b").fetchall() == before
    assert sql.execute("select count(*) from ops_relationship_sources").fetchone() == (0,)


@pytest.mark.parametrize(
    ("by", "after"), [("1e100000", "0.830"), ("-1e100000", "0.770"), ("1e-16000", "0.800")]
)
def test_a_number_of_absurd_length_is_clamped_and_its_line_short(sql: Session, by: str, after: str) -> None:
    assert drift(sql, "sage", "minion", by) == Decimal(after)
    row = sql.execute(
        "select length(drift_log::text) from ops_agent_relationships where total_interactions > 0"
    ).fetchone()
    assert row is not None
    assert row[0] < 1000


def test_a_deep_affection_stays_within_bounds_in_the_table_too(sql: Session) -> None:
    for affinity in ("0.099", "0.951", "NaN"):
        with pytest.raises(psycopg.Error):
            sql.execute("update ops_agent_relationships set affinity = %s::numeric", (affinity,))


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("drift_log = '{}'", "relationship_drift_log_is_at_most_20_entries"),
        (
            "drift_log = (select jsonb_agg(n) from generate_series(1, 21) as n)",
            "relationship_drift_log_is_at_most_20_entries",
        ),
        ("positive_interactions = 1", "relationship_interactions_add_up"),
        ("agent_a = 'xalt', agent_b = 'minion'", "relationship_agents_are_in_order"),
    ],
)
def test_a_relationship_that_cannot_be_is_refused(sql: Session, change: str, constraint: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as refusal:
        sql.execute(
            f"update ops_agent_relationships set {change} where agent_a = 'minion' and agent_b = 'xalt'".encode()
        )
    assert refusal.value.diag.constraint_name == constraint


def test_drifts_of_many_sessions_at_once_all_count(database: str, sql: Session) -> None:
    def meet_often(session: Session) -> None:
        for _ in range(20):
            drift(session, "scout", "quill", "0.001")
            drift(session, "quill", "scout", "-0.002")

    at_once(database, [meet_often] * 10)
    row = row_of(sql, "quill", "scout")
    assert row is not None
    assert row[:4] == (Decimal("0.400"), 400, 200, 200)
    chain = row[4]
    assert [line["before"] for line in chain[1:]] == [line["after"] for line in chain[:-1]]


def test_of_many_sessions_that_bring_one_source_one_counts(database: str, sql: Session) -> None:
    hire(sql, "ada", "bob")
    answers = at_once(database, [lambda session: drift(session, "ada", "bob", "0.01", source="r:1")] * 10)
    assert answers == [Decimal("0.510")] * 10
    row = row_of(sql, "ada", "bob")
    assert row is not None
    assert row[1] == 1


def test_a_source_that_was_rolled_back_has_not_counted(sql: Session) -> None:
    with sql.transaction(force_rollback=True):
        drift(sql, "sage", "minion", "0.01", source="r:1")
    assert drift(sql, "sage", "minion", "0.01", source="r:1") == Decimal("0.810")


def test_a_drift_does_not_wait_for_somebody_editing_an_agent(database: str, sql: Session) -> None:
    with psycopg.connect(database) as editor:
        editor.execute("update ops_agents set tone = 'hoarse' where id = 'sage'")
        sql.execute("set statement_timeout = '2s'")
        assert drift(sql, "sage", "minion", "0.01") == Decimal("0.810")


def test_seeds_run_twice_and_leave_what_a_person_changed(sql: Session) -> None:
    drift(sql, "sage", "minion", "0.01")
    sql.execute("update ops_agents set tone = 'whispers' where id = 'sage'")
    sql.execute("delete from ops_agents where id = 'xalt'")
    sql.execute("update ops_circuit_breaker set open_seconds = 60")
    for _ in range(2):
        for name in ("agents", "relationships", "breakers"):
            sql.execute((SEEDS / f"{name}.sql").read_bytes())
    assert sql.execute("select tone from ops_agents where id = 'sage'").fetchone() == ("whispers",)
    assert sql.execute("select count(*) from ops_agents").fetchone() == (5,)
    assert sql.execute("select count(*) from ops_agent_relationships").fetchone() == (10,)
    assert row_of(sql, "minion", "sage")[0] == Decimal("0.810")  # type: ignore[index]  # the pair is there
    assert sql.execute("select open_seconds from ops_circuit_breaker").fetchall() == [(60,)]


def test_the_six_are_hired_with_voices_of_their_own(sql: Session) -> None:
    people = sql.execute("select id, role, tone, quirk, directive from ops_agents").fetchall()
    assert {person[0] for person in people} == {"minion", "sage", "scout", "quill", "xalt", "observer"}
    for column in range(1, 5):
        assert len({person[column] for person in people}) == 6
        assert all(len(person[column]) > 20 for person in people)


def test_the_map_shows_fifteen_pairs_with_their_labels(sql: Session) -> None:
    rows = sql.execute("select agent_a, agent_b, affinity, label from v_relationship_map").fetchall()
    assert all(row[0] < row[1] and row[3] == label(row[2]) for row in rows)
    assert {f"{row[0]} {row[1]}": int(row[2] * 100) for row in rows} == {
        "minion sage": 80,
        "observer sage": 80,
        "quill xalt": 70,
        "minion observer": 65,
        "scout xalt": 65,
        "minion scout": 60,
        "quill scout": 60,
        "minion quill": 55,
        "sage scout": 55,
        "quill sage": 50,
        "observer scout": 45,
        "observer quill": 40,
        "observer xalt": 35,
        "minion xalt": 30,
        "sage xalt": 30,
    }


def test_the_map_shows_what_moved_last(sql: Session) -> None:
    with sql.transaction():
        sql.execute("set local ops.simulated = 'on'")
        drift(sql, "sage", "xalt", "0.01", "laughed")
    drift(sql, "sage", "xalt", "-0.03", "quarrelled")
    row = sql.execute(
        "select recent_drift, last_reason, simulated, seed_affinity from v_relationship_map where agent_b = 'xalt'"
        " and agent_a = 'sage'"
    ).fetchone()
    assert row == (Decimal("-0.020"), "quarrelled", True, Decimal("0.300"))


def test_a_stranger_with_every_grant_on_tables_and_map_still_sees_nothing(sql: Session) -> None:
    names = (
        "ops_agent_relationships",
        "ops_relationship_sources",
        "ops_circuit_breaker",
        "v_relationship_map",
    )
    drift(sql, "sage", "minion", "0.01", source="r:1")
    with sql.transaction(force_rollback=True):
        sql.execute("create role stranger")
        sql.execute(f"grant select on {', '.join((*names, 'ops_agents'))} to stranger".encode())
        sql.execute("set local role stranger")
        for name in names:
            assert sql.execute(f"select count(*) from {name}".encode()).fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege), sql.transaction():
            drift(sql, "sage", "minion", "0.01")
