"""The breaker's SQL functions, one promise a test."""

import re
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

from reactor.model.breaker import TRANSITIONS, Breaker, State
from tests.support.breakers import allow, new_breaker, record, stored
from tests.support.clock import NOON, Clock
from tests.support.sessions import Session, at_once

pytestmark = pytest.mark.sql

OPEN = Breaker(State.OPEN, 5, opened_at=NOON)
HALF_OPEN = Breaker(State.HALF_OPEN, 5, 0, NOON, (NOON,))


@pytest.fixture
def clock(sql: Session) -> Clock:
    return Clock(sql)


def heard(listener: Session) -> list[tuple[str, str]]:
    """What was said so far: notifications come in the order of their commits, so up to one of our own."""
    listener.execute("notify ops_control, 'so far'")
    notes: list[tuple[str, str]] = []
    for note in listener.notifies(timeout=5):
        if note.payload == "so far":
            return notes
        notes.append((note.channel, note.payload))
    raise AssertionError("not even our own notification came")


def events(sql: Session, service: str) -> list[tuple[Any, ...]]:
    return sql.execute(
        "select kind, metadata ->> 'from', metadata ->> 'to' from ops_agent_events where title = %s order by id",
        (service,),
    ).fetchall()


def test_the_seeded_service_starts_closed(sql: Session) -> None:
    assert stored(sql, "anthropic") == Breaker()
    assert allow(sql, "anthropic")


def test_the_check_the_enum_and_the_transition_table_name_the_same_states(sql: Session) -> None:
    row = sql.execute(
        "select pg_get_constraintdef(oid) from pg_constraint where conname = 'breaker_state_is_known'"
    ).fetchone()
    assert row is not None
    checked = set(re.findall(r"'(\w+)'::text", row[0]))
    assert checked == {state.value for state in State} == {state.value for state in TRANSITIONS}


def test_a_further_service_is_an_insert_away(sql: Session) -> None:
    sql.execute("insert into ops_circuit_breaker (service) values ('hooks.example.com')")
    assert allow(sql, "hooks.example.com")


@pytest.mark.parametrize("service", ["nobody", "Anthropic", "", None])
def test_an_unknown_service_is_refused_and_the_known_ones_named(sql: Session, service: str | None) -> None:
    for call in ("ops_breaker_allow(%s)", "ops_breaker_record(%s, true)", "ops_breaker_reset(%s)"):
        with pytest.raises(psycopg.Error, match=r"unknown service.*known are anthropic") as refusal:
            sql.execute(f"select {call}".encode(), (service,))
        assert refusal.value.sqlstate == "OP003"


def test_a_null_report_is_refused(sql: Session) -> None:
    with pytest.raises(psycopg.Error, match="say true or false") as refusal:
        record(sql, "anthropic", None)
    assert refusal.value.sqlstate == "OP004"
    assert stored(sql, "anthropic") == Breaker()


@pytest.mark.parametrize(
    ("start", "statement"),
    [
        (Breaker(), "select ops_breaker_allow(%s)"),
        (Breaker(), "select ops_breaker_record(%s, true)"),
        (OPEN, "select ops_breaker_allow(%s)"),
        (OPEN, "select ops_breaker_record(%s, true)"),
        (OPEN, "select ops_breaker_record(%s, false)"),
        (Breaker(State.HALF_OPEN, 5, 0, NOON, (NOON,) * 3), "select ops_breaker_allow(%s)"),
    ],
)
def test_what_changes_nothing_neither_writes_nor_locks(
    sql: Session, clock: Clock, start: Breaker, statement: str
) -> None:
    service = new_breaker(sql, start)
    with sql.transaction():
        sql.execute(statement.encode(), (service,))
        # A row lock needs a transaction id as much as a write does.
        assert sql.execute("select pg_current_xact_id_if_assigned()").fetchone() == (None,)


def test_a_call_on_a_closed_breaker_waits_for_nobody(database: str, sql: Session) -> None:
    with psycopg.connect(database) as other:
        other.execute("select from ops_circuit_breaker for update")
        sql.execute("set statement_timeout = '2s'")
        assert allow(sql, "anthropic")
        assert record(sql, "anthropic", True) == "closed"


def test_a_whole_round_leaves_its_events_and_no_other(sql: Session, clock: Clock) -> None:
    service = new_breaker(sql)
    assert [record(sql, service, False) for _ in range(5)] == ["closed"] * 4 + ["open"]
    clock.step(899)
    assert not allow(sql, service)
    clock.step(1)
    assert allow(sql, service)
    assert record(sql, service, False) == "open"
    assert stored(sql, service).opened_at == clock.now
    clock.step(900)
    assert [allow(sql, service) for _ in range(4)] == [True, True, True, False]
    assert [record(sql, service, True) for _ in range(3)] == ["half_open", "half_open", "closed"]
    assert stored(sql, service) == Breaker()
    assert events(sql, service) == [
        ("breaker_opened", "closed", "open"),
        ("breaker_half_opened", "open", "half_open"),
        ("breaker_opened", "half_open", "open"),
        ("breaker_half_opened", "open", "half_open"),
        ("breaker_closed", "half_open", "closed"),
    ]


def test_changes_are_told_and_closing_rings_every_queue(database: str, sql: Session, clock: Clock) -> None:
    service = new_breaker(sql, Breaker(failure_threshold=1, success_threshold=1))
    with psycopg.connect(database, autocommit=True) as listener:
        listener.execute("listen ops_control")
        listener.execute("listen ops_wake")
        record(sql, service, False)
        assert heard(listener) == [("ops_control", "breaker")]
        clock.step(900)
        allow(sql, service)
        assert heard(listener) == [("ops_control", "breaker")]
        record(sql, service, True)
        assert set(heard(listener)) == {
            ("ops_control", "breaker"),
            ("ops_wake", "ops_mission_steps"),
            ("ops_wake", "ops_roundtable_queue"),
            ("ops_wake", "ops_initiative_queue"),
        }


