"""The step that tells people: all that is new of one topic, in one message, the way webhooks go."""

from typing import Any, Final

from reactor.handlers.door import Door, compact_json
from reactor.handlers.kinds import StepKind
from reactor.handlers.step import Step
from reactor.handlers.webhook import TIMEOUT_S, send
from reactor.model.addresses import target_of
from reactor.model.messages import message
from reactor.model.outcomes import Done, Outcome, Snooze
from reactor.store import outside

INPUT_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["topic"],
    "additionalProperties": False,
    "properties": {"topic": {"type": "string", "minLength": 1, "maxLength": 63}},
}


def notify_kind(door: Door | None = None) -> StepKind:
    """The kind ``notify``; without ``door`` one that knows the places of policy private_hosts."""

    async def notify(step: Step) -> Outcome:
        return await _notify(step, door)

    return StepKind(
        "notify",
        notify,
        "Tell people what policy notify says; takes along all that is new of a topic.",
        timeout_s=TIMEOUT_S,
        input_schema=INPUT_SCHEMA,
    )


async def _notify(step: Step, door: Door | None) -> Outcome:
    """The message was taken; or it is too early; or there was nothing to tell, or nothing that is real."""
    topic = str(step.payload["topic"])
    async with step.context.pool.connection() as conn:
        taken = await outside.take_notices(conn, topic, step.id)
    if "wait_s" in taken:
        return Snooze(float(taken["wait_s"]), "not yet: quiet hours, or told a moment ago")
    notices = taken.get("notices", [])
    if taken.get("off") or not notices:
        return Done({"told": 0})
    real = [notice for notice in notices if not notice["simulated"]]
    words = message(taken["format"], topic, real or notices)
    if not real:
        return Done({"told": 0, "would_have_sent": words}, simulated=True)
    outcome = await send(
        step.context, target_of(taken["url"]), compact_json(words), step.idempotency_key, door
    )
    if isinstance(outcome, Done):
        # The URL is a secret of its own with Slack and Discord.
        return Done({"told": len(real), "status": outcome.result["status"]})
    return outcome
