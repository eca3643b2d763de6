"""What comes round with time: parts taken once, timed rules, ideas asked for."""

from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

from tests.support.clock import NOON, Clock
from tests.support.memories import fill, make_real, value
from tests.support.rules import drain, happens, only_rule, proposals, rule
from tests.support.sessions import at_once

Session = psycopg.Connection[tuple[Any, ...]]
HOUR_S = 3600.0
DAY_S = 86400.0


def take(sql: Session, part: str = "retention", every_s: float = 300.0) -> bool:
    ours: bool = value(sql, "select ops_take_heartbeat(%s, %s)", part, every_s)
    return ours


def fire(sql: Session, roll: float | None = None) -> list[tuple[Any, ...]]:
    return sql.execute("select rule, proposals, problem from ops_fire_timed_rules(%s)", (roll,)).fetchall()


def test_a_part_is_done_by_one_and_comes_round_again(database: str, sql: Session) -> None:
    assert sum(at_once(database, [take] * 8)) == 1
    clock = Clock(sql)
    sql.execute("delete from ops_heartbeat_parts")
    assert take(sql)
    assert not take(sql)
    assert take(sql, "expiry")
    clock.step(299)
    assert not take(sql)
    clock.step(1)
    assert take(sql)


def test_a_clock_that_was_set_back_does_not_stop_the_heart(sql: Session) -> None:
    clock = Clock(sql)
    assert take(sql)
    clock.step(-DAY_S)
    assert take(sql)


# -- timed rules


def test_the_seeded_rules_come_at_their_pace_with_jitter_and_now_and_then_not(sql: Session) -> None:
    rows = sql.execute(
        "select name, agent_id, every_s / 3600, jitter_from_s / 60, jitter_to_s / 60, probability"
        " from ops_trigger_rules where mode = 'timed' order by id"
    ).fetchall()
    assert rows == [
        ("scan_sources", "scout", 3, 25, 45, 0.9),
        ("draft_posts", "xalt", 4, 25, 45, 0.85),
        ("research_goals", "sage", 6, 25, 45, 0.88),
        ("analyse_operations", "observer", 8, 25, 45, 0.9),
    ]


def test_a_new_rule_begins_after_its_jitter_and_then_keeps_its_pace(sql: Session) -> None:
    clock = Clock(sql)
    only_rule(sql, "hourly", mode="timed", every_s=HOUR_S, jitter_from_s=600, jitter_to_s=1200)

    def due_in_s() -> float:
        return float(value(sql, "select extract(epoch from next_due_at - ops_now()) from ops_trigger_rules"))

    assert fire(sql, 0.5) == []
    assert due_in_s() == 900
    clock.step(900)
    assert fire(sql, 0.5) == [("hourly", 1, None)]
    assert due_in_s() == HOUR_S + 900
    clock.step(HOUR_S)
    assert fire(sql, 0.5) == []


def test_a_skip_is_rolled_once_is_on_record_and_keeps_the_topic(sql: Session) -> None:
    clock = Clock(sql)
    only_rule(
        sql,
        "topical",
        mode="timed",
        every_s=HOUR_S,
        probability=0.85,
        topics=["one", "two", "three"],
        title="{topic}",
    )
    for roll in (0.0, 0.85, 0.84, 0.99, 0.5, 0.0):
        fire(sql, roll)
        clock.step(HOUR_S)
    rows = sql.execute("select outcome, rolled from ops_trigger_firings order by id").fetchall()
    assert rows == [
        ("proposed", 0.0), ("skipped", 0.85), ("proposed", 0.84), ("skipped", 0.99), ("proposed", 0.5), ("refused", 0.0),
    ]  # fmt: skip
    titles = [row[0] for row in sql.execute("select title from ops_mission_proposals order by id").fetchall()]
    assert titles == ["one", "two", "three", "one"]
    assert value(sql, "select fire_count from ops_trigger_rules") == 3


def test_of_eight_processes_one_gives_a_rule_its_turn(database: str, sql: Session) -> None:
    only_rule(sql, "due", mode="timed", every_s=HOUR_S)
    sql.execute("update ops_trigger_rules set next_due_at = ops_now()")
    at_once(database, [partial(fire, roll=0.0)] * 8)
    assert len(proposals(sql)) == 1


def test_sage_researches_the_companys_goals_in_turn_and_has_something_without_any(sql: Session) -> None:
    clock = Clock(sql)
    sql.execute("delete from ops_trigger_rules where name <> 'research_goals'")
    fire(sql, 0.0)
    topics = []
    for goals in ('["more regulars", "fewer returns"]',) * 3 + ("[]",):
        sql.execute("select ops_set_policy('company', jsonb_build_object('goals', %s::jsonb))", (goals,))
        clock.step(10 * HOUR_S)
        fire(sql, 0.0)
        topics.append(
            value(
                sql, "select steps -> 0 -> 'payload' ->> 'topic' from ops_mission_proposals order by id desc"
            )
        )
    assert topics[:3] == ["more regulars", "fewer returns", "more regulars"]
    assert topics[3] not in topics[:3]


