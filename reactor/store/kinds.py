"""The kinds of steps reactors offer. Twin of ``queries/kinds.sql``."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from reactor.pg import Connection, Jsonb
from reactor.store.named import statements

_SQL = statements("kinds")


class KindRow(NamedTuple):
    """What the database knows of a kind."""

    kind: str
    description: str
    external: bool
    timeout_s: float
    input_schema: dict[str, Any]
    services: Sequence[str] = ()


async def register(conn: Connection, kinds: Sequence[KindRow]) -> None:
    """The kinds are known as given here, and seen now. Rows nothing changed in but the time are written as well."""
    # By name, as every writer does: two reactors starting at once must not wait for each other in a circle.
    in_order = sorted(kinds, key=lambda kind: kind.kind)
    await conn.run(
        _SQL["register"],
        {
            "kinds": [kind.kind for kind in in_order],
            "descriptions": [kind.description for kind in in_order],
            "externals": [kind.external for kind in in_order],
            "timeouts_s": [float(kind.timeout_s) for kind in in_order],
            "input_schemas": [Jsonb(kind.input_schema) for kind in in_order],
            "services": [Jsonb(list(kind.services)) for kind in in_order],
        },
    )


async def known(conn: Connection) -> list[str]:
    """Every kind a reactor has ever offered, sorted."""
    return [row[0] for row in await conn.fetch_all(_SQL["known"])]


async def schemas(conn: Connection) -> dict[str, dict[str, Any]]:
    """The JSON schema of the payloads of every kind ever offered; an empty one says nothing."""
    return dict(await conn.fetch_all(_SQL["schemas"]))


async def offered(conn: Connection) -> list[KindRow]:
    """Every kind ever offered, by name, those that leave the house last."""
    return [KindRow(*row) for row in await conn.fetch_all(_SQL["offered"])]
