"""What the demonstration looks at. Twin of ``queries/demo.sql``."""

import json
from typing import Any, NamedTuple

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("demo")


class StepLine(NamedTuple):
    """A step: what it is, whose it was, how it stands, and the beginning of what came of it."""

    id: int
    kind: str
    agent: str
    status: str
    said: str
    simulated: bool


async def steps(conn: Connection, mission_id: int) -> list[StepLine]:
    """The mission's steps, first to last."""
    return [StepLine(*row) for row in await conn.fetch_all(_SQL["steps"], {"id": mission_id})]


async def memories_of(conn: Connection, roundtable_id: int) -> list[tuple[Any, ...]]:
    """Who remembers what of a conversation: agent, type, content, confidence."""
    return await conn.fetch_all(_SQL["memories_of"], {"id": roundtable_id})


async def drifts_of(conn: Connection, roundtable_id: int) -> list[tuple[Any, ...]]:
    """Whom a conversation moved: a, b, before, after, reason."""
    return await conn.fetch_all(_SQL["drifts_of"], {"id": roundtable_id})


async def distilled(conn: Connection, roundtable_id: int) -> tuple[str | None, int]:
    """Why a conversation could not be distilled, else None; how many memories and drifts named nobody who took part."""
    row = await conn.fetch_row(_SQL["distilled"], {"id": roundtable_id})
    assert row is not None
    return row[0], row[1]


async def tell(conn: Connection, agent: str, content: str, trace: str) -> int:
    """The agent remembers what a person told it; returns the memory."""
    memory: int = await conn.fetch_value(_SQL["tell"], {"agent": agent, "content": content, "trace": trace})
    return memory


async def initiative(conn: Connection, id: int) -> tuple[Any, ...] | None:
    """Proposal, title, status and reason of what an initiative came to; None: it proposed nothing."""
    return await conn.fetch_row(_SQL["initiative"], {"id": id})


async def proposal(conn: Connection, id: int) -> tuple[Any, ...]:
    """Status, reason, who decided, gate."""
    row = await conn.fetch_row(_SQL["proposal"], {"id": id})
    assert row is not None
    return row


async def set_company(conn: Connection, company: dict[str, Any]) -> None:
    """The company is this one where nobody has said which."""
    await conn.fetch_value(_SQL["set_company"], {"company": json.dumps(company)})


async def held_step(conn: Connection, mission_id: int) -> tuple[Any, ...] | None:
    """The step that waits for a person, and the URL it would go to."""
    return await conn.fetch_row(_SQL["held_step"], {"id": mission_id})


async def ceiling_usd(conn: Connection) -> float | None:
    """What may be spent a day."""
    found: float | None = await conn.fetch_value(_SQL["ceiling"])
    return found
