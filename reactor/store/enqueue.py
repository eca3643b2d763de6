"""Work comes in. Twin of ``queries/enqueue.sql``. Payloads and steps are JSON text, as the caller wrote them."""

from collections.abc import Sequence

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("enqueue")


async def step(
    conn: Connection,
    kind: str,
    payload: str,
    *,
    agent: str | None = None,
    priority: int = 5,
    max_attempts: int = 3,
    delay_s: float = 0.0,
) -> int:
    """A single step is queued; returns its id. Raises DatabaseError: a constraint refuses it."""
    new: int = await conn.fetch_value(
        _SQL["step"],
        {
            "kind": kind,
            "payload": payload,
            "agent": agent,
            "priority": priority,
            "max_attempts": max_attempts,
            "delay_s": delay_s,
        },
    )
    return new


async def mission(
    conn: Connection, title: str, steps: str, *, created_by: str | None = None, priority: int = 5
) -> int:
    """A mission with its steps, the first of them queued; returns its id. Raises OpsError: the steps are refused."""
    new: int = await conn.fetch_value(
        _SQL["mission"], {"title": title, "steps": steps, "created_by": created_by, "priority": priority}
    )
    return new


async def roundtable(
    conn: Connection,
    format: str,
    topic: str | None,
    *,
    participants: Sequence[str] = (),
    priority: int = 5,
    delay_s: float = 0.0,
) -> int:
    """A conversation is queued; returns its id. Without participants its format and the hour choose them."""
    new: int = await conn.fetch_value(
        _SQL["roundtable"],
        {
            "format": format,
            "topic": topic,
            "participants": list(participants) or None,
            "priority": priority,
            "delay_s": delay_s,
        },
    )
    return new


async def initiative(
    conn: Connection, agent: str, *, reason: str | None = None, priority: int = 5, delay_s: float = 0.0
) -> int:
    """The agent is asked to propose something; returns the row's id."""
    new: int = await conn.fetch_value(
        _SQL["initiative"], {"agent": agent, "reason": reason, "priority": priority, "delay_s": delay_s}
    )
    return new
