"""What the engine needs to know of the handlers of a queue, and nothing more."""

from collections.abc import Collection, Sequence
from typing import Protocol

from reactor.model.outcomes import Outcome
from reactor.store.claimed import ClaimedRow


class Work(Protocol):
    """The handlers of one queue."""

    def kinds(self, closed_services: Collection[str]) -> Sequence[str]:
        """The kinds that may be claimed now; empty: none at all."""
        ...

    def timeout_s(self, row: ClaimedRow) -> float:
        """How long the handler of the row may take."""
        ...

    async def perform(self, row: ClaimedRow) -> Outcome:
        """Do it. An exception is a failed attempt; cancelled, it leaves nothing half-done that matters."""
        ...


class Watcher(Protocol):
    """Whoever wants to see rows begin and end: the terminal, a log."""

    def began(self, row: ClaimedRow) -> None:
        """The row's handler starts now."""
        ...

    def ended(self, row: ClaimedRow, outcome: Outcome, seconds: float) -> None:
        """The row's handler is done; the outcome is about to be written."""
        ...