def test_scout_scans_each_source_at_its_own_pace_and_without_sources_nothing(sql: Session) -> None:
    clock = Clock(sql)
    sql.execute("delete from ops_trigger_rules where name <> 'scan_sources'")
    fire(sql, 0.0)
    clock.step(4 * HOUR_S)
    assert fire(sql, 0.0) == []
    sources = '[{"url": "https://a.example/x", "every": "3h"}, {"url": "https://b.example/", "every": "1d"}]'
    sql.execute("select ops_set_policy('sources', %s::jsonb)", (sources,))
    counts = []
    for _ in range(3):
        clock.step(4 * HOUR_S)
        counts.append(fire(sql, 0.0))
    assert counts == [[("scan_sources", 2, None)], [("scan_sources", 1, None)], [("scan_sources", 1, None)]]
    kinds = {tuple(row[3]) for row in proposals(sql)}
    assert kinds == {("analyze", "crawl")}
    assert (
        value(sql, "select steps -> 0 -> 'payload' ->> 'url' from ops_mission_proposals limit 1")
        == "https://a.example/x"
    )


def test_a_rule_may_miss_something(sql: Session) -> None:
    clock = Clock(sql)
    only_rule(
        sql, "silence", mode="absence", event_kind="sale_made", window_s=7200, every_s=600, cooldown_s=36000,
        created_at=NOON,
    )  # fmt: skip
    fire(sql, 0.0)
    clock.step(HOUR_S)
    assert fire(sql, 0.0) == []
    happens(sql, "sale_made")
    drain(sql)
    clock.step(1.5 * HOUR_S)
    assert fire(sql, 0.0) == []
    clock.step(HOUR_S)
    assert fire(sql, 0.0) == [("silence", 1, None)]
    clock.step(HOUR_S)
    assert fire(sql, 0.0) == []


def test_a_timed_rule_that_breaks_leaves_the_others(sql: Session) -> None:
    only_rule(
        sql,
        "broken",
        mode="timed",
        every_s=HOUR_S,
        steps='[{"kind": "analyze", "payload": {"now": "{operations}"}}]',
    )
    rule(sql, "healthy", mode="timed", every_s=HOUR_S)
    sql.execute(
        "create or replace function ops_operations_in_short() returns text language sql as 'select (1 / 0)::text'"
    )
    sql.execute("update ops_trigger_rules set next_due_at = ops_now()")
    assert fire(sql, 0.0) == [("broken", 0, "division by zero"), ("healthy", 1, None)]


def test_while_paused_or_quiet_no_timed_rule_has_its_turn(sql: Session) -> None:
    clock = Clock(sql)
    only_rule(sql, "due", mode="timed", every_s=HOUR_S)
    sql.execute("update ops_trigger_rules set next_due_at = ops_now()")
    sql.execute("select ops_pause('mission')")
    assert fire(sql, 0.0) == []
    sql.execute("select ops_resume('mission')")
    sql.execute("""select ops_set_policy('quiet_hours', '{"from": "12:00", "to": "13:00"}')""")
    assert fire(sql, 0.0) == []
    clock.set(NOON + timedelta(hours=1))
    assert fire(sql, 0.0) == [("due", 1, None)]


# -- ideas


def test_agents_with_memories_to_draw_on_are_asked_for_ideas_once_a_day(database: str, sql: Session) -> None:
    fill(sql, "sage", 5)
    fill(sql, "quill", 4)

    def ask(session: Session) -> int:
        return len(session.execute("select ops_queue_initiatives()").fetchall())

    assert sum(at_once(database, [ask] * 8)) == 1
    assert sql.execute("select agent_id, status from ops_initiative_queue").fetchall() == [("sage", "queued")]
    sql.execute("update ops_initiative_queue set status = 'cancelled'")
    assert ask(sql) == 0


@pytest.mark.parametrize(
    ("status", "hours_ago", "hour", "asked"),
    [
        ("queued", 48, 12, 0),  # one waits
        ("succeeded", 3.9, 2, 0),  # yesterday, but not long ago
        ("succeeded", 4.1, 2, 1),
        ("succeeded", 5, 12, 0),  # long ago, but today
        ("succeeded", 13, 12, 1),
    ],
)
def test_an_idea_is_asked_for_when_none_waits_none_is_fresh_and_the_day_has_room(
    sql: Session, status: str, hours_ago: float, hour: int, asked: int
) -> None:
    Clock(sql).set(NOON.replace(hour=hour))
    fill(sql, "sage", 5)
    sql.execute(
        "insert into ops_initiative_queue (agent_id, status, created_at)"
        " values ('sage', %s, ops_now() - %s * interval '1 hour')",
        (status, hours_ago),
    )
    assert len(sql.execute("select ops_queue_initiatives()").fetchall()) == asked


def test_nobody_is_asked_while_initiatives_are_paused(sql: Session) -> None:
    fill(sql, "sage", 5)
    sql.execute("select ops_pause('initiative')")
    assert sql.execute("select ops_queue_initiatives()").fetchall() == []


def test_an_idea_of_the_mock_takes_no_place_in_a_real_day(sql: Session) -> None:
    sql.execute(
        "insert into ops_initiative_queue (agent_id, status, simulated) values ('sage', 'succeeded', true)"
    )
    fill(sql, "sage", 5)
    assert sql.execute("select ops_queue_initiatives()").fetchall() == []
    make_real(sql)
    assert len(sql.execute("select ops_queue_initiatives()").fetchall()) == 1
