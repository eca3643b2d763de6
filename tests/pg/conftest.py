"""What the tests of the driver seam share."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest

from reactor.pg import Connection, connect
from tests.support.server import PrivateServer


@pytest.fixture
async def connection(server: PrivateServer) -> AsyncIterator[Connection]:
    """An open connection of ours to the session's server."""
    async with await connect(server.dsn, name="test") as opened:
        yield opened


@pytest.fixture
def onlooker(server: PrivateServer) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A blocking connection in autocommit that looks on from outside."""
    with psycopg.connect(server.dsn, autocommit=True) as opened:
        yield opened