def test_counting_is_not_told(database: str, sql: Session, clock: Clock) -> None:
    service = new_breaker(sql)
    with psycopg.connect(database, autocommit=True) as listener:
        listener.execute("listen ops_control")
        record(sql, service, False)
        record(sql, service, True)
        assert heard(listener) == []


def test_a_hand_in_psql_is_told_and_recorded_too(database: str, sql: Session, clock: Clock) -> None:
    with psycopg.connect(database, autocommit=True) as listener:
        listener.execute("listen ops_control")
        sql.execute("update ops_circuit_breaker set state = 'open', opened_at = ops_now()")
        assert heard(listener) == [("ops_control", "breaker")]
        sql.execute("update ops_circuit_breaker set open_seconds = 10")
        assert heard(listener) == [("ops_control", "breaker")]
        sql.execute("update ops_circuit_breaker set state = 'closed', failure_count = 0")
        assert heard(listener) == [("ops_control", "breaker")]
    assert [event[0] for event in events(sql, "anthropic")] == ["breaker_opened", "breaker_closed"]


@pytest.mark.parametrize(
    ("start", "changed"),
    [(Breaker(), False), (Breaker(failure_count=2), True), (OPEN, True), (HALF_OPEN, True)],
)
def test_reset_closes_it_from_any_state(sql: Session, clock: Clock, start: Breaker, changed: bool) -> None:
    service = new_breaker(sql, start)
    assert sql.execute("select ops_breaker_reset(%s)", (service,)).fetchone() == (changed,)
    assert stored(sql, service) == Breaker()
    assert allow(sql, service)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("state = 'ajar', opened_at = now()", "breaker_state_is_known"),
        ("state = 'open'", "breaker_not_closed_was_opened"),
        ("failure_count = -1", "breaker_counts_are_not_negative"),
        ("failure_threshold = 0", "breaker_thresholds_are_sane"),
        ("open_seconds = 'NaN'", "breaker_open_seconds_is_sane"),
        (
            "state = 'half_open', opened_at = now(), success_count = 3",
            "breaker_half_open_is_within_its_threshold",
        ),
        (
            "state = 'half_open', opened_at = now(), success_count = 2, permits = array[now(), now()]",
            "breaker_half_open_is_within_its_threshold",
        ),
    ],
)
def test_a_breaker_that_cannot_be_is_refused(sql: Session, change: str, constraint: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as refusal:
        sql.execute(f"update ops_circuit_breaker set {change}".encode())
    assert refusal.value.diag.constraint_name == constraint


def test_of_many_failures_at_once_the_nth_opens_it_once(database: str, sql: Session, clock: Clock) -> None:
    for _ in range(5):
        service = new_breaker(sql, Breaker(failure_threshold=7))
        states = at_once(database, [partial(record, service=service, success=False)] * 10)
        assert sorted(states) == ["closed"] * 6 + ["open"] * 4
        breaker = stored(sql, service)
        assert (breaker.state, breaker.failure_count, breaker.opened_at) == (State.OPEN, 7, NOON)
        assert events(sql, service) == [("breaker_opened", "closed", "open")]


def test_many_who_ask_at_once_get_no_more_permits_than_there_are(
    database: str, sql: Session, clock: Clock
) -> None:
    clock.step(900)
    for threshold in (1, 3, 8):
        service = new_breaker(sql, Breaker(State.OPEN, 5, 0, NOON, success_threshold=threshold))
        answers = at_once(database, [partial(allow, service=service)] * 12)
        assert answers.count(True) == threshold
        assert len(stored(sql, service).permits) == threshold
        assert events(sql, service) == [("breaker_half_opened", "open", "half_open")]
        states = at_once(database, [partial(record, service=service, success=True)] * 12)
        # Reports beyond the permits come too late to count for anything: it is closed, or was already.
        assert states.count("half_open") == threshold - 1
        assert stored(sql, service).state is State.CLOSED


def test_callers_who_ask_and_report_at_once_never_exceed_the_permits(
    database: str, sql: Session, clock: Clock
) -> None:
    clock.step(900)
    service = new_breaker(sql, Breaker(State.OPEN, 5, 0, NOON, success_threshold=40))

    def call_often(session: Session) -> int:
        permits = 0
        for _ in range(10):
            if allow(session, service):
                permits += 1
                breaker = stored(session, service)
                if breaker.state is State.HALF_OPEN:
                    assert len(breaker.permits) + breaker.success_count <= 40
                record(session, service, True)
        return permits

    assert 40 <= sum(at_once(database, [call_often] * 8)) <= 80
    breaker = stored(sql, service)
    assert (breaker.state, breaker.success_count) == (State.CLOSED, 0)


def test_lost_permits_lapse_and_the_service_is_tried_again(sql: Session, clock: Clock) -> None:
    service = new_breaker(sql, OPEN)
    clock.step(900)
    assert [allow(sql, service) for _ in range(4)] == [True, True, True, False]
    clock.step(119)
    assert not allow(sql, service)
    clock.step(1)
    assert record(sql, service, True) == "half_open"
    assert stored(sql, service).success_count == 0
    assert [allow(sql, service) for _ in range(4)] == [True, True, True, False]


def test_the_clock_going_back_keeps_it_open_and_opens_nothing(sql: Session, clock: Clock) -> None:
    service = new_breaker(sql, OPEN)
    clock.step(-timedelta(days=1).total_seconds())
    assert not allow(sql, service)
    assert record(sql, service, True) == "open"
    assert stored(sql, service) == OPEN
