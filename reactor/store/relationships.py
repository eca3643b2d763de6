"""How much the agents like each other. Twin of ``queries/relationships.sql``."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("relationships")


class PairRow(NamedTuple):
    """A pair, ``agent_a`` before ``agent_b``. ``recent_drift``: the sum of the log's applied drifts."""

    agent_a: str
    agent_b: str
    name_a: str
    name_b: str
    affinity: Decimal
    label: str
    total_interactions: int
    positive_interactions: int
    negative_interactions: int
    recent_drift: Decimal
    last_reason: str | None
    last_drift_at: datetime | None
    simulated: bool


async def apply_drift(
    conn: Connection,
    agent_a: str,
    agent_b: str,
    drift: Decimal | float,
    reason: str,
    source: str | None = None,
    *,
    simulated: bool = False,
) -> Decimal:
    """The pair's affinity after ``drift``, in [0.100, 0.950]; a ``source`` seen before leaves it as it is.

    Several pairs in one transaction go in the order of their names, else two such transactions may wait for
    each other. ``simulated`` marks the line in the log; the setting it travels by ends with the transaction.

    Raises: OpsError OP003: an agent nobody knows. OP004: a drift that is no finite number, one agent twice,
        an empty reason. Nothing changed then.
    """
    moved: Decimal = await conn.fetch_value(
        _SQL["apply_drift"],
        {
            "agent_a": agent_a,
            "agent_b": agent_b,
            "drift": drift,
            "reason": reason,
            "source": source,
            "simulated": "on" if simulated else "off",
        },
    )
    return moved


async def relationship_map(conn: Connection) -> list[PairRow]:
    """Every pair, the warmest first."""
    return [PairRow(*row) for row in await conn.fetch_all(_SQL["relationship_map"])]


async def reset_simulated(conn: Connection) -> int:
    """Pairs that only the mock has moved are where they were seeded; returns how many had moved."""
    return int(await conn.fetch_value(_SQL["reset_simulated"]))
