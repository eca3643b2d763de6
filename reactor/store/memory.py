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


async def memory(conn: Connection, id: int) -> Memory | None:
    """The memory, or None when there is none."""
    row = await conn.fetch_row(_SQL["memory"], {"id": id})
    return Memory(*row) if row else None


async def edit(
    conn: Connection,
    id: int,
    *,
    pinned: bool | None = None,
    content: str | None = None,
    confidence: float | None = None,
    tags: Sequence[str] | None = None,
) -> None:
    """The memory is as a person wants it; None leaves a field as it is. Raises OpsError OP001, OP004."""
    values = {"id": id, "pinned": pinned, "content": content, "confidence": confidence}
    await conn.run(_SQL["edit"], {**values, "tags": None if tags is None else list(tags)})


async def forget(conn: Connection, id: int) -> None:
    """The memory is gone for good. Raises OpsError OP001."""
    await conn.run(_SQL["forget"], {"id": id})


async def thumbs(
    conn: Connection, what: str, id: int, *, up: bool, reason: str | None, turn: int | None = None
) -> int:
    """What a person thinks of a step's result, or of a turn of a roundtable, is remembered; returns the memory.

    Raises: OpsError OP001, OP002, OP004, OP006.
    """
    values = {"what": what, "id": id, "up": up, "reason": reason, "turn": turn}
    return int(await conn.fetch_value(_SQL["thumbs"], values))
