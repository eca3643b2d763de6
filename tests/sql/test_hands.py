"""What a hand in psql may write to the books behind the queues: refused by name where it would stop the work of others."""

from typing import Any

import psycopg
import pytest

from reactor.model.queues import Queue
from reactor.store.named import statements
from tests.support.queue_rows import claim, new_step, scalar

pytestmark = pytest.mark.sql

Sql = psycopg.Connection[tuple[Any, ...]]


@pytest.mark.parametrize(
    ("deed", "constraint"),
    [
        ("update ops_trigger_rules set topic_place = 2147483647", "rule_counts_have_room"),
        ("update ops_trigger_rules set fire_count = 9223372036854775807", "rule_counts_have_room"),
        ("update ops_agent_memory set tags = '{{a,b}}'", "memory_tags_are_a_list"),
        ("update ops_agent_memory set tags = '{a,null}'", "memory_tags_are_a_list"),
        ("update ops_agent_memory set used_count = 2147483647", "memory_used_count_has_room"),
        ("update ops_agent_memory set created_at = '-infinity'", "memory_created_at_is_a_date"),
        ("update ops_memory_keepers set changes = 9223372036854775807", "keeper_changes_have_room"),
        ("update ops_proposal_door set passed = 9223372036854775807", "door_passed_has_room"),
        ("insert into ops_circuit_breaker (service, permits) values ('x', '{infinity}')", "breaker_permits_are_dates"),
        ("insert into ops_circuit_breaker (service, permits) values ('x', '{null}')", "breaker_permits_are_dates"),
        (
            "insert into ops_circuit_breaker (service, state, opened_at) values ('x', 'open', '294276-12-31')",
            "breaker_opened_at_is_a_date",
        ),
        ("update ops_circuit_breaker set failure_count = 2147483647", "breaker_counts_have_room"),
        (
            "insert into ops_llm_keys (service, key_print, paused_until, reason)"
            " values ('a', 'b', 'infinity', 'key_refused')",
            "key_paused_until_is_a_date",
        ),
        ("insert into ops_llm_keys (service, key_print, times) values ('a', 'b', 2147483647)", "key_times_have_room"),
        ("insert into ops_llm_spending (scope, since, usd) values ('day', now(), 99999999)", "spending_has_room"),
        ("update ops_outcomes set value = 1e308", "outcome_value_can_be_compared"),
        ("update ops_outcomes set value = 1e-320", "outcome_value_can_be_compared"),
        (
            "update ops_agent_relationships set total_interactions = 2147483647",
            "relationship_interactions_have_room",
        ),
    ],
)  # fmt: skip
def test_what_could_not_be_counted_or_reckoned_with_is_refused(sql: Sql, deed: str, constraint: str) -> None:
    sql.execute("select ops_remember('sage', 'insight', 'tea at four', .9, '{tea,noon}', 'x:1')")
    sql.execute("select ops_record_outcome(%s, 'likes', 3)", (new_step(sql),))
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        sql.execute(deed.encode())
    assert refused.value.diag.constraint_name == constraint


def test_a_payload_that_comes_compressed_is_weighed_unpacked(sql: Sql) -> None:
    # In a table of one's own a text of one letter is a thousandth of its size, and goes from there as it lies.
    sql.execute("create table mine (p jsonb)")
    sql.execute("insert into mine select jsonb_build_object('a', repeat('x', 40000000))")
    assert scalar(sql, "select pg_column_size(p) from mine") < 1_000_000
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        sql.execute("insert into ops_mission_steps (kind, payload) select 'noop', p from mine")
    assert refused.value.diag.constraint_name == "step_payload_is_at_most_1_mib"
    good = new_step(sql)
    assert [held.id for held in claim(sql, Queue.MISSION)] == [good]


def test_a_reactor_with_the_longest_of_names_is_buried_with_its_event(sql: Sql) -> None:
    sql.execute(
        "insert into ops_workers (id, hostname, pid, version, parts, liveness_key)"
        " values (gen_random_uuid(), repeat('h', 1000), 1, '0', '{}', 1)"
    )
    sql.execute("update ops_workers set state = 'dead'")
    assert scalar(sql, "select count(*) from ops_agent_events where kind = 'reactor_gone'") == 1


def test_calls_from_a_future_nobody_has_seen_hold_nobody_up(sql: Sql) -> None:
    sql.execute(
        "insert into ops_llm_calls"
        " (created_at, lapses_at, day, service, provider, key_print, model, purpose, outcome, settled_at)"
        " select '2999-01-01', '2999-01-01', '2999-01-01', 'anthropic', 'anthropic', 'k', 'm', 'turn', 'ok', now()"
        " from generate_series(1, 100)"
    )
    assert scalar(sql, "select ops_llm_rate_wait('anthropic', 'k')") is None


def test_what_a_stranger_s_outcome_or_the_last_place_of_a_mission_teaches_stops_no_lesson(sql: Sql) -> None:
    step = new_step(sql, agent_id="sage")
    for id in (step, new_step(sql), new_step(sql), new_step(sql)):
        sql.execute("select ops_record_outcome(%s, 'likes', %s)", (id, 100 if id == step else 1))
    sql.execute("delete from ops_agent_memory")
    sql.execute("update ops_outcomes set agent_id = 'nobody' where step_id <> %s", (step,))
    assert scalar(sql, "select ops_learn_from_outcomes()") == 1
    sql.execute("insert into ops_missions (title) values ('m')")
    sql.execute(
        "insert into ops_mission_steps (mission_id, seq, kind, agent_id) values (1, -2147483648, 'noop', 'sage')"
    )
    sql.execute(
        "update ops_mission_steps set status = 'running', claimed_by = gen_random_uuid(), claim_token = gen_random_uuid()"
        " where mission_id = 1"
    )
    sql.execute(
        "update ops_mission_steps set status = 'succeeded', result = '{\"lesson\": \"look twice\"}' where mission_id = 1"
    )
    sql.execute("select ops_roll_up('{1}')")
    assert scalar(sql, "select status from ops_missions where id = 1") == "succeeded"
    assert scalar(sql, "select count(*) from ops_agent_memory where source_trace_id = 'mission:1'") == 1


def test_a_notice_that_has_to_wait_for_a_person_is_told_by_no_other(sql: Sql) -> None:
    sql.execute("select ops_set_policy('notify', '{\"url\": \"https://example.com/hook\"}')")
    sql.execute("select ops_set_policy('hold_step_kinds', '[\"webhook\", \"notify\"]')")
    sql.execute("insert into ops_mission_steps (kind) values ('webhook')")
    assert sql.execute("select kind, status from ops_mission_steps order by id").fetchall() == [
        ("webhook", "waiting"),
        ("notify", "waiting"),
    ]


def test_a_slot_that_counts_from_before_all_calendars_has_a_time_like_any_other(sql: Sql) -> None:
    sql.execute("update ops_conversation_slots set since = '4714-11-24 00:00:00+00 BC' where id = 1")
    sql.execute("update ops_conversation_slots set since = 'infinity' where id = 2")
    found: dict[int, bool] = dict(
        sql.execute(
            "select id, since between now() - interval '11 years' and now() + interval '11 years' from ("
            + statements("schedule")["slots"].rstrip().rstrip(";")
            + ") as slot (id, name, cron, zone, format, probability, enabled, since)"
        ).fetchall()
    )
    assert set(found.values()) == {True}
