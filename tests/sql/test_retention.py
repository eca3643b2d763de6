"""What is no longer kept: in small batches, nothing young, nothing that others need."""

from typing import Any

import psycopg
import pytest

from reactor.store.heartbeat import WALKED
from tests.support.clock import Clock
from tests.support.memories import fill, value
from tests.support.rules import happens

Session = psycopg.Connection[tuple[Any, ...]]
HOUR_S = 3600.0
DAY_S = 86400.0
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
