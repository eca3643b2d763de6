"""The team and the policies handlers go by. Twin of ``queries/agents.sql``."""

from collections.abc import Sequence
from typing import Any

from reactor.model.people import Agent
from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("agents")


async def roster(conn: Connection) -> list[Agent]:
    """Everybody, the inactive included, by id."""
    return [Agent(*row) for row in await conn.fetch_all(_SQL["roster"])]


async def policies(conn: Connection, keys: Sequence[str]) -> dict[str, Any]:
    """The present values of those ``keys`` there are."""
    return dict(await conn.fetch_all(_SQL["policies"], {"keys": list(keys)}))
