"""The breaker's rules, held against the real SQL and the pure model, which must agree at every step."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from reactor.model import breaker as model
from reactor.model.breaker import TRANSITIONS, Breaker, State
from tests.support.breakers import allow, new_breaker, record, stored
from tests.support.clock import NOON, Clock
from tests.support.sessions import Session, overlapping

pytestmark = [pytest.mark.properties, pytest.mark.sql]

# One database serves all examples of a test: each begins with a breaker of its own.
BOUNDED = settings(
    max_examples=150,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

Call = tuple[str, Any]

calls: st.SearchStrategy[Call] = st.sampled_from([("allow", None), ("record", True), ("record", False)])
seconds = st.sampled_from([1, 59, 119, 120, 121, 600, 899, 900, 901, -1, -120, -5000])
happenings: st.SearchStrategy[Call] = st.one_of(calls, st.tuples(st.just("step"), seconds))
starts = st.builds(
    Breaker,
    failure_threshold=st.integers(1, 6),
    success_threshold=st.integers(1, 5),
    open_seconds=st.sampled_from([0, 30, 900]),
    permit_seconds=st.sampled_from([0, 60, 120]),
)


@pytest.fixture
def clock(sql: Session) -> Clock:
    return Clock(sql)


def expected(breaker: Breaker, call: Call, now: datetime) -> tuple[Breaker, bool | str]:
    """The model's breaker and answer after one call."""
    if call[0] == "allow":
        return model.allow(breaker, now)
    moved = model.record(breaker, call[1], now)
    return moved, moved.state.value


def asked(session: Session, service: str, call: Call) -> bool | str:
    """The database's answer to the same call."""
    return allow(session, service) if call[0] == "allow" else record(session, service, call[1])


def seen_transitions(sql: Session) -> set[tuple[State, State]]:
    rows = sql.execute(
        "select distinct metadata ->> 'from', metadata ->> 'to' from ops_agent_events where kind like 'breaker%'"
    ).fetchall()
    return {(State(start), State(end)) for start, end in rows}


LEGAL = {(start, end) for start, turns in TRANSITIONS.items() for end in turns.values()}


@BOUNDED
@given(start=starts, script=st.lists(happenings, max_size=40))
def test_no_sequence_of_calls_and_clock_steps_parts_the_database_from_the_model(
    sql: Session, clock: Clock, start: Breaker, script: list[Call]
) -> None:
    clock.set(NOON)
    service = new_breaker(sql, start)
    breaker = start
    for call in script:
        if call[0] == "step":
            clock.step(call[1])
            continue
        before = breaker
        breaker, answer = expected(breaker, call, clock.now)
        assert asked(sql, service, call) == answer
        assert stored(sql, service) == breaker
        assert before.state is breaker.state or (before.state, breaker.state) in LEGAL
    assert seen_transitions(sql) <= LEGAL


@BOUNDED
@given(n=st.integers(1, 12), runs=st.lists(st.integers(0, 11), max_size=5))
def test_closed_opens_after_exactly_n_consecutive_failures(
    sql: Session, clock: Clock, n: int, runs: list[int]
) -> None:
    breaker = Breaker(failure_threshold=n)
    service = new_breaker(sql, breaker)
    for failures in (min(run, n - 1) for run in runs):
        for success in [False] * failures + [True]:
            assert record(sql, service, success) == "closed"
            breaker = model.record(breaker, success, clock.now)
            assert allow(sql, service)
    assert stored(sql, service) == breaker == Breaker(failure_threshold=n)
    states = [record(sql, service, False) for _ in range(n)]
    assert states == ["closed"] * (n - 1) + ["open"]
    for _ in range(n):
        breaker = model.record(breaker, False, clock.now)
    assert stored(sql, service) == breaker
    assert breaker.state is State.OPEN


