"""Who takes part in a conversation, on which side, and what it is about."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from random import Random
from typing import NamedTuple

from reactor.model.formats import Format

Affinity = Callable[[str, str], float]

SIDES = ("for", "against", "neither")
"""What each of a debate's agents argues, in the order of the cast."""


class Candidate(NamedTuple):
    """Somebody who could join. ``weight``: how active at this hour, 0 to 1. ``memories``: active ones."""

    agent_id: str
    weight: float
    prefers: bool = False
    memories: int = 0


class CastRefused(ValueError):
    """These people cannot hold this conversation; the message says which of them, or how many are needed."""


def check(
    format: Format, participants: Sequence[object], active: Collection[str], known: Collection[str]
) -> None:
    """Return when these may hold a conversation of the format.

    Raises: CastRefused: somebody is unknown, inactive or named twice, or they are too few or too many.
    """
    named = [one if isinstance(one, str) else json.dumps(one) for one in participants]
    for problem, who in (
        ("unknown", [one for one in named if one not in known]),
        ("not active", [one for one in named if one in known and one not in active]),
        ("named twice", sorted({one for one in named if named.count(one) > 1})),
    ):
        if who:
            names = ", ".join(one[:100] for one in who)
            raise CastRefused(f"{problem}: {names}; active are {', '.join(sorted(active)) or 'none'}")
    if not format.least_agents <= len(participants) <= format.most_agents:
        raise CastRefused(f"{format.name} takes {_needed(format)}, not {len(participants)}")


def cast(
    format: Format, candidates: Sequence[Candidate], affinity: Affinity, dice: Random
) -> tuple[str, ...]:
    """Who takes part: as the hour has it, those who like the format first, as many as it takes.

    Debates and conflict resolutions favour two who do not get on, mentoring two who do with much between them.
    Raises: CastRefused: too few are active now.
    """
    awake = [one for one in candidates if one.weight > 0]
    if len(awake) < format.least_agents:
        raise CastRefused(
            f"{format.name} takes {_needed(format)}, and only {len(awake)} are active at this hour"
        )
    number = dice.randint(format.least_agents, min(format.most_agents, len(awake)))
    # Efraimidis and Spirakis 2006: the largest keys u^(1/w) are a weighted sample without replacement.
    keys = {one.agent_id: dice.random() ** (1 / one.weight) for one in awake}
    order = sorted(awake, key=lambda one: (not one.prefers, -keys[one.agent_id]))
    names = [one.agent_id for one in order]
    pair = _pair(format, awake, affinity, dice)
    return tuple([*pair, *(one for one in names if one not in pair)][:number])


def sides(format: Format, participants: Sequence[str]) -> dict[str, str]:
    """What each argues in a debate; empty for other formats."""
    return dict(zip(participants, SIDES, strict=False)) if format.name == "debate" else {}


def _pair(format: Format, awake: Sequence[Candidate], affinity: Affinity, dice: Random) -> tuple[str, ...]:
    pairs = [(one, other) for place, one in enumerate(awake) for other in awake[place + 1 :]]
    if not pairs or format.name not in ("debate", "conflict_resolution", "mentoring"):
        return ()
    if format.name == "debate":
        # The square makes a pair at .3 about four times as likely as one at .65.
        tensions = [
            (1 - affinity(one.agent_id, other.agent_id)) ** 2 * one.weight * other.weight
            for one, other in pairs
        ]
        one, other = dice.choices(pairs, tensions)[0]
        found = [one.agent_id, other.agent_id]
        dice.shuffle(found)
        return tuple(found)
    if format.name == "conflict_resolution":
        one, other = min(pairs, key=lambda pair: affinity(pair[0].agent_id, pair[1].agent_id))
        return one.agent_id, other.agent_id
    one, other = max(
        pairs,
        key=lambda pair: (
            affinity(pair[0].agent_id, pair[1].agent_id) >= 0.75,
            abs(pair[0].memories - pair[1].memories),
        ),
    )
    older, younger = (one, other) if one.memories >= other.memories else (other, one)
    return older.agent_id, younger.agent_id


def _needed(format: Format) -> str:
    if format.least_agents == format.most_agents:
        return f"{format.least_agents} agents"
    return f"{format.least_agents} to {format.most_agents} agents"


def choose_topic(sources: Sequence[Sequence[str]], used: Collection[str], dice: Random) -> str | None:
    """One topic from the first source that has one not used lately; when all were, any of the last source.

    ``sources``: the most pressing first; the last one is the list for quiet days. None when there is no topic at all.
    """
    stale = {_same(topic) for topic in used}
    for source in sources:
        fresh = [topic for topic in source if topic.strip() and _same(topic) not in stale]
        if fresh:
            return dice.choice(fresh)
    usual = [topic for topic in (sources[-1] if sources else ()) if topic.strip()]
    return dice.choice(usual) if usual else None


def _same(topic: str) -> str:
    return " ".join(topic.casefold().split()).rstrip(".?!")


def affinity_of(pairs: Mapping[tuple[str, str], float]) -> Affinity:
    """The affinity of two in either order; 0.5 for those who have not met, people among them."""

    def affinity(one: str, other: str) -> float:
        return pairs.get((min(one, other), max(one, other)), 0.5)

    return affinity
