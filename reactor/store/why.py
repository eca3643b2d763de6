"""Why something is where it is. Twin of ``queries/why.sql``."""

from typing import Any, NamedTuple

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("why")


class Why(NamedTuple):
    """The answer: ``code`` is its kind in a word, ``sentence`` for people, ``facts`` for programs."""

    what: str
    id: int
    code: str
    sentence: str
    facts: dict[str, Any]


async def why(conn: Connection, what: str, id: int) -> Why:
    """Why ``what`` (step, mission, roundtable, initiative, proposal) number ``id`` is where it is.

    Raises: OpsError OP001: no row of that id. OP002: no such kind of row.
    """
    row = await conn.fetch_row(_SQL["why"], {"what": what, "id": id})
    assert row is not None
    return Why(what, id, row[1]["because"], row[0], row[1])