@BOUNDED
@given(
    open_seconds=st.integers(1, 100_000),
    script=st.lists(st.tuples(st.floats(-1e5, 1), calls), max_size=12),
)
def test_open_allows_nothing_before_its_time_and_one_call_at_it(
    sql: Session, clock: Clock, open_seconds: int, script: list[tuple[float, Call]]
) -> None:
    breaker = Breaker(State.OPEN, 5, opened_at=NOON, open_seconds=open_seconds)
    service = new_breaker(sql, breaker)
    for share, call in script:
        # At most a microsecond, the database's grain, before it may be tried; or long before it opened.
        clock.set(NOON)
        clock.step(min(share * open_seconds, open_seconds - 1e-6))
        assert asked(sql, service, call) == ("open" if call[0] == "record" else False)
        assert expected(breaker, call, clock.now)[0] == breaker == stored(sql, service)
    clock.set(NOON)
    clock.step(open_seconds)
    breaker, allowed = model.allow(breaker, clock.now)
    assert allow(sql, service) is allowed is True
    assert stored(sql, service) == breaker
    assert breaker.state is State.HALF_OPEN


@BOUNDED
@given(n=st.integers(1, 6), lost=st.integers(0, 6), reported=st.integers(0, 6), asks=st.integers(1, 10))
def test_half_open_hands_out_limited_permits_and_lost_ones_expire(
    sql: Session, clock: Clock, n: int, lost: int, reported: int, asks: int
) -> None:
    clock.set(NOON)
    breaker = Breaker(State.HALF_OPEN, 5, 0, NOON, success_threshold=n)
    service = new_breaker(sql, breaker)
    lost = min(lost, n)
    for _ in range(lost):
        assert allow(sql, service)
        breaker, _ = model.allow(breaker, clock.now)
    clock.step(60)
    reported = min(reported, n - lost, n - 1)
    for _ in range(reported):
        assert allow(sql, service)
        assert record(sql, service, True) == "half_open"
        breaker = model.record(model.allow(breaker, clock.now)[0], True, clock.now)
    for _ in range(asks):
        breaker, answer = model.allow(breaker, clock.now)
        assert allow(sql, service) is answer
        assert len(breaker.outstanding(clock.now)) + breaker.success_count <= n
    clock.step(61)
    # A report took the oldest permit; what is left of those from the beginning has lapsed by now.
    given_again = 0
    while allow(sql, service):
        breaker, answer = model.allow(breaker, clock.now)
        assert answer
        given_again += 1
    assert not model.allow(breaker, clock.now)[1]
    assert given_again >= max(0, lost - reported)
    assert stored(sql, service) == breaker


@BOUNDED
@given(n=st.integers(1, 6), successes=st.integers(0, 5), permits=st.integers(0, 6))
def test_one_failure_reopens_and_n_successes_close(
    sql: Session, clock: Clock, n: int, successes: int, permits: int
) -> None:
    clock.set(NOON)
    successes = min(successes, n - 1)
    permits = min(permits, n - successes)
    start = Breaker(State.HALF_OPEN, 5, successes, NOON, (NOON,) * permits, success_threshold=n)
    clock.step(7)

    fails = new_breaker(sql, start)
    assert record(sql, fails, False) == "open"
    assert stored(sql, fails) == model.record(start, False, clock.now)
    assert stored(sql, fails).opened_at == clock.now

    heals = new_breaker(sql, start)
    breaker = start
    for missing in range(n - successes, 0, -1):
        if not breaker.permits:
            breaker, _ = model.allow(breaker, clock.now)
            assert allow(sql, heals)
        breaker = model.record(breaker, True, clock.now)
        assert record(sql, heals, True) == ("closed" if missing == 1 else "half_open")
        assert stored(sql, heals) == breaker
    assert breaker == Breaker(success_threshold=n)


@BOUNDED
@given(service=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300))
def test_an_unknown_service_is_refused(sql: Session, service: str) -> None:
    if service == "anthropic":
        return
    before = sql.execute("select * from ops_circuit_breaker order by service").fetchall()
    for ask in (lambda: allow(sql, service), lambda: record(sql, service, False)):
        with pytest.raises(psycopg.Error) as refusal:
            ask()
        assert refusal.value.sqlstate == "OP003"
    assert sql.execute("select * from ops_circuit_breaker order by service").fetchall() == before


Outcome = tuple[Any, Any, Breaker]


