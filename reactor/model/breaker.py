"""The circuit breaker of a service as a value: what the ``ops_breaker_`` functions do, without rows.

The pattern is Nygard's ("Release It!", 2nd ed., chapter 5). Two things are stricter than usual. While half
open, a call needs a *permit*; permits outstanding plus successes never exceed the number of successes that close
the breaker, so a service that has just come back meets a handful of calls, not a herd. And a permit lapses when
nobody reports, so a caller that died does not keep the breaker half open for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class State(StrEnum):
    """Whether calls go ahead."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Turn(StrEnum):
    """What can turn a breaker from one state into another."""

    TRIP = "trip"  # the last of failure_threshold consecutive failures
    PROBE = "probe"  # the first call allowed after open_seconds
    RELAPSE = "relapse"  # a failure while half open
    RECOVER = "recover"  # the last of success_threshold successes
    RESET = "reset"  # a person


TRANSITIONS: Mapping[State, Mapping[Turn, State]] = {
    State.CLOSED: {
        Turn.TRIP: State.OPEN,
    },
    State.OPEN: {
        Turn.PROBE: State.HALF_OPEN,
        Turn.RESET: State.CLOSED,
    },
    State.HALF_OPEN: {
        Turn.RELAPSE: State.OPEN,
        Turn.RECOVER: State.CLOSED,
        Turn.RESET: State.CLOSED,
    },
}


class IllegalTurn(ValueError):
    """The breaker cannot turn like that from where it is; nothing changed."""


def after(state: State, turn: Turn) -> State:
    """The state that ``turn`` leads to. Raises IllegalTurn when the table has no such turn."""
    try:
        return TRANSITIONS[state][turn]
    except KeyError:
        raise IllegalTurn(f"a breaker that is {state} cannot {turn}") from None


@dataclass(frozen=True, slots=True)
class Breaker:
    """A row of ``ops_circuit_breaker``. ``permits``: when each one not yet reported was given."""

    state: State = State.CLOSED
    failure_count: int = 0
    success_count: int = 0
    opened_at: datetime | None = None
    permits: tuple[datetime, ...] = ()
    failure_threshold: int = 5
    success_threshold: int = 3
    open_seconds: float = 900
    permit_seconds: float = 120

    @property
    def open_until(self) -> datetime | None:
        """From when on an open breaker lets a call try; None unless it is open."""
        if self.state is not State.OPEN or self.opened_at is None:
            return None
        return self.opened_at + timedelta(seconds=self.open_seconds)

    def outstanding(self, now: datetime) -> tuple[datetime, ...]:
        """The permits that have not lapsed."""
        life = timedelta(seconds=self.permit_seconds)
        return tuple(given_at for given_at in sorted(self.permits) if given_at + life > now)


def allow(breaker: Breaker, now: datetime) -> tuple[Breaker, bool]:
    """The breaker after somebody asked to call, and whether the call may go ahead."""
    if breaker.state is State.CLOSED:
        return breaker, True
    if breaker.open_until is not None:
        if now < breaker.open_until:
            return breaker, False
        state = after(breaker.state, Turn.PROBE)
        return replace(breaker, state=state, success_count=0, permits=(now,)), True
    outstanding = breaker.outstanding(now)
    if breaker.success_count + len(outstanding) >= breaker.success_threshold:
        return breaker, False
    return replace(breaker, permits=(*outstanding, now)), True


def record(breaker: Breaker, success: bool, now: datetime) -> Breaker:
    """The breaker after a call was reported; while open nothing changes, such a report is late."""
    match breaker.state:
        case State.CLOSED:
            return _record_while_closed(breaker, success, now)
        case State.HALF_OPEN:
            return _record_while_half_open(breaker, success, now)
        case State.OPEN:
            return breaker


def _record_while_closed(breaker: Breaker, success: bool, now: datetime) -> Breaker:
    if success:
        return replace(breaker, failure_count=0)
    failures = breaker.failure_count + 1
    if failures < breaker.failure_threshold:
        return replace(breaker, failure_count=failures)
    return _opened(replace(breaker, failure_count=failures), Turn.TRIP, now)


def _record_while_half_open(breaker: Breaker, success: bool, now: datetime) -> Breaker:
    if not success:
        return _opened(breaker, Turn.RELAPSE, now)
    outstanding = breaker.outstanding(now)
    if not outstanding:
        return breaker
    if breaker.success_count + 1 < breaker.success_threshold:
        return replace(breaker, success_count=breaker.success_count + 1, permits=outstanding[1:])
    return _as_new(breaker, after(breaker.state, Turn.RECOVER))


def reset(breaker: Breaker) -> Breaker:
    """The breaker after a person closed it by hand."""
    if breaker.state is State.CLOSED:
        return _as_new(breaker, State.CLOSED)
    return _as_new(breaker, after(breaker.state, Turn.RESET))


def _opened(breaker: Breaker, turn: Turn, now: datetime) -> Breaker:
    return replace(breaker, state=after(breaker.state, turn), success_count=0, opened_at=now, permits=())


def _as_new(breaker: Breaker, state: State) -> Breaker:
    return replace(breaker, state=state, failure_count=0, success_count=0, opened_at=None, permits=())
