"""What the house does by itself in a day, and what it would have cost."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.asking.house import Sql
from tests.engine.support import scalar
from tests.support.clock import Clock
from tests.support.days import live

MONDAY = datetime(2030, 6, 3, tzinfo=UTC)
COMPANY = """
{"name": "Brightside Coffee", "what": "roasts coffee in small batches", "customers": "home baristas",
 "goals": ["double the subscriptions", "halve the returns"], "tone": "warm", "never": ["promise delivery dates"]}
"""


@pytest.mark.chaos
@pytest.mark.usefixtures("the_week")
async def test_a_default_day_is_at_most_200_calls_and_15_cents(
    database: str, sql: Sql, capsys: pytest.CaptureFixture[str]
) -> None:
    sql.execute("select ops_set_policy('company', %s::jsonb)", (COMPANY,))
    clock = Clock(sql)
    clock.set(MONDAY)
    sql.execute("update ops_conversation_slots set since = ops_now()")
    empty = scalar(sql, "select pg_database_size(current_database())")
    for day in range(2):
        await live(database, sql, clock, MONDAY + timedelta(days=day + 1))
        date = (MONDAY + timedelta(days=day)).date()
        calls, usd = sql.execute(
            "select count(*), sum(would_cost_usd)::float8 from ops_llm_calls where day = %s", (date,)
        ).fetchone() or (0, 0.0)
        ledger = sql.execute(
            "select purpose, count(*), sum(would_cost_usd)::float8 from ops_llm_calls where day = %s"
            " group by purpose order by 3 desc",
            (date,),
        ).fetchall()
        with capsys.disabled():
            print(f"\n{date:%A}: {calls} calls, ${usd:.4f}")
            for purpose, times, cost in ledger:
                print(f"  {purpose:<20} {times:>4}  ${cost:.5f}")
        assert 20 <= calls <= 200, "it lives, within bounds"
        assert 0 < usd <= 0.15
    grown = scalar(sql, "select pg_database_size(current_database())") - empty
    with capsys.disabled():
        print(f"grown by {grown / 2**20:.1f} MB in two days")
    assert grown / 2 * 30 < 100 * 2**20, "a month stays under 100 MB"
    assert scalar(sql, "select count(*) from ops_llm_calls where not simulated or cost_usd > 0") == 0
    assert scalar(sql, "select count(*) from ops_llm_calls where outcome <> 'ok'") == 0
    assert scalar(sql, "select count(*) from ops_mission_steps where status = 'failed'") == 0
    assert scalar(sql, "select count(*) from ops_roundtable_queue where status = 'failed'") == 0
