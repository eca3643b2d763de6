"""Two kinds of step of your own. Start the reactor beside this file with ``VOXYZ_KINDS=own_kind``, then:

insert into ops_mission_steps (kind, payload) values ('count_words', '{"text": "to be or not to be"}');
insert into ops_mission_steps (kind, payload) values ('greet', '{"name": "Ada"}');
"""

from collections import Counter
from typing import Any

import trio

from reactor.handlers import Fail, Outcome, Step, step_kind


@step_kind(
    "count_words",
    input_schema={"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
)
def count_words(step: Step) -> dict[str, Any]:
    """Count the words of a text."""
    # A plain function has a worker thread to itself: it may compute, block, or call any library.
    words = step.payload["text"].lower().split()
    return {"text": f"{len(words)} words", "words": len(words), "most_common": Counter(words).most_common(3)}


@step_kind("greet", timeout_s=10)
async def greet(step: Step) -> Outcome | dict[str, Any]:
    """Greet somebody, in the light of what the mission has found out."""
    name = step.payload.get("name")
    if not name:
        return Fail("the payload names nobody to greet", retry=False)
    await trio.sleep(0.1)  # an async function shares the event loop: await whatever takes time
    earlier = await step.earlier()
    step.log.info("greeting", earlier=len(earlier))
    return {"text": f"Good morning, {name}, from all at {step.company.called}.", "after_steps": len(earlier)}
