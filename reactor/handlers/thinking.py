"""The kinds of steps that ask a language model."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from reactor.handlers.crawl import crawl_kind
from reactor.handlers.kinds import StepKind
from reactor.handlers.noop import NOOP
from reactor.handlers.notify import notify_kind
from reactor.handlers.prompts import (
    DESCRIPTIONS,
    SUITS,
    author,
    result_text,
    system_prompt,
    task_prompt,
    topic_of,
)
from reactor.handlers.shapes import SHAPES, result_of
from reactor.handlers.step import Step
from reactor.handlers.webhook import webhook_kind
from reactor.llm.metering import estimate_tokens
from reactor.llm.request import LLMRequest, Material, Message, Said
from reactor.model.outcomes import Done

TIMEOUT_S: Final = 120.0
SERVICE: Final = "anthropic"

INPUT_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "topic": {
            "type": "string",
            "maxLength": 2000,
            "description": "what it is about, else the mission's title",
        },
        "text": {"type": "string", "description": "what to work on, where that is a text"},
    },
}


async def think(step: Step) -> Done:
    """Ask the model what the step's kind asks, and make its answer the result.

    Raises: NotNow, LLMUnavailable, LLMRequestRefused, LLMReplyRefused: see `reactor.llm.gateway.Gateway.complete`.
    """
    request = await request_for(step)
    answer, reply = await step.gateway.structured(request, SHAPES[step.kind])
    result = result_of(answer, await step.earlier())
    return Done({**result, "agent": request.material.agent.id}, simulated=reply.simulated)


async def request_for(step: Step) -> LLMRequest:
    """The call that does ``step``: the kind's prompt in the agent's voice, over the earlier results."""
    limits = step.context.roster.limits
    mission, earlier, memories = await step.mission(), await step.earlier(), await step.memories()
    agent, company = step.agent, step.company
    topic = topic_of(step.payload, mission, company)
    system = system_prompt(company, agent)
    prompt = task_prompt(
        step.kind,
        step.payload,
        topic,
        mission=mission,
        earlier=earlier,
        memories=memories,
        team=[one for one in step.context.roster.agents.values() if one.active],
        room_tokens=limits.input_tokens - estimate_tokens(system),
    )
    purpose = f"step:{step.kind}"
    return LLMRequest(
        purpose=purpose,
        system=system,
        messages=(Message("user", prompt),),
        material=Material(
            company=company,
            agent=agent,
            topic=topic,
            earlier=(
                *(Said(agent.id, memory.content) for memory in memories),
                *(
                    Said(author(result) or result.kind, result_text(result.result), result.seq)
                    for result in earlier
                ),
            ),
        ),
        max_tokens=limits.answer_tokens(purpose),
        timeout_s=limits.timeout_s,
        model=agent.model,
        agent_id=agent.id,
        mission_id=step.mission_id,
        step_id=step.id,
        idempotency_key=step.idempotency_key,
    )


def _for(kind: str) -> Callable[[Step], Awaitable[Done]]:
    async def run(step: Step) -> Done:
        step.preferred_agents = (SUITS[kind],)
        return await think(step)

    run.__qualname__ = f"think[{kind}]"
    return run


def house_kinds() -> list[StepKind]:
    """The kinds every reactor has."""
    return [
        NOOP,
        crawl_kind(),
        webhook_kind(),
        notify_kind(),
        *(
            StepKind(
                kind=kind,
                run=_for(kind),
                description=DESCRIPTIONS[kind],
                timeout_s=TIMEOUT_S,
                services=(SERVICE,),
                input_schema=INPUT_SCHEMA,
            )
            for kind in SHAPES
        ),
    ]
