from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reactor.model.breaker import (
    TRANSITIONS,
    Breaker,
    IllegalTurn,
    State,
    Turn,
    after,
    allow,
    record,
    reset,
)

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def half_open(permits: int, *, success_count: int = 0) -> Breaker:
    return Breaker(State.HALF_OPEN, 5, success_count, NOON, (NOON,) * permits)


def test_every_state_is_in_the_table_and_every_turn_leads_somewhere_else() -> None:
    assert set(TRANSITIONS) == set(State)
    for state, turns in TRANSITIONS.items():
        assert state not in turns.values()
    assert {turn for turns in TRANSITIONS.values() for turn in turns} == set(Turn)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("turn", Turn)
def test_a_turn_the_table_does_not_have_raises(state: State, turn: Turn) -> None:
    if turn in TRANSITIONS[state]:
        assert after(state, turn) is TRANSITIONS[state][turn]
    else:
        with pytest.raises(IllegalTurn, match=f"{state} cannot {turn}"):
            after(state, turn)


def test_the_last_of_n_consecutive_failures_opens_it() -> None:
    breaker = Breaker()
    for count in range(1, 5):
        breaker = record(breaker, False, NOON)
        assert (breaker.state, breaker.failure_count) == (State.CLOSED, count)
    breaker = record(breaker, False, NOON)
    assert (breaker.state, breaker.opened_at, breaker.open_until) == (State.OPEN, NOON, later(900))


def test_a_success_between_failures_begins_the_count_again() -> None:
    breaker = replace(Breaker(), failure_count=4)
    assert record(breaker, True, NOON) == Breaker()
    assert record(record(breaker, True, NOON), False, NOON).failure_count == 1


def test_open_allows_nothing_until_its_time_and_then_one_call_makes_it_half_open() -> None:
    breaker = Breaker(State.OPEN, 5, opened_at=NOON)
    assert allow(breaker, later(-3600)) == (breaker, False)
    assert allow(breaker, later(899.999999)) == (breaker, False)
    tried, allowed = allow(breaker, later(900))
    assert allowed
    assert (tried.state, tried.permits, tried.open_until) == (State.HALF_OPEN, (later(900),), None)


def test_a_late_report_changes_nothing_while_open() -> None:
    breaker = Breaker(State.OPEN, 5, opened_at=NOON)
    assert record(breaker, True, later(5)) == breaker
    assert record(breaker, False, later(5000)) == breaker


def test_half_open_gives_no_more_permits_than_successes_are_missing() -> None:
    assert allow(half_open(2), NOON)[1]
    assert allow(half_open(3), NOON) == (half_open(3), False)
    assert allow(half_open(1, success_count=2), NOON) == (half_open(1, success_count=2), False)


def test_a_permit_nobody_reports_lapses() -> None:
    assert not allow(half_open(3), later(119))[1]
    again, allowed = allow(half_open(3), later(120))
    assert allowed
    assert again.permits == (later(120),)


def test_a_success_without_a_permit_does_not_count() -> None:
    assert record(half_open(0), True, NOON) == half_open(0)
    assert record(half_open(1), True, later(120)) == half_open(1)
    assert record(half_open(1), True, later(119)).success_count == 1


def test_enough_successes_close_it_and_one_failure_opens_it_again() -> None:
    assert record(half_open(1, success_count=2), True, NOON) == Breaker()
    reopened = record(half_open(1, success_count=2), False, later(7))
    assert (reopened.state, reopened.opened_at) == (State.OPEN, later(7))
    assert (reopened.success_count, reopened.permits) == (0, ())


@pytest.mark.parametrize(
    "breaker", [Breaker(failure_count=3), Breaker(State.OPEN, 5, opened_at=NOON), half_open(2)]
)
def test_a_person_closes_it_from_any_state(breaker: Breaker) -> None:
    assert reset(breaker) == Breaker()
