"""What calls cost, on the command line."""

from typing import Any

import psycopg
import pytest

from tests.cli.conftest import Voxyz
from tests.support.books import budget, reserve, settle, spend

Session = psycopg.Connection[tuple[Any, ...]]
TOKENS = {"input_tokens": 1000, "output_tokens": 200}


def simulated(sql: Session, would_usd: float, **given: Any) -> None:
    call = reserve(sql, simulated=True, key_print="mock", **given)
    settle(sql, call.call_id, 0.0, **{"would_cost_usd": would_usd, **TOKENS})


def test_without_a_call_it_says_so(voxyz: Voxyz) -> None:
    answer = voxyz("costs")
    assert answer.code == 0, answer
    assert "no call in the last 30 days" in answer.out
    assert "no call in the last seven days to go by" in answer.out
    assert voxyz("costs", "--json").json["by_day"] == []


def test_the_ledger_is_added_up_by_day_agent_purpose_model_and_mission(voxyz: Voxyz, sql: Session) -> None:
    row = sql.execute(
        """select ops_enqueue_mission('Weekend report', '[{"kind": "analyze"}]'::jsonb)"""
    ).fetchone()
    assert row is not None
    [mission_id] = row
    for agent, purpose, usd, mission in (
        ("sage", "step:analyze", 0.02, mission_id),
        ("sage", "turn", 0.01, None),
        ("quill", "turn", 0.005, None),
        (None, "distil", 0.001, None),
    ):
        spend(sql, usd, agent_id=agent, purpose=purpose, mission_id=mission)
    settle(sql, reserve(sql, agent_id="quill").call_id, outcome="LLMUnavailable")
    simulated(sql, 0.5, agent_id="quill", model="claude-opus-5-5")

    found = voxyz("costs", "--json").json
    assert (found["day_calls"], found["day_usd"], found["day_would_usd"]) == (6, 0.036, 0.536)
    assert [(one["name"], one["calls"]) for one in found["by_agent"]] == [("sage", 2), ("quill", 3), ("", 1)]
    assert [(one["name"], one["cost_usd"]) for one in found["by_purpose"]] == [
        ("step:analyze", 0.02),
        ("turn", 0.015),
        ("distil", 0.001),
    ]
    assert [(one["name"], one["simulated"], one["would_cost_usd"]) for one in found["by_model"]] == [
        ("claude-haiku-5-5", 0, 0.036),
        ("claude-opus-5-5", 1, 0.5),
    ]
    assert [(one["name"], one["title"]) for one in found["by_mission"]] == [
        (str(mission_id), "Weekend report")
    ]
    assert [(one["failed"], one["input_tokens"], one["output_tokens"]) for one in found["by_day"]] == [
        (1, 1000, 200)
    ]
    told = voxyz("costs").out
    assert "6 calls, $0.0360 (would be $0.5360)" in told
    for word in ("by day", "(the house)", "the dearest missions", "Weekend report"):
        assert word in told
    assert "by agent" not in voxyz("costs", "--by", "mission").out


def test_what_the_month_comes_to_goes_by_the_last_seven_days(voxyz: Voxyz, sql: Session) -> None:
    spend(sql, 0.2, by_human=True)
    sql.execute("delete from ops_llm_spending")
    sql.execute("update ops_llm_calls set created_at = created_at - interval '4 days', day = day - 4")
    spend(sql, 0.1, by_human=True)
    found = voxyz("costs", "--json").json
    assert found["days_seen"] == pytest.approx(4, abs=0.1)
    expected = found["month_usd"] + 0.3 / found["days_seen"] * found["days_left"]
    assert found["month_end_usd"] == pytest.approx(expected, abs=1e-6)
    assert "at the pace of the last 4 days" in voxyz("costs").out


def test_the_days_looked_back_can_be_chosen(voxyz: Voxyz, sql: Session) -> None:
    spend(sql, 0.01)
    sql.execute("update ops_llm_calls set created_at = created_at - interval '2 days', day = day - 2")
    assert len(voxyz("costs", "--days", "3", "--json").json["by_day"]) == 1
    assert voxyz("costs", "--days", "1", "--json").json["by_day"] == []
    assert "no call today" in voxyz("costs", "--days", "1").out
    assert voxyz("costs", "--days", "0").code == 2
    assert voxyz("costs", "--by", "moon").code == 2


def test_budgets_and_a_paused_key_are_told_with_what_to_do(voxyz: Voxyz, sql: Session) -> None:
    budget(sql, per_day_usd=1.0, per_agent_day_usd=0.5)
    spend(sql, 0.25, agent_id="sage")
    settle(sql, reserve(sql).call_id, outcome="KeyRefused", pause="key_refused")
    told = voxyz("costs").out
    assert "$0.2500 of $1 spent, agents by themselves $0.7" in told
    assert "budget agent sage" in told
    assert "set another ANTHROPIC_API_KEY" in told
    assert "calls are paused: the provider refuses the key" in voxyz("status").out
    found = voxyz("costs", "--json").json
    assert [one["reason"] for one in found["paused_keys"]] == ["key_refused"]
    assert {one["scope"]: one["limit_usd"] for one in found["budgets"]} == {
        "day": 1.0,
        "month": 5.0,
        "agent": 0.5,
    }


def test_a_preview_goes_by_the_prices_of_the_policy(voxyz: Voxyz, sql: Session) -> None:
    before = voxyz("schedule", "--preview", "7", "--json").json
    sql.execute(
        "select ops_set_policy('llm_prices',"
        """ '{"models": {"claude-haiku-5-5": {"input": 1.0, "output": 5.0}}}')"""
    )
    after = voxyz("schedule", "--preview", "7", "--json").json
    assert after["calls"] == before["calls"]
    assert after["usd"] == pytest.approx(10 * before["usd"], rel=0.01)
    assert "expected: " in voxyz("schedule", "--preview", "7").out.splitlines()[-1]


def test_status_says_when_the_budget_is_spent(voxyz: Voxyz, sql: Session) -> None:
    budget(sql, per_day_usd=1.0)
    spend(sql, 0.7)
    assert "the agents' share is spent, $0.7000 of $1.00 a day" in voxyz("status").out
    spend(sql, 0.3, by_human=True)
    assert "out of budget: all is spent, $1.00 of $1.00 a day; raise it" in voxyz("status").out
    budget(sql, per_day_usd=2.0)
    assert "$1.00 of $2.00 a day spent" in voxyz("status").out
