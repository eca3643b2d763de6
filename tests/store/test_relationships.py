from decimal import Decimal
from typing import Any

import psycopg
import pytest

from reactor.errors import OpsError
from reactor.pg import connect
from reactor.store import relationships

pytestmark = pytest.mark.sql


async def test_a_drift_moves_a_pair_and_the_map_shows_it(database: str) -> None:
    async with await connect(database, name="test") as conn:
        moved = await relationships.apply_drift(
            conn, "sage", "minion", Decimal("-0.012"), "quarrelled", "r:1"
        )
        assert moved == Decimal("0.788")
        assert await relationships.apply_drift(conn, "minion", "sage", 0.5, "again", "r:1") == moved
        rows = await relationships.relationship_map(conn)
    assert len(rows) == 15
    assert [row.affinity for row in rows] == sorted((row.affinity for row in rows), reverse=True)
    row = next(row for row in rows if (row.agent_a, row.agent_b) == ("minion", "sage"))
    assert (row.label, row.recent_drift, row.last_reason) == ("friendly", Decimal("-0.012"), "quarrelled")
    assert (row.total_interactions, row.negative_interactions, row.simulated) == (1, 1, False)


async def test_simulated_drifts_are_marked_and_real_ones_beside_them_are_not(
    database: str, sql: psycopg.Connection[tuple[Any, ...]]
) -> None:
    async with await connect(database, name="test") as conn, conn.transaction():
        await relationships.apply_drift(conn, "sage", "xalt", 0.01, "mock talk", simulated=True)
        await relationships.apply_drift(conn, "sage", "xalt", 0.01, "real talk")
    row = sql.execute(
        "select jsonb_path_query_array(drift_log, '$[*].simulated') from ops_agent_relationships"
        " where agent_a = 'sage' and agent_b = 'xalt'"
    ).fetchone()
    assert row == ([True, False],)


@pytest.mark.parametrize(
    ("other", "drift", "code"),
    [("nobody", 0.01, "OP003"), ("sage", 0.01, "OP004"), ("xalt", float("nan"), "OP004")],
)
async def test_what_is_refused_is_our_error_with_its_code(
    database: str, other: str, drift: float, code: str
) -> None:
    async with await connect(database, name="test") as conn:
        with pytest.raises(OpsError) as refusal:
            await relationships.apply_drift(conn, "sage", other, drift, "talk")
    assert refusal.value.sqlstate == code
