"""Memories told to the database, and read back."""

import itertools
from typing import Any

import psycopg

Session = psycopg.Connection[tuple[Any, ...]]

_numbers = itertools.count(1)


def value(sql: Session, statement: str, *parameters: Any) -> Any:
    """The first value of the first row."""
    row = sql.execute(statement, parameters).fetchone()
    assert row is not None, statement
    return row[0]


def remember(
    sql: Session,
    content: str,
    *,
    agent: str | None = "sage",
    type: str | None = "insight",
    confidence: float | None = 0.7,
    tags: list[str] | None = None,
    trace: str | None = None,
    simulated: bool = False,
    trust: str | None = "agent",
) -> int:
    """The id ``ops_remember`` answers."""
    new: int = value(
        sql,
        "select ops_remember(%s, %s, %s, %s::float8, %s::text[], %s, %s, %s)",
        *(agent, type, content, confidence, tags or [], trace, simulated, trust),
    )
    return new


def fill(sql: Session, agent: str, number: int, *, confidence: float = 0.7, type: str = "insight") -> None:
    """``number`` memories that have nothing in common."""
    for _ in range(number):
        place = next(_numbers)
        remember(
            sql,
            f"word{place} other{place} third{place} fourth{place}",
            agent=agent,
            type=type,
            confidence=confidence,
            tags=[f"tag{place}"],
            trace=f"test:{place}",
        )


def active(sql: Session, agent: str = "sage") -> int:
    """How many active memories the agent has, pinned ones aside."""
    number: int = value(
        sql,
        "select count(*) from ops_agent_memory where agent_id = %s and superseded_by is null and not pinned",
        agent,
    )
    return number


def influence(sql: Session, agent: str, context: str, id: int) -> list[int]:
    """The ids of the memories chosen for that context, in order."""
    rows = sql.execute("select id from ops_memory_influence(%s, %s, %s)", (agent, context, id)).fetchall()
    return [row[0] for row in rows]


def always(sql: Session, probability: float = 1.0) -> None:
    """Memories get into every context from now on, or as often as ``probability`` says."""
    sql.execute(
        "select ops_set_policy('memory_influence', jsonb_build_object('probability', %s::float8))",
        (probability,),
    )


def make_real(sql: Session) -> None:
    """A model has answered for real."""
    sql.execute("select ops_note_real_call()")
