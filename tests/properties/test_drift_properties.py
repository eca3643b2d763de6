"""The rules of affinity drift, held against the real SQL and the pure model, which must agree at every step."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from reactor.model.affinity import RefusedDrift, Relationship, drifted, label, pair
from tests.support.relationships import apply_drift, new_pair, stored
from tests.support.sessions import Session, at_once, overlapping

pytestmark = [pytest.mark.properties, pytest.mark.sql]

# One database serves all examples of a test: each begins with two agents of its own.
BOUNDED = settings(
    max_examples=80,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

FLOOR, CEILING, MOST = Decimal("0.10"), Decimal("0.95"), Decimal("0.03")

drifts = st.one_of(
    st.decimals("-0.04", "0.04", places=4),
    st.decimals("-0.001", "0.001", places=7),
    st.decimals(-1000, 1000, allow_nan=False),
    st.sampled_from([Decimal(text) for text in ("0.03", "-0.03", "0.0005", "-0.0005", "1e30", "-1e30", "0")]),
)
affinities = st.none() | st.decimals("0.100", "0.950", places=3)
sources = st.none() | st.sampled_from(["roundtable:1", "roundtable:2", "mission:1", ""])
text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
reasons = text.filter(str.strip).map(lambda words: f"x{words}")
meetings = st.tuples(drifts, reasons, sources, st.booleans())

Meeting = tuple[Decimal, str, str | None, bool]


def hold(relationship: Relationship) -> None:
    """What is true of every pair at any time."""
    assert FLOOR <= relationship.affinity <= CEILING
    assert len(relationship.log) == min(20, relationship.total)
    for line in relationship.log:
        assert abs(line.applied) <= MOST
        assert line.before + line.applied == line.after
    for line, following in zip(relationship.log, relationship.log[1:], strict=False):
        assert line.after == following.before
    if relationship.log:
        moved = sum((line.applied for line in relationship.log), start=relationship.log[0].before)
        assert moved == relationship.affinity


def meet(session: Session, one: str, other: str, meeting: Meeting) -> Decimal:
    drift, reason, source, turned = meeting
    return apply_drift(session, *((other, one) if turned else (one, other)), drift, reason, source)


def met(relationship: Relationship, meeting: Meeting) -> Relationship:
    return drifted(relationship, *meeting[:3])


@BOUNDED
@given(start=affinities, script=st.lists(meetings, max_size=30))
def test_no_sequence_of_drifts_parts_the_database_from_the_model(
    sql: Session, start: Decimal | None, script: list[Meeting]
) -> None:
    one, other = new_pair(sql, start)
    relationship = Relationship() if start is None else Relationship(start)
    for meeting in script:
        before = relationship
        relationship = met(relationship, meeting)
        assert meet(sql, one, other, meeting) == relationship.affinity
        assert abs(relationship.affinity - before.affinity) <= MOST
    found = stored(sql, one, other)
    assert found == relationship
    hold(found)


@BOUNDED
@given(start=affinities, script=st.lists(meetings, max_size=12))
def test_it_is_the_same_whoever_is_named_first(
    sql: Session, start: Decimal | None, script: list[Meeting]
) -> None:
    straight, turned = new_pair(sql, start), new_pair(sql, start)
    for drift, reason, source, _ in script:
        meet(sql, *straight, (drift, reason, source, False))
        meet(sql, *turned, (drift, reason, source, True))
    assert stored(sql, *straight) == stored(sql, *turned)


@BOUNDED
@given(one=st.from_regex("[a-z][a-z0-9_-]{0,8}", fullmatch=True), other=st.text("ab-_1", max_size=4))
def test_a_pair_is_stored_once_in_the_models_order(sql: Session, one: str, other: str) -> None:
    other = f"z{other}"
    if one == other:
        return
    for name in (one, other):
        sql.execute(
            "insert into ops_agents (id, display_name) values (%s, 'X') on conflict do nothing", (name,)
        )
    apply_drift(sql, other, one, Decimal("0.01"))
    apply_drift(sql, one, other, Decimal("0.01"))
    rows = sql.execute(
        "select agent_a, agent_b from ops_agent_relationships where %s in (agent_a, agent_b) and %s in (agent_a, agent_b)",
        (one, other),
    ).fetchall()
    assert rows == [pair(one, other)] == [pair(other, one)]


@BOUNDED
@given(start=affinities, first=meetings, script=st.lists(meetings, min_size=20, max_size=24))
def test_one_source_counts_once_however_long_ago(
    sql: Session, start: Decimal | None, first: Meeting, script: list[Meeting]
) -> None:
    one, other = new_pair(sql, start)
    meet(sql, one, other, (first[0], first[1], "once", first[3]))
    for drift, reason, _, turned in script:
        meet(sql, one, other, (drift, reason, None, turned))
    before = stored(sql, one, other)
    again = (Decimal("-0.03") if before.affinity > Decimal("0.5") else Decimal("0.03"), "again", "once", True)
    assert meet(sql, one, other, again) == before.affinity
    assert stored(sql, one, other) == before == met(before, again)


broken = st.sampled_from(
    [
        ("drift", Decimal("NaN"), "OP004"),
        ("drift", Decimal("Infinity"), "OP004"),
        ("drift", Decimal("-Infinity"), "OP004"),
        ("drift", None, "OP004"),
        ("reason", None, "OP004"),
        ("reason", "", "OP004"),
        ("reason", " \t\n ", "OP004"),
        ("one", None, "OP004"),
        ("other", None, "OP004"),
        ("one", "nobody", "OP003"),
        ("other", "", "OP003"),
        ("other", "same", "OP004"),
    ]
)


@BOUNDED
@given(start=affinities, meeting=meetings, fault=broken)
def test_what_is_refused_leaves_the_row_unchanged(
    sql: Session, start: Decimal | None, meeting: Meeting, fault: tuple[str, Any, str]
) -> None:
    one, other = new_pair(sql, start)
    meet(sql, one, other, meeting)
    before = stored(sql, one, other)
    given_: dict[str, Any] = {"one": one, "other": other, "drift": meeting[0], "reason": "x", "source": "new"}
    name, value, state = fault
    given_[name] = one if value == "same" else value
    with pytest.raises(psycopg.Error) as refusal:
        apply_drift(sql, **given_)
    assert refusal.value.sqlstate == state
    assert stored(sql, one, other) == before
    if name == "drift" and value is not None:
        with pytest.raises(RefusedDrift):
            drifted(before, value, "x")
    if name == "reason" and value is not None:
        with pytest.raises(RefusedDrift):
            drifted(before, meeting[0], value)


@settings(BOUNDED, max_examples=15, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    start=affinities, scripts=st.lists(st.lists(meetings, min_size=1, max_size=6), min_size=8, max_size=10)
)
def test_drifts_of_many_sessions_at_once_all_count(
    database: str, sql: Session, start: Decimal | None, scripts: list[list[Meeting]]
) -> None:
    one, other = new_pair(sql, start)

    def perform(script: list[Meeting]) -> Callable[[Session], None]:
        def deed(session: Session) -> None:
            for meeting in script:
                meet(session, one, other, meeting)

        return deed

    at_once(database, [perform(script) for script in scripts])
    everything = [meeting for script in scripts for meeting in script]
    known = {meeting[2] for meeting in everything} - {None}
    counted = sum(meeting[2] is None for meeting in everything) + len(known)
    found = stored(sql, one, other)
    assert found.total == counted
    assert found.sources == known
    hold(found)
    # Replayed in the order the database gave them, the model arrives where the database did.
    if counted <= 20:
        relationship = Relationship() if start is None else Relationship(start)
        for line in found.log:
            relationship = drifted(relationship, line.asked, line.reason, line.source)
        assert relationship == found


@BOUNDED
@given(affinity=st.decimals("0.100", "0.950", places=3))
def test_the_map_and_the_model_use_the_same_words(sql: Session, affinity: Decimal) -> None:
    one, other = new_pair(sql, affinity)
    row = sql.execute(
        "select label from v_relationship_map where agent_a = %s and agent_b = %s", (one, other)
    )
    assert row.fetchone() == (label(affinity),)


Outcome = tuple[Decimal, Decimal, Relationship]


class TwoSessions(RuleBasedStateMachine):
    """Two sessions move one pair in turns and at once; the model says what may come of it."""

    dsn = ""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.sessions = [
            self._stack.enter_context(psycopg.connect(self.dsn, autocommit=True)) for _ in range(2)
        ]
        self._pool = self._stack.enter_context(ThreadPoolExecutor(1))
        self.relationship = Relationship()
        self.agents = ("", "")

    @initialize(start=affinities)
    def begin(self, start: Decimal | None) -> None:
        self.agents = new_pair(self.sessions[0], start)
        self.relationship = Relationship() if start is None else Relationship(start)

    @rule(session=st.integers(0, 1), meeting=meetings)
    def meet(self, session: int, meeting: Meeting) -> None:
        self.relationship = met(self.relationship, meeting)
        assert meet(self.sessions[session], *self.agents, meeting) == self.relationship.affinity

    @rule(first=st.integers(0, 1), two=st.tuples(meetings, meetings), keep=st.booleans())
    def meet_at_once(self, first: int, two: tuple[Meeting, Meeting], keep: bool) -> None:
        deeds = (
            lambda session: meet(session, *self.agents, two[0]),
            lambda session: meet(session, *self.agents, two[1]),
        )
        answers = overlapping(self.sessions[first], self.sessions[1 - first], deeds, self._pool, keep=keep)
        found = (*answers, stored(self.sessions[0], *self.agents))
        possible = self.possible(two, keep)
        assert found in possible, f"{found} is what no order of the two gives: {possible}"
        self.relationship = found[2]

    def possible(self, two: tuple[Meeting, Meeting], keep: bool) -> list[Outcome]:
        """What one meeting after the other gives, in either order; one rolled back leaves nothing."""
        first, second = met(self.relationship, two[0]), met(self.relationship, two[1])
        if not keep:
            return [(first.affinity, second.affinity, second)]
        both, reversed_ = met(first, two[1]), met(second, two[0])
        return [
            (first.affinity, both.affinity, both),
            (reversed_.affinity, second.affinity, reversed_),
        ]

    @invariant()
    def the_row_is_the_model(self) -> None:
        if self.agents[0]:
            found = [stored(session, *self.agents) for session in self.sessions]
            assert found == [self.relationship, self.relationship]
            hold(found[0])

    def teardown(self) -> None:
        self._stack.close()


def test_two_sessions_lose_no_drift_and_count_none_twice(database: str) -> None:
    TwoSessions.dsn = database
    run_state_machine_as_test(
        TwoSessions,
        settings=settings(
            BOUNDED, max_examples=40, stateful_step_count=30, phases=set(Phase) - {Phase.explain}
        ),
    )
