"""Who speaks next."""

from collections.abc import Callable, Sequence
from random import Random

LIKING = 0.6  # how much affinity to the last speaker draws
FAIRNESS = 0.4  # how much having spoken a lot holds back
WHIM = 0.2  # the die adds between minus and plus this
LEAST_WEIGHT = 0.01  # nobody is out of the question

Affinity = Callable[[str, str], float]


def weight(affinity: float | None, share: float, whim: float) -> float:
    """How likely somebody speaks next, above 0.

    ``affinity``: to the last speaker, None when there is none. ``share``: of all turns so far. ``whim``: the die, ±0.2.
    """
    return max(1 + LIKING * (affinity or 0.0) - FAIRNESS * share + whim, LEAST_WEIGHT)


def next_speaker(
    participants: Sequence[str],
    spoken: Sequence[str],
    affinity: Affinity,
    dice: Random,
    *,
    opener: str | None = None,
) -> str:
    """The next speaker, never the last one again.

    ``spoken``: who had each turn so far, first to last, people included. ``opener`` begins when it takes part.
    Raises ValueError: nobody is left who may speak.
    """
    if not spoken and opener in participants:
        assert opener is not None
        return opener
    last = spoken[-1] if spoken else None
    eligible = [one for one in participants if one != last]
    if not eligible:
        raise ValueError("a conversation needs somebody else to speak")
    weights = [
        weight(
            affinity(one, last) if last is not None else None,
            spoken.count(one) / len(spoken) if spoken else 0.0,
            dice.uniform(-WHIM, WHIM),
        )
        for one in eligible
    ]
    return dice.choices(eligible, weights)[0]
