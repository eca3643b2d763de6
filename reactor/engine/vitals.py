"""How soon rows are taken after they were due, as the process that serves the page has measured it."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from reactor.engine.supervisor import Reactor
from reactor.engine.tally import Histogram

HALF: Final = 0.5
ALMOST_ALL: Final = 0.99


class Wake(NamedTuple):
    """Of ``times`` wakes half were within ``half_s``, and 99 in 100 within ``almost_all_s``; None: over every bound."""

    times: int
    half_s: float | None
    almost_all_s: float | None


def wake_latency(reactor: Reactor | None) -> dict[str, Wake]:
    """By queue; a queue that has not been woken yet is left out."""
    if reactor is None:
        return {}
    found = {}
    for queue, line in reactor.lines.items():
        histograms = list(line.dispatcher.wake_tally.by_via.values())
        if wake := _of(histograms):
            found[queue.value] = wake
    return found


def _of(histograms: Sequence[Histogram]) -> Wake | None:
    if not histograms:
        return None
    whole = Histogram(histograms[0].bounds)
    for histogram in histograms:
        whole.add(histogram)
    times = sum(whole.counts)
    return Wake(times, _within(whole, times, HALF), _within(whole, times, ALMOST_ALL)) if times else None


def _within(histogram: Histogram, times: int, share: float) -> float | None:
    """The least bound below which that share of all lies."""
    for bound, below in zip(histogram.bounds, accumulate(histogram.counts), strict=False):
        if below >= share * times:
            return bound
    return None
