"""What the mock says in conversation, and what it makes of one afterwards."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

from reactor.llm.fences import cut
from reactor.llm.mock_names import SMALL
from reactor.llm.mock_text import Dice, Pen, gist, short_topic, voice_of
from reactor.llm.request import LLMRequest, Material, Said

# A turn's length on the page; lines are made to fit, so that cutting them does not make two of them the same.
_TURN_CHARS: Final = 120
_TURN_TOPIC_CHARS: Final = 36
_BIT_CHARS: Final = 30

_KINDS: Final = ("insight", "pattern", "strategy", "preference", "lesson")
_MEMORIES: Final = (
    "On {topic}, {who} put it best: “{quote}”.",
    "What stays from {topic}: “{quote}” ({who}).",
    "{who} would not let go of “{quote}” when {topic} came up.",
    "When {company} meets {topic} again, remember {who}: “{quote}”.",
)
_CLOSER: Final = (
    "{b} took up what {a} had said: “{quote}”",
    "{a} and {b} found the same line on {topic}: “{quote}”",
)
_APART: Final = (
    "{b} did not buy what {a} had said: “{quote}”",
    "{a} and {b} talked past each other on {topic}: “{quote}”",
)
# Where nothing that one of them said shows it.
_CLOSER_ALL_THE_SAME: Final = (
    "{a} and {b} left {topic} closer than they came to it",
    "{a} and {b} found that they want the same of {topic}",
)
_APART_ALL_THE_SAME: Final = (
    "{a} and {b} left with different pictures of {topic}",
    "{a} and {b} were in a hurry for different things",
)
_FOR: Final = frozenset(
    [
        "yes",
        "agree",
        "agreed",
        "right",
        "good",
        "love",
        "fine",
        "with",
        "go",
        "thank",
        "holds",
        "works",
        "same",
        "settles",
    ]
)
_AGAINST: Final = frozenset(
    [
        "no",
        "not",
        "but",
        "hm",
        "slow",
        "careful",
        "safe",
        "nobody",
        "slogan",
        "too",
        "differently",
        "opposite",
        "leaves",
    ]
)
# Before an answer to a person: whether what was asked is a question.
_AS_TO: Final = {True: "{topic}", False: "On {topic}:"}
_ACTIONS: Final = (
    ("research", "find out what is behind “{quote}”"),
    ("analyze", "weigh “{quote}” against what {company} knows of {topic}"),
    ("plan", "turn “{quote}” into steps with owners"),
)


def compose_turn(request: LLMRequest, dice: Dice) -> str:
    """One line of at most 120 characters that nobody in this conversation has said."""
    said = {_same(turn.text) for turn in request.material.said}
    lines = list(_candidates(request.material, dice))
    for body, line in lines:
        if not any(text.startswith(_same(body)) for text in said):
            return line
    for _, line in lines:
        if _same(line) not in said:
            return line
    # More turns than lines: number them, so that even then none is said twice.
    number = len(said) + 1
    while _same(line := f"Point {number} on {short_topic(request.material, _TURN_TOPIC_CHARS)}.") in said:
        number += 1
    return line


def compose_distillate(request: LLMRequest, dice: Dice) -> dict[str, Any]:
    """Memories that quote, drifts of both signs between those who spoke, and something to do."""
    material, pen = request.material, Pen(request.material)
    spoken = [turn for turn in material.said if turn.text.strip()]
    return {
        "memories": [
            _memory(material, turn, place, pen, dice)
            for place, turn in enumerate(_most_telling(spoken, dice))
        ],
        "drifts": _drifts(material, spoken, pen, dice),
        "action_items": [
            {"title": pen.write(title, quote=gist(turn, 60)), "agent_id": turn.by, "kind": kind}
            for turn, (kind, title) in zip(spoken[-2:], dice.some("actions", _ACTIONS, 2), strict=False)
        ],
        "summary": pen.write("{topic}: {count} turns.", count=str(len(spoken))),
    }


def _candidates(material: Material, dice: Dice) -> Iterator[tuple[str, str]]:
    """What might be said, the likeliest first: the thought, and the whole line."""
    voice = voice_of(material)
    pen = Pen(material, _TURN_TOPIC_CHARS)
    last = next((turn for turn in reversed(material.said) if turn.by != material.agent.id), None)
    answers: tuple[str, ...] = ()
    stances = (
        [voice.opens] if last is None else [_stance(material.tone, voice.agrees, voice.objects, voice.moves)]
    )
    stances += [voice.moves, voice.agrees, voice.objects] if last else [voice.moves]
    if last is not None and last.by == "human":  # who asks wants to hear what one thinks
        stances.insert(0, voice.thinks)
        if _same(last.text) == _same(material.topic):
            answers = tuple(f"{_AS_TO[pen.topic.endswith('?”')]} {thought}" for thought in voice.thinks)
            stances.insert(0, answers)
    bit = _bit(last, material, pen.topic)
    facts = {"who": _called(last, material), "bit": bit}
    plain = (voice.opens, voice.thinks, answers)
    for place, bank in enumerate(stances):
        lines = [line for line in dice.some(("bodies", place), bank, len(bank)) if bit or "{bit}" not in line]
        bodies = [pen.write(line, **facts) for line in lines]
        for round_, tail in enumerate(("", *dice.some(("tails", place), voice.tails, len(voice.tails)))):
            for body in bodies:
                # The first round is plain for openings and answers; a reply sounds better with its tail.
                if (line := _joined(body, tail)) and (round_ or bank in plain or body[-1] in "?!"):
                    yield body, line


def _stance(
    tone: str, agrees: tuple[str, ...], objects: tuple[str, ...], moves: tuple[str, ...]
) -> tuple[str, ...]:
    if tone in ("supportive", "agreement"):
        return agrees
    return objects if tone in ("challenge", "critical") else moves


def _joined(body: str, tail: str) -> str | None:
    if not tail:
        return body if len(body) <= _TURN_CHARS else None
    line = f"{body} {tail}" if body[-1] in ".?!" else f"{body}. {tail}"
    return line if len(line) <= _TURN_CHARS else None


def _bit(turn: Said | None, material: Material, topic: str) -> str:
    """A few words of ``turn`` worth throwing back; empty when it only turned the topic over or spoke to somebody."""
    if turn is None:
        return ""
    bit = gist(turn, _BIT_CHARS)
    if topic.strip("“?”").casefold() in turn.text.casefold():
        return ""
    quoting = any(mark in bit for mark in "‘“”")
    return "" if quoting or any(agent.display_name in bit for agent in material.participants) else bit


def _called(turn: Said | None, material: Material) -> str:
    if turn is None:
        return "we"
    names = {agent.id: agent.display_name for agent in material.participants}
    return cut(names.get(turn.by, turn.by.capitalize()), 20)


def _same(text: str) -> str:
    return " ".join(text.casefold().split())


def _most_telling(spoken: list[Said], dice: Dice) -> list[Said]:
    """At most four turns, one a speaker first, in the order they were said."""
    first: dict[str, int] = {}
    for place in dice.some("telling", range(len(spoken)), len(spoken)):
        first.setdefault(spoken[place].by, place)
    return [spoken[place] for place in sorted(first.values())[:4]]


def _memory(material: Material, turn: Said, place: int, pen: Pen, dice: Dice) -> dict[str, Any]:
    words = [word.strip(".,:;!?“”\"'").lower() for word in pen.topic.split()]
    return {
        "agent_id": turn.by,
        "type": dice.pick(("type", place), _KINDS),
        "content": cut(
            pen.write(dice.pick(("memory", place), _MEMORIES), who=_called(turn, material), quote=gist(turn)),
            500,
        ),
        "confidence": (55 + dice.roll(("confidence", place), 36)) / 100,
        "tags": [word for word in words if len(word) > 3 and word not in SMALL][:3] or ["talk"],
    }


def _drifts(material: Material, spoken: list[Said], pen: Pen, dice: Dice) -> list[dict[str, Any]]:
    """One for each pair that answered each other, at most six; with two pairs or more, both signs occur."""
    replies: dict[tuple[str, str], list[tuple[Said, Said]]] = {}
    for before, after in pairwise(spoken):
        if before.by != after.by:
            replies.setdefault((min(before.by, after.by), max(before.by, after.by)), []).append(
                (before, after)
            )
    moods = {pair: sum(_mood(after.text) for _, after in said) for pair, said in replies.items()}
    # Best first; who is neither for nor against is for the dice to place.
    order = sorted(moods, key=lambda pair: (-moods[pair], dice.roll(("order", pair), 1 << 30)))[:6]
    drifts = []
    for place, pair in enumerate(order):
        up = moods[pair] > 0 or (moods[pair] == 0 and dice.roll(("sign", pair), 2) == 0)
        if len(order) > 1:
            up = place == 0 or (up and place < len(order) - 1)
        size = (5 + dice.roll(("size", pair), 26)) / 1000
        reason = _reason(material, replies[pair], up, pen, dice)
        drifts.append(
            {"agent_a": pair[0], "agent_b": pair[1], "drift": size if up else -size, "reason": reason}
        )
    return drifts


def _reason(material: Material, replies: list[tuple[Said, Said]], up: bool, pen: Pen, dice: Dice) -> str:
    """Why the two are closer or further apart, by what one of them said where that shows it."""
    before, after = replies[-1]
    shown = [reply for reply in replies if (_mood(reply[1].text) > 0) == up and _mood(reply[1].text) != 0]
    if shown:
        before, after = shown[-1]
        bank = _CLOSER if up else _APART
    else:
        bank = _CLOSER_ALL_THE_SAME if up else _APART_ALL_THE_SAME
    return pen.write(
        dice.pick(("reason", before.by, after.by), bank),
        a=_called(before, material),
        b=_called(after, material),
        quote=gist(after, 60),
    )


def _mood(text: str) -> int:
    words = set(text.casefold().replace(",", " ").replace(".", " ").replace("!", " ").split())
    return len(words & _FOR) - len(words & _AGAINST)
