"""How somebody answers somebody: from how much they like each other, and a die."""

from decimal import Decimal
from typing import Literal

Tone = Literal["challenge", "critical", "supportive", "agreement", "neutral"]
TONES: tuple[Tone, ...] = ("challenge", "critical", "supportive", "agreement", "neutral")

TENSE = Decimal("0.6")  # above it there is friction
EASY = Decimal("0.3")  # below it there is warmth
CHALLENGE = 0.2  # of tense answers
SUPPORT = 0.4  # of easy ones


def tone(affinity: Decimal, chance: float) -> Tone:
    """The tone of an answer to somebody liked so much; ``chance`` is the caller's die, in [0, 1)."""
    tension = 1 - affinity
    if tension > TENSE:
        return "challenge" if chance < CHALLENGE else "critical"
    if tension < EASY:
        return "supportive" if chance < SUPPORT else "agreement"
    return "neutral"
