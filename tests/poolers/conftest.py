"""Poolers in both modes, and reactors behind them."""

from collections.abc import Iterator

import pytest

from tests.engine.conftest import plain_logs
from tests.support.pgbouncer import PgBouncer, pgbouncer
from tests.support.server import PrivateServer

__all__ = ["plain_logs"]


@pytest.fixture
def transactions(server: PrivateServer) -> Iterator[PgBouncer]:
    """A pooler that gives out its backends transaction by transaction, as Supabase's does at port 6543."""
    with pgbouncer(server, "transaction") as running:
        yield running


@pytest.fixture
def sessions(server: PrivateServer) -> Iterator[PgBouncer]:
    """A pooler that keeps a backend for each client, for as long as it stays."""
    with pgbouncer(server, "session") as running:
        yield running
