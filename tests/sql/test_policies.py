"""Every policy is documented, has a shape its default fits, and is read by somebody."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

Session = psycopg.Connection[tuple[Any, ...]]

ROOT = Path(__file__).resolve().parents[2]

# Key and where it is read. A new policy gets its line here.
READERS = {
    "approval_expiry": "sql/functions/proposals.sql",
    "auto_approve": "sql/functions/proposals.sql",
    "company": "reactor/handlers/context.py",
    "hold_step_kinds": "sql/functions/holds.sql",
    "initiative_limits": "sql/views/agents.sql",
    "llm_budget": "sql/functions/llm_budgets.sql",
    "llm_limits": "reactor/handlers/context.py",
    "llm_prices": "reactor/handlers/context.py",
    "memory_influence": "sql/functions/memory_influence.sql",
    "mission_limits": "sql/functions/proposal_gates.sql",
    "proposal_limits": "sql/functions/proposal_gates.sql",
    "roundtable_policy": "sql/functions/conversations.sql",
    "queue_limits": "sql/functions/limits.sql",
    "quiet_hours": "sql/functions/schedule.sql",
    "reaction_matrix": "sql/functions/rules.sql",
    "retention": "sql/functions/retention.sql",
    "schedule": "sql/functions/schedule.sql",
    "step_gates": "sql/functions/proposal_gates.sql",
    "notify": "sql/functions/notices.sql",
    "private_hosts": "reactor/queries/outside.sql",
    "sources": "sql/functions/proposal_gates.sql",
}


# What a new house goes by, in full: who changes a default changes it here, and says so in the changelog.
DEFAULTS: dict[str, Any] = {
    "approval_expiry": {"days": 7},
    "auto_approve": {
        "allowed_step_kinds": [
            *(
                "research",
                "analyze",
                "summarize",
                "review",
                "diagnose",
                "plan",
                "write_content",
                "draft_tweet",
            )
        ]
    },
    "company": {},
    "hold_step_kinds": ["webhook", "external"],
    "initiative_limits": {"min_memories": 5, "min_confidence": 0.6, "cooldown_s": 14400, "per_agent_day": 1},
    "llm_budget": {
        "per_day_usd": 0.25,
        "per_month_usd": 5.0,
        "per_agent_day_usd": None,
        "per_mission_usd": 0.1,
        "reserve_for_human": 0.3,
    },
    "llm_limits": {
        "turn": 160,
        "distil": 1500,
        "initiative": 800,
        "step": 1200,
        "write_content": 2000,
        "input": 12000,
        "timeout_s": 60,
        "concurrency": 4,
        "requests_per_minute": 45,
    },
    "memory_influence": {"probability": 0.3, "max_memories_per_prompt": 5, "min_confidence": 0.6},
    "mission_limits": {"active": 10, "steps_per_agent_day": 40, "steps_per_proposal_by_agent": 5},
    "notify": {
        "url": "",
        "format": "json",
        "events": [
            *("approval_waiting", "budget_80", "budget_out", "breaker_open", "mission_failed", "reactor_gone")
        ],
        "quiet_hours": {},
        "min_interval_s": 300,
        "digest_at": "08:00",
    },
    "private_hosts": [],
    "proposal_limits": {"per_agent_day": 20, "same_within_days": 7, "chain_depth": 3},
    "quiet_hours": {},
    "retention": {
        "queue_rows_days": 30,
        "events_days": 30,
        "action_runs_days": 7,
        "transcripts_days": 400,
        "ledger_days": 400,
    },
    "roundtable_policy": {
        "max_per_day": 10,
        "turn_chars": 120,
        "action_items_per_day": 3,
        "topic_unused_days": 7,
        "pair_talk_days": 3,
        "coordinator": "minion",
    },
    "schedule": {"catch_up": "latest", "catch_up_s": 3600},
    "sources": [],
    "step_gates": {"draft_tweet": 8, "write_content": 8, "webhook": 20, "crawl": 50},
}


def policies(sql: Session) -> list[tuple[Any, ...]]:
    return sql.execute(
        "select key, description, shape, ops_shape_problem(value, shape, key) from ops_policy order by key"
    ).fetchall()


def test_every_policy_is_documented_and_its_default_has_its_shape(sql: Session) -> None:
    for key, description, shape, problem in policies(sql):
        assert description.strip(), key
        assert shape, key
        assert problem is None, problem


def test_a_new_house_goes_by_these_numbers(sql: Session) -> None:
    found: dict[str, Any] = dict(sql.execute("select key, value from ops_policy").fetchall())
    assert {key: found[key] for key in DEFAULTS} == DEFAULTS
    matrix = found["reaction_matrix"]
    assert [(one["agent"], one["kinds"], one["probability"], one["cooldown_minutes"]) for one in matrix] == [
        ("scout", ["analyze"], 0.3, 120),
        ("xalt", ["draft_tweet"], 0.4, 180),
        ("quill", ["summarize", "write_content"], 1.0, 90),
    ]
    rules = sql.execute(
        "select agent_id, event_kind, tags_all, cooldown_s / 60, probability, steps -> 0 ->> 'kind'"
        " from ops_trigger_rules where mode = 'event' order by id"
    ).fetchall()
    assert rules == [
        ("sage", "mission_failed", [], 60, 1, "diagnose"),
        ("observer", "step_succeeded", ["write_content"], 120, 1, "review"),
        ("minion", "memory_promoted", ["insight"], 240, 1, "plan"),
    ]
    assert found["llm_prices"]["models"]["claude-haiku-5-5"]["input"] == 0.1
    assert set(found) == {*DEFAULTS, "reaction_matrix", "llm_prices", "queue_limits"}


def test_every_policy_is_read_somewhere(sql: Session) -> None:
    for key, *_ in policies(sql):
        assert key in READERS, f"{key} has no line among the readers"
        assert key in (ROOT / READERS[key]).read_text(encoding="utf-8"), f"{READERS[key]} does not read {key}"


def test_what_opens_every_prompt_has_a_bound_in_all(sql: Session) -> None:
    whole = {"name": "Tea", "goals": ["g" * 190] * 10, "what": "w" * 97}
    sql.execute("select ops_set_policy('company', %s)", (json.dumps(whole),))
    with pytest.raises(psycopg.Error, match="company must have at most 2000 characters in all"):
        sql.execute("select ops_set_policy('company', %s)", (json.dumps({"customers": "x"}),))
    sql.execute("""select ops_set_policy('company', '{"customers": "x", "name": ""}')""")


def test_a_change_is_merged_checked_counted_and_every_value_kept(sql: Session) -> None:
    sql.execute("""select ops_set_policy('quiet_hours', '{"from": "22:00"}')""")
    sql.execute("""update ops_policy set value = value || '{"to": "06:00"}' where key = 'quiet_hours'""")
    for change in (
        """select ops_set_policy('quiet_hours', '{"from": "late"}')""",
        """update ops_policy set value = '{"until": "06:00"}' where key = 'quiet_hours'""",
    ):
        with pytest.raises(psycopg.Error, match="quiet_hours"):
            sql.execute(change.encode())
    now = sql.execute("select version, value from ops_policy where key = 'quiet_hours'").fetchone()
    assert now == (3, {"from": "22:00", "to": "06:00"})
    kept = sql.execute(
        "select version, value from ops_policy_history where key = 'quiet_hours' order by version"
    ).fetchall()
    assert kept == [(1, {}), (2, {"from": "22:00"}), now]
