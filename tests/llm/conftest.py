"""Fixtures of the gateway and its providers."""

from collections.abc import AsyncIterator

import pytest

from tests.llm.anthropic_house import House
from tests.support.messages_api import messages_api


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A gateway on the real SDK, before a server that says what the test tells it to."""
    async with messages_api() as api:
        made = House(api)
        yield made
        await made.provider.aclose()
