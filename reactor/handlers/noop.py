"""The step that does nothing: to try the machinery, and to measure it."""

import math
from typing import TYPE_CHECKING, Any

import trio

from reactor.errors import PayloadRefused
from reactor.handlers.kinds import StepKind
from reactor.model.outcomes import Done, Fail, Outcome

if TYPE_CHECKING:
    from reactor.handlers.step import Step

TIMEOUT_S = 300.0
_DONE = Done()


async def noop(step: "Step") -> Outcome:
    """Succeed with an empty result; after ``sleep_s`` seconds, or failing for the reason ``fail``, where payload says so.

    Raises: PayloadRefused: one of the two is not what it should be.
    """
    payload = step.payload
    if not payload:
        return _DONE
    if "sleep_s" in payload:
        await trio.sleep(_seconds(payload["sleep_s"]))
    if "fail" in payload:
        return Fail(str(payload["fail"]))
    return _DONE


def _seconds(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return float(value)
    raise PayloadRefused(f"noop: sleep_s must be a number of seconds, 0 or more, not {str(value)[:100]!r}")


NOOP = StepKind(
    "noop", noop, "Do nothing: payload may hold sleep_s, and fail, a reason.", timeout_s=TIMEOUT_S
)
