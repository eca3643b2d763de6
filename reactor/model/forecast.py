"""What days to come will ask of the model, as far as it can be told beforehand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple
from zoneinfo import ZoneInfo

from reactor.model.schedule import Due


class Tokens(NamedTuple):
    """Tokens of a typical call."""

    input: int
    output: int


# Counted on the mock's prompts and answers with the seeded team, rounded up to the next hundred.
TURN = Tokens(1000, 100)
DISTIL = Tokens(1700, 700)
STEP = Tokens(1200, 700)
IDEA = Tokens(1800, 500)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected: conversations with the calls they take, other calls by who makes them, and USD for all."""

    conversations: float
    conversation_calls: float
    rule_calls: float
    idea_calls: float
    usd: float

    @property
    def calls(self) -> float:
        """All of them."""
        return self.conversation_calls + self.rule_calls + self.idea_calls


def expected(
    due: Sequence[Due],
    turns: Mapping[str, float],
    *,
    days: float,
    most_a_day: int,
    rule_calls_a_day: float,
    ideas_a_day: float,
    awake: float,
    usd: tuple[float, float],
) -> Forecast:
    """What the occurrences ``due`` in so many ``days`` come to, with what rules and ideas add.

    ``turns``: of a conversation by format. ``most_a_day``: conversations beyond it do not take place. ``awake``: the share
    of the day in which rules may begin anything. ``usd``: for a million tokens in, and out.
    """
    by_day: dict[date, float] = {}
    for one in due:
        day = one.at.astimezone(ZoneInfo(one.slot.zone)).date()
        by_day[day] = by_day.get(day, 0.0) + one.slot.probability
    shares = {day: min(1.0, most_a_day / wanted) if wanted else 1.0 for day, wanted in by_day.items()}
    conversations = turn_calls = 0.0
    for one in due:
        chance = one.slot.probability * shares[one.at.astimezone(ZoneInfo(one.slot.zone)).date()]
        conversations += chance
        turn_calls += chance * turns.get(one.slot.format, 8.0)
    rules = rule_calls_a_day * days * awake
    ideas = ideas_a_day * days
    tokens = ((turn_calls, TURN), (conversations, DISTIL), (rules, STEP), (ideas, IDEA))
    spent = sum(calls * (each.input * usd[0] + each.output * usd[1]) for calls, each in tokens) / 1_000_000
    return Forecast(conversations, turn_calls + conversations, rules, ideas, spent)


def month_end(spent_usd: float, recent_usd: float, *, days_seen: float, days_left: float) -> float:
    """USD a month comes to when it goes on as in the last ``days_seen`` days, which cost ``recent_usd``."""
    return spent_usd + recent_usd / max(days_seen, 1.0) * max(days_left, 0.0)
