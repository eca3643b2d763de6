"""The mission queue's handlers, as the engine sees them."""

from collections.abc import Collection, Coroutine, Sequence
from typing import Any

from reactor.handlers.kinds import KindRegistry
from reactor.handlers.runner import StepRunner
from reactor.model.outcomes import Outcome
from reactor.store.claimed import ClaimedRow, ClaimedStep

UNKNOWN_KIND_TIMEOUT_S = 300.0


class MissionWork:
    """Steps of the registered kinds."""

    def __init__(self, registry: KindRegistry, runner: StepRunner) -> None:
        self._registry = registry
        self._runner = runner
        self._available: dict[frozenset[str], Sequence[str]] = {}

    def kinds(self, closed_services: Collection[str]) -> Sequence[str]:
        """The kinds that need none of ``closed_services``."""
        closed = frozenset(closed_services)
        if closed not in self._available:
            self._available = {closed: self._registry.available(closed)}
        return self._available[closed]

    def timeout_s(self, row: ClaimedRow) -> float:
        """The kind's own timeout."""
        kind = self._registry.get(row.kind)
        return UNKNOWN_KIND_TIMEOUT_S if kind is None else kind.timeout_s

    def perform(self, row: ClaimedRow) -> Coroutine[Any, Any, Outcome]:
        """Do the step."""
        assert isinstance(row, ClaimedStep)
        return self._runner.perform(row)
