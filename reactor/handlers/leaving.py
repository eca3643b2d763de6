"""What holds back a step that would leave the house, whoever wrote its kind.

With something simulated behind it, it ends with the request it would have sent; with a page of the open net before it, it
goes out only when a person said so. Besides, policy holds external kinds before they are claimed at all.
"""

from typing import Any

from reactor.handlers.kinds import StepKind
from reactor.handlers.step import Step
from reactor.model.outcomes import Done, Fail, Outcome
from reactor.store import outside
from reactor.store.steps_read import EarlierResult


async def held_back(step: Step, kind: StepKind) -> Outcome | None:
    """What becomes of a step of the external ``kind`` that must not go out; None: it may.

    Raises: AddressRefused, PayloadRefused: by what the kind says of its request.
    """
    earlier = await step.earlier()
    if step.simulated:
        request = kind.would_send(step) if kind.would_send else _plain(step)
        return Done({"would_have_sent": request}, simulated=True)
    if any(_is_untrusted(result) for result in earlier):
        async with step.context.pool.connection() as conn:
            released = await outside.released(conn, step.id)
        if not released:
            return Fail(
                f"{step.kind}: a page of the open net came before it, so it goes out only when a person released it",
                retry=False,
            )
    return None


def _plain(step: Step) -> dict[str, Any]:
    return {"kind": step.kind, "payload": step.payload, "idempotency_key": step.idempotency_key}


def _is_untrusted(earlier: EarlierResult) -> bool:
    return earlier.kind == "crawl" or (
        isinstance(earlier.result, dict) and bool(earlier.result.get("untrusted"))
    )
