"""What a handler returns: one of five outcomes; the engine writes it and its effects in one transaction.

A sixth is nobody's to return: what the handler was at broke under it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reactor.errors import ConnectionLost, DatabaseError, DatabaseUnavailable


@dataclass(frozen=True, slots=True)
class Done:
    """The work is finished; ``result`` is kept on the row. ``simulated`` when a stand-in answered."""

    result: Mapping[str, Any] = field(default_factory=dict)
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Snooze:
    """Not now: due again in ``delay_s`` seconds, the attempt not counted."""

    delay_s: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Fail:
    """The attempt failed for ``reason``; tried again with backoff while attempts are left, unless ``retry`` is false."""

    reason: str
    retry: bool = True


@dataclass(frozen=True, slots=True)
class Cancel:
    """The work is no longer wanted; the row ends ``cancelled`` with ``reason``."""

    reason: str


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Something outside is closed (breaker, budget, pause, stop): the row goes back as if never taken."""

    reason: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The line to the database broke under it: the row goes back, no attempt counted but a crash; three are too many."""

    reason: str


Outcome = Done | Snooze | Fail | Cancel | GiveBack | Interrupted


def of_outage(error: BaseException) -> Interrupted | GiveBack | None:
    """What ``error`` means for a row when an outage of the database is all that it tells of; else None.

    A statement that broke may have been what broke the line, so it is counted; where no line came about no row is to blame.
    """
    leaves = list(_leaves(error))
    broken = [leaf for leaf in leaves if isinstance(leaf, ConnectionLost)]
    away = [leaf for leaf in leaves if isinstance(leaf, DatabaseUnavailable)]
    if len(broken) + len(away) < len(leaves):
        return None
    return Interrupted(_reason(broken[0])) if broken else GiveBack(_reason(away[0]))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _reason(error: DatabaseError) -> str:
    return " ".join(str(error).split())
