"""How a drift moves the affinity of a pair: what ``ops_apply_drift`` does, without rows.

A drift is clamped, then rounded, then added, and the sum is clamped. Everything is decimal: affinities have
three decimals, and a log of exact differences adds up to the affinity, which floats would not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

FLOOR = Decimal("0.100")
CEILING = Decimal("0.950")
START = Decimal("0.500")
MOST_DRIFT = Decimal("0.030")
LOG_LENGTH = 20
_STEP = Decimal("0.001")

Label = Literal["strong", "friendly", "neutral", "tense"]


class RefusedDrift(ValueError):
    """The drift is no finite number, or lacks a reason or two different agents; nothing changed."""


@dataclass(frozen=True, slots=True)
class Drift:
    """A line of the log: what was asked, what came of it, and why."""

    asked: Decimal
    applied: Decimal
    before: Decimal
    after: Decimal
    reason: str
    source: str | None = None
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Relationship:
    """A pair: its affinity, counts, last drifts (oldest first), and every source that has moved it."""

    affinity: Decimal = START
    total: int = 0
    positive: int = 0
    negative: int = 0
    log: Sequence[Drift] = ()
    sources: frozenset[str] = field(default_factory=frozenset)


def pair(one: str, other: str) -> tuple[str, str]:
    """The two agents in the order their pair is stored in: by code point. Raises RefusedDrift if equal."""
    if one == other:
        raise RefusedDrift(f"a drift needs two different agents, both are {one!r}")
    return (one, other) if one < other else (other, one)


def step(drift: Decimal) -> Decimal:
    """The drift as far as it counts: clamped to ±0.030, then rounded to 3 decimals, halves away from zero."""
    if not drift.is_finite():
        raise RefusedDrift(f"the drift is {drift}: give a finite number")
    return max(-MOST_DRIFT, min(MOST_DRIFT, drift)).quantize(_STEP, ROUND_HALF_UP)


def apply(affinity: Decimal, drift: Decimal) -> tuple[Decimal, Decimal]:
    """What ``drift`` really moves (after minus before), and where the affinity is then, in [0.100, 0.950].

    Raises: RefusedDrift: NaN or infinite.
    """
    moved = max(FLOOR, min(CEILING, affinity + step(drift)))
    return moved - affinity, moved


def drifted(
    relationship: Relationship,
    drift: Decimal,
    reason: str,
    source: str | None = None,
    *,
    simulated: bool = False,
) -> Relationship:
    """The pair after one interaction; unchanged when ``source`` has moved it before.

    Raises: RefusedDrift: NaN, infinite, or without a reason.
    """
    if not reason.strip():
        raise RefusedDrift("a drift needs a reason")
    applied, moved = apply(relationship.affinity, drift)
    if source is not None and source in relationship.sources:
        return relationship
    line = Drift(drift, applied, relationship.affinity, moved, reason, source, simulated)
    return replace(
        relationship,
        affinity=moved,
        total=relationship.total + 1,
        positive=relationship.positive + (drift > 0),
        negative=relationship.negative + (drift < 0),
        log=(*relationship.log, line)[-LOG_LENGTH:],
        sources=relationship.sources | ({source} if source is not None else set()),
    )


def label(affinity: Decimal) -> Label:
    """The word for an affinity."""
    if affinity >= Decimal("0.8"):
        return "strong"
    if affinity >= Decimal("0.6"):
        return "friendly"
    if affinity >= Decimal("0.4"):
        return "neutral"
    return "tense"
