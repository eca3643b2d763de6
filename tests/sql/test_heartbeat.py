"""What comes round with time: parts taken once, timed rules, ideas asked for, and what is no longer kept."""

from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

from reactor.store.heartbeat import WALKED
from tests.support.clock import NOON, Clock
from tests.support.memories import fill, value
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


def prune(sql: Session, what: str, batch: int = 500) -> int:
    """The whole walk; how many rows went."""
    deleted, after = 0, 0
    while True:
        query = f"select deleted, walked_to from ops_prune_{what}(%s, %s)"
        gone, on = sql.execute(query.encode(), (after, batch)).fetchone() or (0, None)
        deleted += int(gone)
        if on is None:
            return deleted
        assert on > after
        after = on


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


def test_nobody_is_asked_while_initiatives_are_paused(sql: Session) -> None:
    fill(sql, "sage", 5)
    sql.execute("select ops_pause('initiative')")
    assert sql.execute("select ops_queue_initiatives()").fetchall() == []


# -- retention

SPENT = {
    "steps": "insert into ops_mission_steps (kind, status, created_at, completed_at)"
    " select 'noop', 'succeeded', at, at from aged",
    "missions": "insert into ops_missions (title, status, created_at, completed_at) select 'x', 'failed', at, at from aged",
    "initiatives": "insert into ops_initiative_queue (agent_id, status, created_at, completed_at)"
    " select 'sage', 'cancelled', at, at from aged",
    "roundtables": "insert into ops_roundtable_queue (format, status, created_at, completed_at)"
    " select 'standup', 'failed', at, at from aged",
    "proposals": "insert into ops_mission_proposals"
    " (agent_id, title, steps, status, rejection_reason, decided_at, created_at)"
    " select 'sage', 'x', '[]', 'rejected', 'no', at, at from aged",
    "events": "insert into ops_agent_events (kind, created_at) select 'shop_opened', at from aged",
    "firings": "insert into ops_trigger_firings (rule_id, event_id, rolled, probability, created_at)"
    " select (select min(id) from ops_trigger_rules), n, 0, 1, at from aged",
    "reactions": "insert into ops_agent_reactions (reaction, event_id, agent_id, rolled, probability, created_at)"
    " select 'x', n, 'sage', 0, 1, at from aged",
}


def aged(sql: Session, what: str, days: float, rows: int) -> None:
    sql.execute(
        "with aged as (select n, ops_now() - %s * interval '1 day' as at"
        " from (select coalesce(max(n), 0) as last from scratch) as used, generate_series(last + 1, last + %s) as n)"
        f", noted as (insert into scratch select n from aged) {SPENT[what]}",
        (days, rows),
    )


@pytest.fixture
def scratch(sql: Session) -> None:
    sql.execute("create table scratch (n bigint)")


@pytest.mark.usefixtures("scratch")
@pytest.mark.parametrize("what", WALKED)
def test_what_is_old_goes_in_small_batches_and_what_is_young_stays(sql: Session, what: str) -> None:
    table = {
        "steps": "ops_mission_steps",
        "missions": "ops_missions",
        "initiatives": "ops_initiative_queue",
        "roundtables": "ops_roundtable_queue",
        "proposals": "ops_mission_proposals",
        "events": "ops_agent_events",
        "firings": "ops_trigger_firings",
        "reactions": "ops_agent_reactions",
    }[what]
    sql.execute(f"delete from {table}".encode())
    aged(sql, what, 31, 25)
    aged(sql, what, 29, 15)
    gone = sql.execute(
        f"select deleted, walked_to is not null from ops_prune_{what}(0, 10)".encode()
    ).fetchone()
    assert gone == (10, True)
    assert prune(sql, what, 10) == 15
    assert value(sql, f"select count(*) from {table}") == 15
    assert prune(sql, what, 10) == 0


@pytest.mark.usefixtures("scratch")
def test_unfinished_work_is_never_deleted_and_holds_nothing_up(sql: Session) -> None:
    sql.execute(
        "insert into ops_mission_steps (kind, status, created_at, run_at)"
        " select 'noop', 'queued', ops_now() - interval '90 days', ops_now() from generate_series(1, 30)"
    )
    aged(sql, "steps", 31, 5)
    assert prune(sql, "steps", 10) == 5
    assert value(sql, "select count(*) from ops_mission_steps") == 30