class TwoSessions(RuleBasedStateMachine):
    """Two sessions call in turns and at once; the model says what may come of it."""

    dsn = ""
    seen: set[tuple[State, State]]

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.sessions = [
            self._stack.enter_context(psycopg.connect(self.dsn, autocommit=True)) for _ in range(2)
        ]
        self._pool = self._stack.enter_context(ThreadPoolExecutor(1))
        self.now = NOON
        self.breaker = Breaker()
        self.service = ""

    @initialize(start=starts)
    def begin(self, start: Breaker) -> None:
        self.set_clock(NOON)
        self.breaker = start
        self.service = new_breaker(self.sessions[0], start)

    def set_clock(self, moment: datetime) -> None:
        self.sessions[0].execute("update test_clock set at = %s", (moment,))
        self.now = moment

    @rule(session=st.integers(0, 1), call=calls)
    def call(self, session: int, call: Call) -> None:
        before = self.breaker
        self.breaker, answer = expected(self.breaker, call, self.now)
        assert asked(self.sessions[session], self.service, call) == answer
        assert before.state is self.breaker.state or (before.state, self.breaker.state) in LEGAL

    @rule(later_s=seconds)
    def step(self, later_s: int) -> None:
        self.set_clock(self.now + timedelta(seconds=later_s))

    @precondition(lambda self: self.breaker.state is State.OPEN)
    @rule()
    def wait_until_it_may_be_tried(self) -> None:
        assert self.breaker.open_until is not None
        self.set_clock(self.breaker.open_until)

    @rule(first=st.integers(0, 1))
    def reset(self, first: int) -> None:
        self.sessions[first].execute("select ops_breaker_reset(%s)", (self.service,))
        self.breaker = model.reset(self.breaker)

    @rule(
        first=st.integers(0, 1),
        pair=st.tuples(*[calls] * 2),
        keep=st.booleans(),
    )
    def call_at_once(self, first: int, pair: tuple[Call, Call], keep: bool) -> None:
        deeds: tuple[Callable[[Session], Any], Callable[[Session], Any]] = (
            lambda session: asked(session, self.service, pair[0]),
            lambda session: asked(session, self.service, pair[1]),
        )
        answers = overlapping(self.sessions[first], self.sessions[1 - first], deeds, self._pool, keep=keep)
        found = (*answers, stored(self.sessions[0], self.service))
        possible = self.possible(pair, keep)
        assert found in possible, f"{found} is what no order of the two calls gives: {possible}"
        self.breaker = found[2]

    def possible(self, pair: tuple[Call, Call], keep: bool) -> list[Outcome]:
        """What one call after the other gives, in either order; a call rolled back leaves nothing."""
        alone, first = expected(self.breaker, pair[0], self.now)
        both, second = expected(alone, pair[1], self.now)
        alone_second, second_before = expected(self.breaker, pair[1], self.now)
        if not keep:
            return [(first, second_before, alone_second)]
        both_reversed, first_after = expected(alone_second, pair[0], self.now)
        return [(first, second, both), (first_after, second_before, both_reversed)]

    @invariant()
    def the_row_is_the_model(self) -> None:
        if self.service:
            found = [stored(session, self.service) for session in self.sessions]
            assert found == [self.breaker, self.breaker]
            outstanding = len(self.breaker.outstanding(self.now))
            assert self.breaker.success_count + outstanding <= self.breaker.success_threshold

    def teardown(self) -> None:
        self._stack.close()


def test_two_sessions_reach_no_state_but_the_models(database: str, sql: Session) -> None:
    Clock(sql)
    TwoSessions.dsn = database
    run_state_machine_as_test(
        TwoSessions,
        settings=settings(
            BOUNDED, max_examples=60, stateful_step_count=40, phases=set(Phase) - {Phase.explain}
        ),
    )
    assert seen_transitions(sql) <= LEGAL


def test_every_turn_of_the_table_can_be_reached(sql: Session, clock: Clock) -> None:
    service = new_breaker(sql, replace(Breaker(), failure_threshold=1, success_threshold=1, open_seconds=0))
    for call in (
        ("record", False),
        ("allow", None),
        ("record", False),
        ("allow", None),
        ("record", True),
        ("record", False),
    ):
        asked(sql, service, call)
    sql.execute("select ops_breaker_reset(%s)", (service,))
    assert seen_transitions(sql) == LEGAL
