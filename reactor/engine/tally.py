"""What is counted where it happens, in plain numbers: no lock, no label, no library on the way of a row.

Whoever wants to see them reads them; see `reactor.engine.metrics`. A row costs one lookup and one bisection.
"""

import time
from bisect import bisect_left
from collections.abc import Iterator

from reactor.engine.completer import Item
from reactor.engine.wake import Via
from reactor.store.claimed import ClaimedRow
from reactor.store.queues import Interruption, Success

# Upper bounds of the buckets in seconds: from a handler that does nothing to one at the end of its patience.
HANDLER_BOUNDS_S = (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)
WAKE_BOUNDS_S = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 1.0, 5.0, 30.0, 60.0)
MOST_KINDS = 200  # told apart by name; a conversation's format is free text, so something must end this
OTHER = "other"
ENDS = ("succeeded", "failed", "cancelled", "retried", "returned")


class Histogram:
    """How often a number fell between two bounds; ``counts`` has one more place than ``bounds``, for what is above."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def note(self, number: float) -> None:
        """One more; a number equal to a bound is below it."""
        self.counts[bisect_left(self.bounds, number)] += 1
        self.sum += number

    def add(self, other: "Histogram") -> None:
        """Everything ``other`` has noted is noted here too; their bounds are the same."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum


class KindTally:
    """What became of the rows of one kind: by end, and how long their handlers took."""

    __slots__ = ("ends", "seconds")

    def __init__(self) -> None:
        self.ends = dict.fromkeys(ENDS, 0)
        self.seconds = Histogram(HANDLER_BOUNDS_S)


class Tally:
    """The rows of one queue whose handlers ended here, by kind.

    Ends: ``succeeded``, ``failed``, ``cancelled``; ``retried``: it failed and has attempts left; ``returned``: it went
    back with its attempt not counted. A row that was cancelled or taken over under its handler is not counted.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, KindTally] = {}

    def note(self, kind: str, item: Item, seconds: float) -> None:
        """One row ended."""
        one = self._kinds.get(kind) or self._new(kind)
        if isinstance(item, Success):
            end = "succeeded"
        elif isinstance(item, Interruption):
            end = "returned"
        elif item.status != "queued":
            end = item.status
        else:
            end = "returned" if item.attempts else "retried"
        one.ends[end] += 1
        one.seconds.note(seconds)

    def kinds(self) -> Iterator[tuple[str, KindTally]]:
        """Every kind met so far."""
        return iter(list(self._kinds.items()))

    def ended(self) -> int:
        """How many rows so far, of any kind."""
        return sum(sum(one.ends.values()) for one in self._kinds.values())

    def _new(self, kind: str) -> KindTally:
        name = kind if len(self._kinds) < MOST_KINDS else OTHER
        return self._kinds.setdefault(name, KindTally())


class WakeTally:
    """From the moment a row was due to its claim, for the first row after each wake, by what woke us.

    The row's time is the database's, the claim's is ours: it is as good as the two clocks agree. A step that had to
    wait for the one before it became claimable at a time nobody wrote down, and is not counted.
    """

    def __init__(self) -> None:
        self.by_via = {via: Histogram(WAKE_BOUNDS_S) for via in (Via.BELL, Via.DUE, Via.SWEEP)}

    def note(self, via: Via | None, row: ClaimedRow) -> None:
        """``row`` is the first one claimed since ``via`` woke the dispatcher; None: it never slept."""
        histogram = None if via is None else self.by_via.get(via)
        if histogram is None or (row.mission_id is not None and row.seq > 1 and row.attempt == 1):
            return
        histogram.note(max(0.0, time.time() - row.run_at.timestamp()))
