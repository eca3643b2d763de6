"""A kind of step that keeps the event loop to itself for a while."""

import time
from typing import Any

from reactor.handlers import Step, step_kind


@step_kind("stubborn")
async def stubborn(step: Step) -> dict[str, Any]:
    """Computes without ever giving way."""
    time.sleep(step.payload["s"])  # noqa: ASYNC251 - this is the mistake
    return {"text": "done"}
