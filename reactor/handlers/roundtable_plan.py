"""What is decided when a conversation begins, once: who takes part, about what, how long, on which side, in which voice."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

from reactor.errors import ConversationRefused
from reactor.handlers.context import Context
from reactor.llm.fences import fence
from reactor.model import casts
from reactor.model.formats import ASK, Format
from reactor.model.people import Company
from reactor.model.voice import about, modifiers
from reactor.pg import Connection
from reactor.store import agents as agent_store
from reactor.store import conversations as store
from reactor.store.claimed import ClaimedRoundtable
from reactor.store.conversations import Brief

TOPIC_CHARS = 2000
_NO_TOPIC = "What should we talk about?"


@dataclass(frozen=True, slots=True)
class Rules:
    """Policy ``roundtable_policy``, as far as a conversation itself goes by it."""

    turn_chars: int = 120
    topic_unused_days: float = 7.0
    coordinator: str = "minion"

    @classmethod
    def from_policy(cls, value: object) -> "Rules":
        """The rules of a policy value; what is missing keeps its default."""
        given = value if isinstance(value, Mapping) else {}
        usual = cls()
        return cls(
            int(given.get("turn_chars", usual.turn_chars)),
            float(given.get("topic_unused_days", usual.topic_unused_days)),
            str(given.get("coordinator", usual.coordinator)),
        )


async def rules(conn: Connection) -> Rules:
    """The rules in force now."""
    policies = await agent_store.policies(conn, ["roundtable_policy"])
    return Rules.from_policy(policies.get("roundtable_policy"))


@dataclass(frozen=True, slots=True)
class Plan:
    """The decisions of one conversation. ``turns``: of agents. ``seed``: of the dice its speakers and tones come from."""

    topic: str
    participants: tuple[str, ...]
    turns: int
    seed: int
    sides: Mapping[str, str] = field(default_factory=dict)
    voices: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def dice(self, label: object) -> Random:
        """Dice of their own for ``label``; the same after a crash."""
        return Random(f"{self.seed}:{label}")

    def stored(self) -> dict[str, Any]:
        """The plan as JSON."""
        stored: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return stored

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> "Plan":
        """The plan that `stored` wrote."""
        return cls(**{**value, "participants": tuple(value["participants"])})


async def format_of(conn: Connection, name: str) -> Format:
    """The format of that name. Raises ConversationRefused: there is none; the message names those there are."""
    known = {**await store.formats(conn), ASK.name: ASK}
    if name not in known:
        names = ", ".join(sorted(known))
        raise ConversationRefused(f"unknown format {name[:100]!r}; known are {names}")
    return known[name]


async def begin(
    conn: Connection, row: ClaimedRoundtable, brief: Brief, format: Format, context: Context
) -> Plan:
    """The plan of the row: as it was stored when it began, else made and stored now.

    Raises: ConversationRefused: these people cannot hold it; the message says who or how many.
    """
    if brief.plan is None:
        plan = await _made(conn, brief, format, context)
        await store.begin(
            conn, row.id, row.token, topic=plan.topic, participants=plan.participants, plan=plan.stored()
        )
        brief = await store.brief(conn, row.id) or brief
    if brief.plan is None:
        raise ConversationRefused(f"roundtable {row.id} is not ours any more")
    return Plan.read(brief.plan)


async def _made(conn: Connection, brief: Brief, format: Format, context: Context) -> Plan:
    seed = secrets.randbits(48)
    dice = Random(seed)
    participants = await _participants(conn, brief, format, context, dice)
    topic = brief.topic if brief.topic and brief.topic.strip() else None
    topic = topic or await choose_topic(conn, format, brief.topics, context.roster.company, dice)
    looking_back = await store.remembered(conn, participants)
    turns = dice.randint(format.least_turns, format.most_turns)
    return Plan(
        topic=topic[:TOPIC_CHARS],
        participants=participants,
        turns=len(participants) if format is ASK else turns,
        seed=seed,
        sides=casts.sides(format, participants),
        voices={one: modifiers(memories, _fenced) for one, memories in looking_back.items()},
    )


def _fenced(sentence: str, tag: str | None) -> str:
    """A rule's sentence for a prompt: the tag it is about in a fence behind it."""
    alone = about(sentence, None)
    return (
        f"{alone} Most of all when it comes to this:\n{fence('a tag of your memories', tag)}"
        if tag
        else alone
    )


async def _participants(
    conn: Connection, brief: Brief, format: Format, context: Context, dice: Random
) -> tuple[str, ...]:
    # Not from the roster's memory: who was let go a moment ago takes no part.
    everybody = await agent_store.roster(conn)
    active = {one.id for one in everybody if one.active}
    try:
        if brief.participants:
            casts.check(format, brief.participants, active, {one.id for one in everybody})
            return tuple(brief.participants)
        candidates = await store.candidates(conn, format.name)
        found = await store.affinities(conn, [one.agent_id for one in candidates])
        affinity = casts.affinity_of({pair: float(value) for pair, value in found.items()})
        return casts.cast(format, candidates, affinity, dice)
    except casts.CastRefused as refused:
        raise ConversationRefused(str(refused)) from None


async def choose_topic(
    conn: Connection, format: Format, topics: Sequence[str] | None, company: Company, dice: Random
) -> str:
    """What to talk about: what failed, what was understood, what the company wants, else one of ``topics`` (none: the
    format's own); nothing that was talked about in the last days (policy) while there is something else.
    """
    failures, insights = await store.fresh_matters(conn)
    used = await store.used_topics(conn, (await rules(conn)).topic_unused_days)
    sources = (
        [f"What went wrong with “{title}”, and what do we make of it?" for title in failures],
        [f"What follows from this: {insight}" for insight in insights],
        [f"How do we get closer to our goal: {goal}" for goal in company.goals],
        list(topics or format.topics),
    )
    return casts.choose_topic(sources, used, dice) or _NO_TOPIC
