"""What happens becomes a notice of its topic, whoever made it happen."""

import json

import pytest

from tests.support.books import Session, budget, spend

pytestmark = pytest.mark.sql

WEBHOOK = json.dumps([{"kind": "webhook", "payload": {"url": "https://example.com/x"}}])


def cause(sql: Session, topic: str) -> None:
    """Makes it happen as it does in the house."""
    match topic:
        case "approval_waiting":
            sql.execute("select ops_propose('xalt', 'Tell them', %s)", (WEBHOOK,))
        case "budget_80":
            budget(sql, per_day_usd=0.1)
            spend(sql, 0.09, by_human=True)
        case "budget_out":
            budget(sql, per_day_usd=0.1)
            spend(sql, 0.2, by_human=True)
        case "breaker_open":
            sql.execute("select ops_breaker_record('anthropic', false) from generate_series(1, 5)")
        case "mission_failed":
            # By the completion of its last step, which is the engine's.
            sql.execute("insert into ops_agent_events (kind, title) values ('mission_failed', 'Grow')")
        case "reactor_gone":
            sql.execute(
                "insert into ops_workers (id, hostname, pid, version, parts, liveness_key, state)"
                " values (gen_random_uuid(), 'h', 1, '1', '{mission}', 1, 'ready')"
            )
            sql.execute("update ops_workers set state = 'dead'")


TOPICS = ["approval_waiting", "budget_80", "budget_out", "breaker_open", "mission_failed", "reactor_gone"]


@pytest.mark.parametrize("topic", TOPICS)
def test_each_thing_people_are_told_of_becomes_a_notice(sql: Session, topic: str) -> None:
    sql.execute("""select ops_set_policy('notify', '{"url": "https://example.com/hook"}')""")
    cause(sql, topic)
    assert topic in {row[0] for row in sql.execute("select topic from ops_notices").fetchall()}


def test_with_no_address_there_is_nothing_to_tell(sql: Session) -> None:
    for topic in TOPICS:
        cause(sql, topic)
    assert sql.execute("select count(*) from ops_notices").fetchone() == (0,)
