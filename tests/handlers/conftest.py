"""Houses on a real database, closed after the test."""

from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from reactor.handlers.context import Context, Roster
from reactor.handlers.kinds import StepKind
from tests.handlers.house import house

OpenHouse = Callable[..., Context]


@pytest.fixture
async def open_house(database: str) -> AsyncIterator[OpenHouse]:
    """Makes contexts on ``database`` whose connections are closed afterwards."""
    opened: list[Context] = []

    def open_one(*, kinds: Sequence[StepKind] = (), roster: Roster | None = None) -> Context:
        opened.append(house(database, kinds=kinds, roster=roster))
        return opened[-1]

    yield open_one
    for context in opened:
        await context.pool.aclose()
