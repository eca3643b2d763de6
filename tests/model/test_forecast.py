from datetime import UTC, datetime

import pytest

from reactor.model.forecast import DISTIL, TURN, expected
from reactor.model.schedule import Due, Slot


def due(probability: float, day: int = 1, zone: str = "UTC", hour: int = 12) -> Due:
    slot = Slot(1, "x", "0 12 * * *", zone, "standup", probability, True, datetime(2020, 1, 1, tzinfo=UTC))
    return Due(slot, datetime(2026, 1, day, hour, tzinfo=UTC), missed=False)


def test_a_conversation_costs_its_turns_and_one_call_that_distils_it() -> None:
    found = expected(
        [due(0.5)],
        {"standup": 8},
        days=1,
        most_a_day=10,
        rule_calls_a_day=0,
        ideas_a_day=0,
        awake=1,
        usd=(1, 2),
    )
    assert found.conversations == 0.5
    assert found.calls == 0.5 * 8 + 0.5
    tokens_in = 4 * TURN.input + 0.5 * DISTIL.input
    tokens_out = 4 * TURN.output + 0.5 * DISTIL.output
    assert found.usd == pytest.approx((tokens_in + 2 * tokens_out) / 1e6)


def test_a_day_has_no_more_conversations_than_it_may_have() -> None:
    crowd = [due(1.0) for _ in range(30)] + [due(1.0, day=2)]
    found = expected(crowd, {}, days=2, most_a_day=10, rule_calls_a_day=0, ideas_a_day=0, awake=1, usd=(1, 1))
    assert found.conversations == pytest.approx(11)


def test_rules_rest_in_the_quiet_hours() -> None:
    found = expected([], {}, days=2, most_a_day=10, rule_calls_a_day=12, ideas_a_day=6, awake=0.5, usd=(1, 1))
    assert (found.rule_calls, found.idea_calls, found.conversations) == (12, 12, 0)
