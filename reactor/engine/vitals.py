"""How this process does: what it says of itself at every heartbeat, for pages and people elsewhere.

Wake latency is from a row's due time to its claim, for the first row after each wake; a wake that only a sweep brought is
missed; a claim is slow when the database took long over it; a queue is refused while a trigger or constraint of somebody's
own forbids to claim some row of it.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

from reactor.engine.line import Line
from reactor.engine.listener import Listener
from reactor.engine.tally import Histogram
from reactor.model.queues import Queue

HALF: Final = 0.5
ALMOST_ALL: Final = 0.99
REASON_CHARS: Final = 500


def vitals(lines: Mapping[Queue, Line], listener: Listener) -> dict[str, Any]:
    """As ``ops_workers.vitals`` has it. A queue that was never woken has no wakes."""
    wakes = {
        queue.value: found
        for queue, line in lines.items()
        if (found := _wakes(list(line.dispatcher.wake_tally.by_via.values())))
    }
    slow = sorted((claim for line in lines.values() for claim in line.dispatcher.slow_claims), reverse=True)
    return {
        "listener": "up" if listener.up else "deaf" if listener.deaf else "down",
        "wakes": wakes,
        "missed_wakes": {queue.value: line.dispatcher.missed_wakes for queue, line in lines.items()},
        "slow_claims": [claim._asdict() for claim in slow],
        "refused": {
            queue.value: refusal[:REASON_CHARS]
            for queue, line in lines.items()
            if (refusal := line.dispatcher.refusal) is not None
        },
    }


def _wakes(histograms: Sequence[Histogram]) -> dict[str, Any] | None:
    """Of ``times`` wakes half were within ``half_s``, 99 in 100 within ``almost_all_s``; null: over every bound."""
    whole = Histogram(histograms[0].bounds)
    for histogram in histograms:
        whole.add(histogram)
    times = sum(whole.counts)
    if not times:
        return None
    return {
        "times": times,
        "half_s": _within(whole, times, HALF),
        "almost_all_s": _within(whole, times, ALMOST_ALL),
    }


def _within(histogram: Histogram, times: int, share: float) -> float | None:
    """The least bound below which that share of all lies."""
    for bound, below in zip(histogram.bounds, accumulate(histogram.counts), strict=False):
        if below >= share * times:
            return bound
    return None