def test_a_mission_goes_with_its_steps_and_not_before_it(sql: Session) -> None:
    clock = Clock(sql)
    sql.execute("""select ops_enqueue_mission('old', '[{"kind": "noop"}, {"kind": "noop"}]')""")
    sql.execute("update ops_missions set created_at = ops_now()")
    sql.execute("select ops_cancel('mission', 1)")
    clock.step(31 * DAY_S)
    assert prune(sql, "steps") == 0
    assert prune(sql, "missions") == 1
    assert value(sql, "select count(*) from ops_mission_steps") == 0


@pytest.mark.usefixtures("scratch")
def test_what_was_said_is_kept_for_400_days_and_its_row_with_it(sql: Session) -> None:
    aged(sql, "roundtables", 399, 1)
    aged(sql, "roundtables", 401, 1)
    sql.execute(
        "insert into ops_roundtable_turns (conversation_id, speaker, dialogue)"
        " select id, 'sage', 'so' from ops_roundtable_queue"
    )
    assert prune(sql, "roundtables") == 1
    assert value(sql, "select count(*) from ops_roundtable_turns") == 1


@pytest.mark.usefixtures("scratch")
def test_a_proposal_that_a_key_protects_outlives_the_others(sql: Session) -> None:
    aged(sql, "proposals", 31, 2)
    sql.execute("update ops_mission_proposals set dedupe_key = 'once' where id = 1")
    sql.execute(
        "insert into ops_mission_proposals (agent_id, title, steps, created_at)"
        " values ('sage', 'waits', '[]', ops_now() - interval '900 days')"
    )
    assert prune(sql, "proposals") == 1
    assert value(sql, "select count(*) from ops_mission_proposals") == 2


def test_the_small_tables_are_kept_small(sql: Session) -> None:
    for days in (8, 6):
        sql.execute(
            "insert into ops_action_runs (part, status, started_at, completed_at)"
            " select 'x', 'succeeded', at, at from (values (ops_now() - %s * interval '1 day')) as aged (at)",
            (days,),
        )
        sql.execute(
            "insert into ops_slot_occurrences (slot_id, due_at, outcome, probability, taken_at)"
            " select min(id), ops_now() - %s * interval '4 days', 'missed', 1, ops_now() from ops_conversation_slots",
            (days,),
        )
        sql.execute(
            "insert into ops_trigger_inbox (event_id, created_at) values (%s, ops_now() - %s * interval '7 hours')",
            (days, days),
        )
        sql.execute(
            "insert into ops_workers (id, hostname, pid, version, parts, liveness_key, state, heartbeat_at)"
            " values (gen_random_uuid(), 'h', 1, '1', '{}', 1, 'stopped', ops_now() - %s * interval '1 day')",
            (days,),
        )
    assert value(sql, "select ops_prune_small(500)") == 4
    assert value(sql, "select ops_prune_small(500)") == 0


