"""A pair's row read as the model's value."""

import itertools
from decimal import Decimal
from typing import Any

import psycopg

from reactor.model.affinity import Drift, Relationship

_numbers = itertools.count(1)


def new_pair(sql: psycopg.Connection[tuple[Any, ...]], affinity: Decimal | None = None) -> tuple[str, str]:
    """Two agents of their own, in order; with ``affinity`` they know each other already."""
    number = next(_numbers)
    one, other = f"a{number}", f"b{number}"
    sql.execute(
        "insert into ops_agents (id, display_name) values (%s, 'A'), (%s, 'B')",
        (one, other),
    )
    if affinity is not None:
        sql.execute(
            "insert into ops_agent_relationships (agent_a, agent_b, affinity) values (%s, %s, %s)",
            (one, other, affinity),
        )
    return one, other


def apply_drift(
    sql: psycopg.Connection[tuple[Any, ...]],
    one: str | None,
    other: str | None,
    drift: Decimal | None,
    reason: str | None = "talk",
    source: str | None = None,
) -> Decimal:
    """What the function answers."""
    row = sql.execute(
        "select ops_apply_drift(%s, %s, %s::numeric, %s, %s)", (one, other, drift, reason, source)
    ).fetchone()
    assert row is not None
    affinity: Decimal = row[0]
    return affinity


def stored(sql: psycopg.Connection[tuple[Any, ...]], one: str, other: str) -> Relationship:
    """The pair's row, and the sources that moved it; without a row, two who have not met."""
    row = sql.execute(
        "select affinity, total_interactions, positive_interactions, negative_interactions"
        " from ops_agent_relationships where agent_a = %s and agent_b = %s",
        (one, other),
    ).fetchone()
    lines = sql.execute(
        "select (line ->> 'asked')::numeric, (line ->> 'applied')::numeric, (line ->> 'before')::numeric,"
        " (line ->> 'after')::numeric, line ->> 'reason', line ->> 'source', (line ->> 'simulated')::boolean"
        " from ops_agent_relationships as pair,"
        " jsonb_array_elements(pair.drift_log) with ordinality as entry (line, place)"
        " where agent_a = %s and agent_b = %s order by place",
        (one, other),
    ).fetchall()
    sources = sql.execute(
        "select source from ops_relationship_sources where agent_a = %s and agent_b = %s", (one, other)
    ).fetchall()
    known = Relationship() if row is None else Relationship(*row)
    return Relationship(
        known.affinity,
        known.total,
        known.positive,
        known.negative,
        tuple(Drift(*line) for line in lines),
        frozenset(source for (source,) in sources),
    )
