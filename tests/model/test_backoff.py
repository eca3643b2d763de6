"""Waiting before another try."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.model.backoff import delay


@given(
    attempt=st.integers(0, 10**9),
    base_s=st.floats(0.001, 100),
    cap_s=st.floats(0.001, 10_000),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_the_wait_is_never_negative_and_never_above_the_cap(
    attempt: int, base_s: float, cap_s: float, chance: float
) -> None:
    assert 0 <= delay(attempt, base_s=base_s, cap_s=cap_s, chance=chance) <= cap_s


def test_the_longest_wait_doubles_until_the_cap() -> None:
    longest = [delay(n, base_s=1, cap_s=10, chance=1) for n in range(6)]
    assert longest == [1, 2, 4, 8, 10, 10]


def test_the_die_spreads_the_wait_over_all_of_it() -> None:
    assert delay(3, base_s=1, cap_s=100, chance=0) == 0
    assert delay(3, base_s=1, cap_s=100, chance=0.5) == 4


def test_attempts_count_from_nought() -> None:
    with pytest.raises(ValueError, match="counted from 0"):
        delay(-1, base_s=1, cap_s=1, chance=0)
