"""Memories: what counts as the same, what a memory is worth, when one is promoted, what a figure teaches.

The database decides all of this where the rows are (``sql/functions``: ``memory.sql``, ``learning.sql``, ``outcomes.sql``);
here the same rules stand as functions of values, for those who look without a database and for tests that hold the two
against each other.
"""

import re
from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from statistics import median
from typing import Final, Literal, NamedTuple, get_args

MemoryType = Literal["insight", "pattern", "strategy", "preference", "lesson"]
Trust = Literal["human", "agent", "untrusted"]

TYPES: Final[tuple[str, ...]] = get_args(MemoryType)
MOST_ACTIVE: Final = 200  # of one agent, pinned ones aside
MOST_CHARACTERS: Final = 500
_NEGATIONS: Final = frozenset(
    {"not", "no", "t", "never", "without", "cannot", "none", "nothing", "nobody", "hardly"}
)
_APART: Final = re.compile(r"[\s!-/:-@\[-`{-~]+")  # white space and ASCII punctuation


class Memory(NamedTuple):
    """Something an agent has learnt; ``confidence`` from 0 to 1, active while ``superseded_by`` is None."""

    id: int
    agent_id: str
    type: str
    content: str
    confidence: Decimal
    tags: Sequence[str]
    source_trace_id: str | None
    superseded_by: int | None
    pinned: bool
    trust: str
    used_count: int
    simulated: bool
    created_at: datetime


def words_of(content: str) -> frozenset[str]:
    """The different words of a text, without case and punctuation."""
    return frozenset(word for word in _APART.split(content.lower()) if word)


def alike(words: Collection[str], others: Collection[str]) -> bool:
    """Whether two texts, given by their words, say the same.

    Four fifths of all words are in both; and so is every figure and every negation, however long the texts are.
    """
    one, other = frozenset(words), frozenset(others)
    if len(one & other) * 5 < len(one | other) * 4:
        return False
    return not any(word in _NEGATIONS or re.search(r"[0-9]", word) for word in one ^ other)


def promoted_type(witness_type: str) -> MemoryType:
    """What an insight becomes when a memory of ``witness_type`` confirms it."""
    return "lesson" if witness_type == "lesson" else "strategy"


def promoted_confidence(confidence: Decimal) -> Decimal:
    """.05 surer than before, at most .95."""
    return min(Decimal("0.95"), confidence + Decimal("0.05"))


def lesson_of_figure(value: float, known: Sequence[float]) -> float | None:
    """The confidence of the lesson that ``value`` among the ``known`` ones of its metric teaches, or None.

    ``known`` includes it. Fewer than three say nothing, nor does a median that is not positive.
    """
    if len(known) < 3 or (usual := median(known)) <= 0:
        return None
    if value > 2 * usual:
        return 0.7
    return 0.6 if value < 0.3 * usual else None
