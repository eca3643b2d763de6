"""What was said: made fit for the record, and whether it goes anywhere."""

import re
from collections.abc import Sequence

_URL = re.compile(r"(?:\b[a-z][a-z0-9+.-]*://|\bwww\.)\S+", re.IGNORECASE)
_MARKS = re.compile(r"[*_`#]+")
_SILENCE = re.compile(
    r"[\s.…–—\-()\[\]]*(?:(?:nothing|silence|silent|says nothing|no comment|pass)[\s.…–—\-()\[\]]*)?",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+")

ALIKE = 0.9  # share of words two lines have in common when they say the same
FEWEST_WORDS = 4  # shorter lines ("Yes, let's.") repeat only word for word
LOOKS_BACK = 3  # a conversation is stuck when most of its last lines were said before


def tidy(text: str, limit: int, names: Sequence[str] = ()) -> str:
    """``text`` as a line of the record: one line, no links, no speaker's name in front, at most ``limit`` characters.

    Cut at a word, the cut marked. Empty when it says nothing.
    """
    text = " ".join(_MARKS.sub("", _URL.sub("", text)).split())
    for name in names:
        if text.casefold().startswith(f"{name.casefold()}:"):
            text = text[len(name) + 1 :].strip()
    if len(text) > 1 and text[0] in '"“«„' and text[-1] in '"”»“':
        text = text[1:-1].strip()
    if _SILENCE.fullmatch(text):
        return ""
    return cut_at_word(text, limit)


def cut_at_word(text: str, limit: int) -> str:
    """``text`` of at most ``limit`` characters, ended after a word with an ellipsis where it was longer."""
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    if not text[limit - 1].isspace():
        head = head[: head.rfind(" ")] if " " in head else head
    return head.rstrip(" ,;:–—-") + "…"


def repeats(line: str, earlier: Sequence[str]) -> bool:
    """Whether ``line`` was said before, in the same words or nearly so."""
    words = set(_WORD.findall(line.casefold()))
    for other in earlier:
        others = set(_WORD.findall(other.casefold()))
        if words == others:
            return True
        if min(len(words), len(others)) < FEWEST_WORDS or _figures(words) != _figures(others):
            continue
        if len(words & others) >= ALIKE * len(words | others):
            return True
    return False


def _figures(words: set[str]) -> set[str]:
    return {word for word in words if word.isdigit()}


def is_spent(lines: Sequence[str], participants: int) -> bool:
    """Whether nothing new comes any more: two of the last three lines were said before, or everybody is silent.

    ``lines``: what was said, first to last; empty ones were silence.
    """
    if len(lines) >= max(participants, 2) and not any(lines[-max(participants, 2) :]):
        return True
    spoken = [line for line in lines if line]
    again = [repeats(line, spoken[:place]) for place, line in enumerate(spoken)]
    return sum(again[-LOOKS_BACK:]) >= LOOKS_BACK - 1
