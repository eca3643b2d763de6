"""What an agent is told before its turn, and what is asked of a conversation that is over.

The system half is the agent's usual one, the same in all its work. Behind it comes what holds for this conversation
(format, company, side, voice, memories), then what was said, then what is wanted now.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from reactor.handlers.prompts import remembered
from reactor.llm.fences import cut, fence, plain_line
from reactor.model.formats import Format
from reactor.model.memory import Memory
from reactor.model.people import Agent
from reactor.store.conversations import Turn

HUMAN: Final = "human"
LOOKS_BACK: Final = 40  # turns a prompt shows
HUMAN_CHARS: Final = 600  # of a person's turn in a prompt

_TONES: Final[Mapping[str, str]] = {
    "challenge": "You are not convinced by {last}: challenge what was said, on the point and openly.",
    "critical": "You see it less rosily than {last}: say what is missing or wrong, and why.",
    "supportive": "You like where {last} is going: back it with something of your own.",
    "agreement": "You agree with {last}: say so briefly and take it a step further.",
    "neutral": "Answer {last} as you see it.",
}
_SIDES: Final[Mapping[str, str]] = {
    "for": "Your side: you argue FOR it; where it is a choice, for the first of the two.",
    "against": "Your side: you argue AGAINST it; where it is a choice, for the second of the two.",
    "neither": "Your side: NEITHER. Press both with questions, and say who is ahead and why.",
}
_LOOSE: Final = "Think freely; a surprise is worth more than being right."
_DRY: Final = "Stay dry and exact; no flourish."
_DISTIL: Final = (
    "The conversation is over. Say what it came to:\n"
    "- summary: two sentences at most.\n"
    "- memories: at most 6, each what one participant should still know in a month, as a sentence that stands alone, with"
    " how sure it is (0 to 1; nothing below 0.55). Quote where the words matter. None is better than an empty phrase.\n"
    "- drifts: pairs of participants who came closer (up to 0.03) or moved apart (down to -0.03), with the reason. Only"
    " where something happened between the two.\n"
)
_ITEMS: Final = (
    "- action_items: what was agreed to be done, if anything, each with the participant who does it and the kind of work. At"
    " most 3; nothing that was merely mentioned."
)
_NO_ITEMS: Final = "- action_items: none, this was no meeting for decisions."

NOTE_TAKER: Final = Agent(
    "team",
    "The note-taker",
    role="You keep the minutes for the team: exact, fair to everybody, brief.",
)


def turn_prompt(
    format: Format,
    agent: Agent,
    *,
    topic: str,
    others: Sequence[Agent],
    side: str | None,
    voice: Sequence[str],
    memories: Sequence[Memory],
    said: Sequence[Turn],
    tone: str,
    last_round: bool,
    turn_chars: int,
) -> str:
    """All that ``agent`` is told before its turn; ``last_round``: it is the last one it gets."""
    company = ", ".join(
        f"{plain_line(one.display_name)} ({plain_line(one.role).rstrip('.') or 'colleague'})"
        for one in others
    )
    parts = [
        f"You are in a {format.name.replace('_', ' ')}" + (f" with {company}." if company else "."),
        format.instruction,
        _LOOSE if format.temperature >= 0.8 else _DRY if format.temperature <= 0.5 else "",
        _SIDES.get(side or "", ""),
        *voice,
        *remembered(memories),
        fence("what this is about", topic),
    ]
    names = names_of((agent, *others))
    if said:
        parts.append(fence("what was said so far", transcript(said, names)))
    spoken = [turn for turn in said if turn.speaker != agent.id]
    if spoken:
        parts.append(_TONES[tone].format(last=called(spoken[-1].speaker, names)))
    else:
        parts.append("You begin.")
    if last_round:
        parts.append(format.ending)
    parts.append(
        f"Say your next line, nothing else: at most {turn_chars} characters, no name in front, no links, nothing that was"
        " said before. When you have nothing to add, answer with a single dash."
    )
    return "\n\n".join(part for part in parts if part)


def distil_prompt(format: Format, *, topic: str, participants: Sequence[Agent], said: Sequence[Turn]) -> str:
    """What is asked of the conversation as a whole."""
    names = names_of(participants)
    listed = ", ".join(f"{id} ({name})" for id, name in names.items())
    return "\n\n".join(
        (
            f"A {format.name.replace('_', ' ')} of {listed}.",
            fence("what it was about", topic),
            fence("what was said", transcript(said, names, most=len(said))),
            _DISTIL + (_ITEMS if format.formal else _NO_ITEMS),
        )
    )


def names_of(agents: Sequence[Agent]) -> Mapping[str, str]:
    """What each is called, by id, on one line and unable to open a fence."""
    return {one.id: plain_line(one.display_name) for one in agents}


def transcript(said: Sequence[Turn], names: Mapping[str, str], most: int = LOOKS_BACK) -> str:
    """The last ``most`` turns, a line each; silence is said to be one."""
    lines = [] if len(said) <= most else [f"[{len(said) - most} earlier turns left out]"]
    for turn in said[-most:] if most else ():
        words = " ".join(cut(turn.dialogue, HUMAN_CHARS).split()) or "(says nothing)"
        lines.append(f"{turn.turn}. {called(turn.speaker, names)}: {words}")
    return "\n".join(lines)


def called(speaker: str, names: Mapping[str, str]) -> str:
    """What a speaker is called in a prompt."""
    return "a person of the company" if speaker == HUMAN else names.get(speaker, speaker)
