"""What must come back when a conversation is distilled.

Too much, too long or too unsure is left out here, and so is what names nobody who took part; of the wrong type is
refused, and the gateway asks once more. Who took part is checked again where it lands.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from reactor.llm.fences import clean, cut
from reactor.model.people import Agent

MOST_MEMORIES: Final = 6
LEAST_CONFIDENCE: Final = 0.55
MOST_ITEMS: Final = 6

ActionKind = Literal[
    "research", "analyze", "write_content", "draft_tweet", "review", "diagnose", "summarize", "plan"
]


def _within(limit: int) -> BeforeValidator:
    return BeforeValidator(
        lambda value: cut(" ".join(clean(value).split()), limit) if isinstance(value, str) else value
    )


def _at_most(count: int) -> BeforeValidator:
    return BeforeValidator(lambda value: value[:count] if isinstance(value, list) else value)


AgentId = Annotated[str, _within(63), Field(min_length=1, description="the id of one who took part")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


class Learnt(_Part):
    """What one agent takes away."""

    agent_id: AgentId
    type: Literal["insight", "pattern", "strategy", "preference", "lesson"]
    content: Annotated[str, _within(500), Field(min_length=1, description="one sentence that stands alone")]
    confidence: float = Field(ge=0, le=1, allow_inf_nan=False)
    tags: Annotated[list[Annotated[str, _within(50)]], _at_most(5)] = Field(default_factory=list)


class Moved(_Part):
    """How two who took part came closer (above 0) or further apart (below 0)."""

    agent_a: AgentId
    agent_b: AgentId
    drift: float = Field(ge=-1, le=1, allow_inf_nan=False, description="-0.03 to 0.03")
    reason: Annotated[str, _within(300), Field(min_length=1)]


class Agreed(_Part):
    """Something to do."""

    title: Annotated[str, _within(200), Field(min_length=1, description="what is to be done, in one line")]
    agent_id: AgentId
    kind: ActionKind


class Distillate(_Part):
    """What a conversation came to."""

    summary: Annotated[str, _within(600), Field(min_length=1)]
    memories: Annotated[list[Learnt], _at_most(30)]
    drifts: Annotated[list[Moved], _at_most(66)]
    action_items: Annotated[list[Agreed], _at_most(MOST_ITEMS)] = Field(default_factory=list)

    def landing(self, people: Sequence[Agent], *, formal: bool) -> dict[str, Any]:
        """What may land: the surest memories of ``people``, drifts between them, items of formal formats.

        ``left_out``: how many memories and drifts name somebody else; absent when none does.
        """
        ids = _ids(people)
        memories = [
            one.model_copy(update={"agent_id": ids[_bare(one.agent_id)]})
            for one in self.memories
            if _bare(one.agent_id) in ids
        ]
        drifts = [
            one.model_copy(update={"agent_a": ids[_bare(one.agent_a)], "agent_b": ids[_bare(one.agent_b)]})
            for one in self.drifts
            if {_bare(one.agent_a), _bare(one.agent_b)} <= ids.keys()
        ]
        items = [
            one.model_copy(update={"agent_id": ids.get(_bare(one.agent_id), one.agent_id)})
            for one in self.action_items
        ]
        kept = sorted(
            (one for one in memories if one.confidence >= LEAST_CONFIDENCE), key=lambda one: -one.confidence
        )[:MOST_MEMORIES]
        left_out = len(self.memories) - len(memories) + len(self.drifts) - len(drifts)
        return {
            "summary": self.summary,
            "memories": [one.model_dump() for one in kept],
            "drifts": [one.model_dump() for one in drifts if one.agent_a != one.agent_b],
            "action_items": [one.model_dump() for one in items] if formal else [],
            **({"left_out": left_out} if left_out else {}),
        }


def _ids(people: Sequence[Agent]) -> dict[str, str]:
    """Whom a name means: an id, else what only one of them is called. Models mix the two up."""
    called = Counter(_bare(one.display_name) for one in people)
    names = {_bare(one.display_name): one.id for one in people if called[_bare(one.display_name)] == 1}
    return {**names, **{_bare(one.id): one.id for one in people}}


def _bare(name: str) -> str:
    return " ".join(name.split()).casefold()
