"""What a handler returns: one of five outcomes; the engine writes it and its effects in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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


Outcome = Done | Snooze | Fail | Cancel | GiveBack
