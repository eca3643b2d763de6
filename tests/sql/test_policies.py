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


def policies(sql: Session) -> list[tuple[Any, ...]]:
    return sql.execute(
        "select key, description, shape, ops_shape_problem(value, shape, key) from ops_policy order by key"
    ).fetchall()


def test_every_policy_is_documented_and_its_default_has_its_shape(sql: Session) -> None:
    for key, description, shape, problem in policies(sql):
        assert description.strip(), key
        assert shape, key
        assert problem is None, problem


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
