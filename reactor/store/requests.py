"""Changes asked for under an idempotency key. Twin of ``queries/requests.sql``."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("requests")


class Answered(NamedTuple):
    """An answer given before; ``request`` is the digest of what was asked."""

    request: str
    status: int
    headers: dict[str, str]
    body: str


async def begin(conn: Connection, key: str, request: str) -> Answered | None:
    """None: the key is ours, in this transaction; `keep` the answer. Else what was answered under that key.

    A transaction that has the key and has not ended is waited for.
    """
    if await conn.fetch_value(_SQL["begin"], {"key": key, "request": request}) is not None:
        return None
    row = await conn.fetch_row(_SQL["answered"], {"key": key})
    return Answered._make(row) if row else None


async def keep(conn: Connection, key: str, status: int, headers: Mapping[str, str], body: str) -> None:
    """The answer to the request that began under ``key``."""
    values = {"key": key, "status": status, "headers": json.dumps(dict(headers)), "body": body}
    await conn.run(_SQL["keep"], values)
