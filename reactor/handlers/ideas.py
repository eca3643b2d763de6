"""What an agent is asked when it may propose something of its own, and what its answer must look like."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from reactor.handlers.prompts import fitted, remembered
from reactor.llm.fences import clean, cut, fence
from reactor.llm.metering import BYTES_PER_TOKEN
from reactor.model.memory import Memory
from reactor.store.ideas import KnownKind, PastProposal, RecentEvent

MOST_STEPS: Final = 5

_ASKED: Final = (
    "You may propose one piece of work of your own. Look at what happened of late, at what became of your last proposals,"
    " and at the goals of the company, and ask what would help most now and has not been done.\n"
    "- One small piece of work, one to three steps, each of a kind from the list. A step sees the results of those before"
    " it; its payload says what it is about.\n"
    "- Nothing that was proposed before, nothing that is under way, nothing that was turned down for a reason that still"
    " holds.\n"
    '- If nothing is worth doing now, say so: "nothing" true and why, and no steps. That is a good answer.'
)


def _line(limit: int) -> BeforeValidator:
    return BeforeValidator(
        lambda value: cut(" ".join(clean(value).split()), limit) if isinstance(value, str) else value
    )


class IdeaPayload(BaseModel):
    """What a step is about."""

    model_config = ConfigDict(extra="ignore")

    topic: Annotated[str, _line(500), Field(min_length=1)]
    url: Annotated[str | None, Field(max_length=2000, description="only for a step that fetches a page")] = (
        None
    )


class IdeaStep(BaseModel):
    """One thing to do."""

    model_config = ConfigDict(extra="ignore")

    kind: Annotated[str, _line(100), Field(min_length=1, description="one of the kinds in the list")]
    payload: IdeaPayload


class Idea(BaseModel):
    """A proposal, or the answer that nothing is worth doing."""

    model_config = ConfigDict(extra="ignore")

    nothing: bool = Field(description="true when nothing is worth doing now")
    reason: Annotated[str, _line(500), Field(min_length=1, description="why this, why now; or why nothing")]
    title: Annotated[str, _line(200)] = ""
    description: Annotated[str, _line(2000)] = ""
    steps: Annotated[
        list[IdeaStep],
        BeforeValidator(lambda value: value[:MOST_STEPS] if isinstance(value, list) else value),
    ] = []


def steps_of(idea: Idea) -> list[dict[str, Any]]:
    """The steps as the door takes them."""
    return [{"kind": step.kind, "payload": step.payload.model_dump(exclude_none=True)} for step in idea.steps]


def idea_prompt(
    why: str | None,
    *,
    memories: Sequence[Memory],
    events: Sequence[RecentEvent],
    proposals: Sequence[PastProposal],
    kinds: Sequence[KnownKind],
    room_tokens: int,
) -> str:
    """What the agent is asked, in about ``room_tokens`` at most; all that others wrote is fenced.

    ``events`` and ``proposals`` come the newest first; where there is no room the oldest give way.
    """
    ahead = [_ASKED, _kinds(kinds), *remembered(memories)]
    if why:
        ahead.append(fence("why you are asked now", cut(why, 500)))
    room_bytes = room_tokens * BYTES_PER_TOKEN - sum(len(part.encode()) + 5 for part in ahead)
    pieces = []
    if events:
        pieces.append(("what happened of late", "\n".join(_event(event) for event in reversed(events))))
    if proposals:
        pieces.append(("your last proposals", "\n".join(_proposal(one) for one in reversed(proposals))))
    return "\n\n".join((*ahead, *fitted(pieces, room_bytes)))


def _kinds(kinds: Sequence[KnownKind]) -> str:
    lines = [
        f"- {kind.kind}: {kind.description}{' (waits for a person)' if kind.external else ''}"
        for kind in kinds
    ]
    return "\n".join(("The kinds of steps:", *(cut(clean(line), 300) for line in lines)))


def _event(event: RecentEvent) -> str:
    by = f" ({event.agent_id})" if event.agent_id else ""
    why = f": {event.summary}" if event.summary else ""
    return cut(f"- {event.kind.replace('_', ' ')}{by}, {event.title}{why}".replace("\n", " "), 300)


def _proposal(one: PastProposal) -> str:
    fate = one.status if one.mission_status is None else f"{one.status}, its mission {one.mission_status}"
    why = f" because {one.rejection_reason}" if one.rejection_reason else ""
    line = f"- {one.created_at:%Y-%m-%d} {one.title} [{', '.join(one.kinds)}]: {fate}{why}"
    return cut(line.replace("\n", " "), 400)
