"""The formats a conversation can have."""

from dataclasses import dataclass

FORMATS = (
    "standup",
    "debate",
    "watercooler",
    "brainstorm",
    "retrospective",
    "planning",
    "checkin",
    "content_review",
    "triage",
    "deep_dive",
    "risk_review",
    "strategy",
    "shipping",
    "war_room",
    "conflict_resolution",
    "mentoring",
)


@dataclass(frozen=True, slots=True)
class Format:
    """What a conversation is: for how many agents and turns, how loose, what it is for, how it ends.

    ``formal``: the coordinator opens it, and what is agreed may become proposals.
    """

    name: str
    least_agents: int
    most_agents: int
    least_turns: int
    most_turns: int
    temperature: float
    formal: bool
    instruction: str
    ending: str
    topics: tuple[str, ...] = ()


ASK = Format(
    name="ask",
    least_agents=1,
    most_agents=4,
    least_turns=1,
    most_turns=4,
    temperature=0.6,
    formal=False,
    instruction=(
        "A person of the company has asked a question. Answer it: first the answer, then what it rests on, and say when you"
        " do not know. Whoever answers after somebody else adds what is missing or disagrees, and repeats nothing."
    ),
    ending="Answer now; there will be no second round.",
)
"""A person's question and its answers: no conversation of the agents' own, so not among the formats. Everybody asked
answers once."""
