"""What agents remember. Twin of ``queries/memory.sql``."""

from collections.abc import Sequence

from reactor.model.memory import Memory
from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("memory")


async def influence(conn: Connection, agent: str, context: str, context_id: int) -> list[Memory]:
    """The memories that go into the prompts of ``agent`` in this context, the best first; often none.

    ``context`` is roundtable, mission or initiative. The first look rolls, every later one sees the same. Ask outside
    a transaction that may be rolled back: the roll would go with it.

    Raises: OpsError OP002: no such context. OP003: an agent nobody knows.
    """
    rows = await conn.fetch_all(_SQL["influence"], {"agent": agent, "context": context, "id": context_id})
    return [Memory(*row) for row in rows]


async def remember(
    conn: Connection,
    agent: str,
    type: str,
    content: str,
    *,
    confidence: float,
    tags: Sequence[str] = (),
    trace: str | None = None,
    simulated: bool = False,
    trust: str = "agent",
) -> int:
    """The id of the memory that says this: a new one, or the one that said so already.

    Memories of several agents in one transaction go in the order of their ids, else two such transactions may wait for
    each other.

    Raises: OpsError OP003: an agent nobody knows. OP004: an unknown type or trust, no content, a confidence outside 0 to 1.
    """
    known: int = await conn.fetch_value(
        _SQL["remember"],
        {
            "agent": agent,
            "type": type,
            "content": content,
            "confidence": confidence,
            "tags": list(tags),
            "trace": trace,
            "simulated": simulated,
            "trust": trust,
        },
    )
    return known


async def memories(
    conn: Connection, agent: str, *, type: str | None = None, superseded: bool = False, limit: int = 1000
) -> list[Memory]:
    """What ``agent`` remembers, pinned first, then the newest; ``superseded`` ones after the active ones, or not at all."""
    rows = await conn.fetch_all(
        _SQL["memories"], {"agent": agent, "type": type, "all": superseded, "limit": limit}
    )
    return [Memory(*row) for row in rows]