def test_what_belonged_to_something_that_is_gone_goes_too(sql: Session) -> None:
    mission = value(sql, "insert into ops_missions (title) values ('kept') returning id")
    for days in (40, 20):
        for context, gone in (
            ("mission", mission),
            ("mission", 10**6 + days),
            ("initiative", 10**6 + days),
            ("roundtable", days),
        ):
            sql.execute(
                "insert into ops_memory_influences"
                " (agent_id, context_type, context_id, rolled, probability, influenced, created_at)"
                " values ('sage', %s, %s, .5, .3, false, ops_now() - %s * interval '1 day') on conflict do nothing",
                (context, gone, days),
            )
        sql.execute(
            "insert into ops_notices (topic, title, created_at) values ('x', 'x', ops_now() - %s * interval '1 day')",
            (days,),
        )
        sql.execute(
            "insert into ops_idempotent_requests (key, request, created_at)"
            " values (%s::text, repeat('a', 64), ops_now() - %s * interval '7 hours')",
            (days, days),
        )
        sql.execute(
            "insert into ops_login_links (digest, expires_at)"
            " values (repeat(left(%s::text, 1), 64), ops_now() - %s * interval '1 hour')",
            (days, days),
        )
        sql.execute(
            "insert into ops_digests (day, facts, created_at)"
            " select at::date, '{}', at from (values (ops_now() - %s * interval '15 days')) as aged (at)",
            (days,),
        )
        sql.execute(
            "insert into ops_llm_spending (scope, since) values ('day', (ops_now() - %s * interval '15 days')::date)",
            (days,),
        )
    for spent in (mission, 10**6):
        sql.execute(
            "insert into ops_llm_spending (scope, name, since) values ('mission', %s::text, '2000-01-01')",
            (spent,),
        )
    # Two rolls, a notice, a request, a link, a digest, a day's budget and a mission's.
    assert value(sql, "select ops_prune_leftovers(500)") == 8
    assert value(sql, "select ops_prune_leftovers(500)") == 0
    assert value(sql, "select count(*) from ops_memory_influences") == 5


# Every table, and what keeps it from growing for ever. A new table gets its line here.
KEPT = {
    "goes by retention": "ops_mission_steps ops_missions ops_roundtable_queue ops_initiative_queue ops_agent_events"
    " ops_mission_proposals ops_trigger_firings ops_agent_reactions ops_llm_calls ops_action_runs ops_slot_occurrences"
    " ops_workers ops_trigger_inbox ops_memory_influences ops_notices ops_idempotent_requests ops_llm_spending ops_digests"
    " ops_login_links",
    "goes with what it belongs to": "ops_roundtable_turns ops_roundtable_distillates ops_outcomes ops_queue_slots",
    "stays for good": "ops_agent_memory ops_memory_confirmations ops_relationship_sources ops_policy_history",
    "has a row for each of something few": "ops_agents ops_agent_relationships ops_agent_schedules ops_memory_keepers"
    " ops_circuit_breaker ops_conversation_formats ops_conversation_slots ops_firsts ops_generation ops_guarded"
    " ops_heartbeat_parts ops_llm_keys ops_migrations ops_notice_clocks ops_pauses ops_policy ops_proposal_door"
    " ops_schema_objects ops_step_kinds ops_trigger_rules ops_trigger_watches ops_webhook_key",
}


def test_of_every_table_it_is_known_what_keeps_it_small(sql: Session) -> None:
    known = [table for tables in KEPT.values() for table in tables.split()]
    there = [
        row[0]
        for row in sql.execute(
            "select relname from pg_class where relkind in ('r', 'p') and relname like 'ops\\_%'"
            " and relnamespace = 'public'::regnamespace"
        )
    ]
    assert sorted(known) == sorted(there)


def test_the_ledger_is_kept_for_400_days(sql: Session) -> None:
    for days in (401, 399):
        sql.execute(
            "insert into ops_llm_calls (service, provider, model, purpose, day, lapses_at, created_at)"
            " select 'anthropic', 'mock', 'm', 'turn', at::date, at, at"
            " from (values (ops_now() - %s * interval '1 day')) as aged (at)",
            (days,),
        )
    assert value(sql, "select ops_prune_ledger(500)") == 1
    assert value(sql, "select ops_prune_ledger(500)") == 0


def test_retention_is_a_policy(sql: Session) -> None:
    happens(sql, "shop_opened")
    sql.execute("update ops_agent_events set created_at = ops_now() - interval '3 days'")
    assert prune(sql, "events") == 0
    sql.execute("""select ops_set_policy('retention', '{"events_days": 2}')""")
    assert prune(sql, "events") >= 1


def test_memories_stay_for_good(sql: Session) -> None:
    clock = Clock(sql)
    fill(sql, "sage", 3)
    clock.step(2000 * DAY_S)
    for what in WALKED:
        prune(sql, what)
    sql.execute("select ops_prune_small(500), ops_prune_ledger(500)")
    assert value(sql, "select count(*) from ops_agent_memory") == 3
