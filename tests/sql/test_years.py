"""From the first migration to the last with rows in place, beside people who write, and for a month of work."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trio

from reactor.pg.migrations import migrate, sql_root
from tests.support.queue_rows import claim, new_step, scalar
from tests.support.waiting import until

pytestmark = pytest.mark.sql

Session = psycopg.Connection[tuple[Any, ...]]

# A row of every table, in the words of the version that brought the table.
ROWS = {
    "ops_agents": "insert into ops_agents (id, display_name) values ('zoe', 'Zoe'), ('yan', 'Yan')",
    "ops_policy": "insert into ops_policy (key, value) values ('of_old', '{\"a\": 1}')",
    "ops_policy_history": "insert into ops_policy_history (key, version, value) values ('of_old', 1, '{}')",
    "ops_pauses": "insert into ops_pauses (queue) values ('roundtable')",
    "ops_step_kinds": "insert into ops_step_kinds (kind) values ('of_old')",
    "ops_missions": "insert into ops_missions (title, status) values ('old', 'running')",
    "ops_mission_steps": "insert into ops_mission_steps (mission_id, kind) values (1, 'noop'), (null, 'noop')",
    "ops_roundtable_queue": "insert into ops_roundtable_queue (format, status) values ('standup', 'succeeded')",
    "ops_initiative_queue": "insert into ops_initiative_queue (agent_id) values ('zoe')",
    "ops_agent_events": "insert into ops_agent_events (kind) values ('of_old')",
    "ops_workers": "insert into ops_workers (id, hostname, pid, version, parts, liveness_key)"
    " values (gen_random_uuid(), 'h', 1, '0', '{mission}', 1)",
    "ops_circuit_breaker": "insert into ops_circuit_breaker (service) values ('of-old')",
    "ops_agent_relationships": "insert into ops_agent_relationships (agent_a, agent_b) values ('yan', 'zoe')",
    "ops_relationship_sources": "insert into ops_relationship_sources (agent_a, agent_b, source) values ('yan', 'zoe', 's')",
    "ops_mission_proposals": "insert into ops_mission_proposals (agent_id, title, steps) values ('zoe', 'x', '[]')",
    "ops_llm_calls": "insert into ops_llm_calls (lapses_at, day, service, provider, model, purpose)"
    " values (now(), now(), 's', 'p', 'm', 'turn')",
    "ops_llm_spending": "insert into ops_llm_spending (scope, since) values ('day', now())",
    "ops_llm_keys": "insert into ops_llm_keys (service, key_print) values ('s', 'k')",
    "ops_agent_schedules": "insert into ops_agent_schedules (agent_id, hour, activity_weight) values ('zoe', 1, .5)",
    "ops_roundtable_turns": "insert into ops_roundtable_turns (conversation_id, turn, speaker) values (1, 1, 'zoe')",
    "ops_agent_memory": "insert into ops_agent_memory (agent_id, type, content) values ('zoe', 'lesson', 'one')",
    "ops_outcomes": "insert into ops_outcomes (step_id, metric, value) values (1, 'clicks', 3)",
    "ops_memory_keepers": "insert into ops_memory_keepers (agent_id) values ('zoe')",
    "ops_memory_influences": "insert into ops_memory_influences"
    " (agent_id, context_type, context_id, rolled, probability, influenced) values ('zoe', 'mission', 1, .5, .3, false)",
    "ops_trigger_inbox": "insert into ops_trigger_inbox (event_id) values (1)",
    "ops_agent_reactions": "insert into ops_agent_reactions (reaction, event_id, agent_id, rolled, probability, created_at)"
    " values ('r', 1, 'zoe', .5, .5, now())",
    "ops_action_runs": "insert into ops_action_runs (part, status, started_at) values ('x', 'succeeded', now())",
    "ops_notices": "insert into ops_notices (topic, title) values ('x', 'x')",
    "ops_digests": "insert into ops_digests (day, facts) values (now(), '{}')",
    "ops_memory_confirmations": "insert into ops_memory_confirmations (agent_id, source_trace_id, memory_id)"
    " values ('zoe', 'mission:1', 1)",
    "ops_queue_slots": "insert into ops_queue_slots (queue, row_id, claim_token) values ('mission', 99, gen_random_uuid())",
    "ops_notice_clocks": "insert into ops_notice_clocks (topic, last_at) values ('mission_failed', now())",
    "ops_conversation_formats": "insert into ops_conversation_formats"
    " (format, min_agents, max_agents, min_turns, max_turns, temperature, instruction, ending)"
    " values ('of_old', 2, 3, 4, 6, .5, 'x', 'x')",
    "ops_conversation_slots": "insert into ops_conversation_slots (name, cron, format)"
    " values ('old', '0 6 * * *', 'of_old')",
    "ops_slot_occurrences": "insert into ops_slot_occurrences (slot_id, due_at, outcome, probability, taken_at)"
    " values (1, now(), 'missed', 1, now())",
    "ops_trigger_rules": "insert into ops_trigger_rules (name, mode, event_kind, agent_id, title, steps)"
    " values ('of_old', 'event', 'of_old', 'zoe', 'x', '[]')",
    "ops_trigger_firings": "insert into ops_trigger_firings (rule_id, event_id, rolled, probability, created_at)"
    " values (1, 1, .5, .5, now())",
    "ops_trigger_watches": "insert into ops_trigger_watches (event_kind, every_tag) values ('of_old', true)",
    "ops_heartbeat_parts": "insert into ops_heartbeat_parts (part, next_at) values ('of_old', now())",
    "ops_idempotent_requests": "insert into ops_idempotent_requests (key, request) values ('of-old', repeat('a', 64))",
    "ops_login_links": "insert into ops_login_links (digest, expires_at) values (repeat('a', 64), now())",
    "ops_roundtable_distillates": "insert into ops_roundtable_distillates (conversation_id, status) values (1, 'landed')",
}


def test_every_stage_of_the_schema_takes_the_rows_of_those_before_it(
    empty_database: str, tmp_path: Path
) -> None:
    (tmp_path / "schema").mkdir()
    stages = sorted((sql_root() / "schema").glob("*.sql"))
    filled: dict[str, int] = {}
    with psycopg.connect(empty_database, autocommit=True) as sql:
        for stage in stages:
            shutil.copy(stage, tmp_path / "schema")
            trio.run(lambda: migrate(empty_database, root=tmp_path))
            for table, insert in ROWS.items():
                if table not in filled and scalar(sql, "select to_regclass(%s) is not null", table):
                    filled[table] = sql.execute(insert.encode()).rowcount
        assert filled.keys() == ROWS.keys()
        trio.run(migrate, empty_database)
        for table, rows in filled.items():
            assert scalar(sql, f"select count(*) from {table}") >= rows, table
        assert len(claim(sql)) == 2
        new_step(sql)
        assert scalar(sql, "select value from ops_policy where key = 'of_old'") == {"a": 1}
    again = trio.run(migrate, empty_database)
    assert again.applied == []


def test_every_table_is_walked_with_a_row_in_it(database: str, sql: Session) -> None:
    """A table that a later migration brings must be named above, or here, where the schema itself puts a row."""
    by_the_schema = {"ops_proposal_door", "ops_webhook_key", "ops_firsts", "ops_migrations", "ops_generation"}
    made_by_others = {"ops_guarded", "ops_schema_objects"}
    tables = {
        row[0]
        for row in sql.execute(
            "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
        )
    }
    assert tables - by_the_schema - made_by_others - ROWS.keys() == set()


@contextmanager
def writing(dsn: str) -> Iterator[list[int]]:
    """Somebody inserts one step after the other, each in a transaction of its own; the ids so far."""
    ids: list[int] = []
    stop = threading.Event()
    failed: list[BaseException] = []

    def write() -> None:
        try:
            with psycopg.connect(dsn, autocommit=True) as session:
                while not stop.is_set():
                    ids.append(new_step(session))
                    stop.wait(0.005)
        except BaseException as error:
            failed.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield ids
    finally:
        stop.set()
        writer.join(30)
    assert not failed


async def test_a_new_version_starts_beside_a_long_transaction_and_writers_are_held_up_for_moments_only(
    database: str, sql: Session, tmp_path: Path
) -> None:
    shutil.copytree(sql_root(), tmp_path / "sql")
    newer = (
        "alter table ops_mission_steps add column colour text; create index x on ops_mission_steps (colour);"
    )
    (tmp_path / "sql" / "schema" / "9000_newer.sql").write_text(newer)
    waiting = (
        "select count(*) from pg_stat_activity where application_name = 'voxyz-reactor migrate'"
        " and wait_event_type = 'Lock' and datname = current_database()"
    )
    with writing(database) as ids, psycopg.connect(database) as long:
        long.execute("select count(*) from ops_mission_steps")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: migrate(database, root=tmp_path / "sql"))
            await until(lambda: scalar(sql, waiting) == 1, within_s=30)
            written = len(ids)
            # The migration's wait ends by itself, and everybody who queued behind it goes on.
            await until(lambda: len(ids) > written + 50, within_s=30)
            assert (
                scalar(sql, "select count(*) from ops_migrations where name = 'schema/9000_newer.sql'") == 0
            )
            long.rollback()
        assert scalar(sql, "select count(*) from ops_migrations where name = 'schema/9000_newer.sql'") == 1
        after = len(ids)
        await until(lambda: len(ids) > after + 10, within_s=30)
    assert scalar(sql, "select count(*) from ops_mission_steps where colour is null") == len(ids)


@pytest.mark.parametrize("published", ["0080_workers.sql", "0227_leftovers.sql"])
async def test_every_later_version_starts_on_an_old_one_beside_a_long_transaction_and_writers(
    empty_database: str, tmp_path: Path, published: str
) -> None:
    """From a schema as it once was, whatever came after it, all at once; later files are found by themselves."""
    (tmp_path / "schema").mkdir()
    stages = sorted((sql_root() / "schema").glob("*.sql"))
    for stage in stages:
        if stage.name <= published:
            shutil.copy(stage, tmp_path / "schema")
    await migrate(empty_database, root=tmp_path)
    with psycopg.connect(empty_database, autocommit=True) as sql, writing(empty_database) as ids:
        with psycopg.connect(empty_database) as long:
            # Another's snapshot, and the weakest lock there is on the busiest tables. Nothing of the security is there
            # yet, so one file locks every table, while writers with triggers go from table to table.
            long.execute("set transaction isolation level repeatable read")
            long.execute("select count(*) from ops_mission_steps, ops_agent_events, ops_workers")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: migrate(empty_database))
                for _ in range(3):
                    written = len(ids)
                    await until(lambda before=written: len(ids) > before + 30, within_s=60)  # type: ignore[misc]  # bound at once
                long.rollback()
        after = len(ids)
        await until(lambda: len(ids) > after + 10, within_s=60)
        applied = "select count(*) from ops_migrations where name like 'schema/%'"
        assert scalar(sql, applied) == len(stages)
    with psycopg.connect(empty_database, autocommit=True) as sql:
        assert scalar(sql, "select count(*) from ops_mission_steps") == len(ids)
        assert len(claim(sql, limit=10)) == 10


def test_retention_beside_a_drain_waits_for_nobody_and_takes_nothing_young(
    database: str, sql: Session
) -> None:
    old = 5000
    sql.execute(
        "insert into ops_mission_steps (kind, status, created_at, completed_at)"
        " select 'noop', 'succeeded', at, at from (values (now() - interval '40 days')) as aged (at),"
        f" generate_series(1, {old})"
    )
    with writing(database) as ids, psycopg.connect(database, autocommit=True) as pruner:
        # Any wait for somebody else's lock fails it.
        pruner.execute("set lock_timeout = '1ms'")
        after: int | None = 0
        gone = 0
        while after is not None:
            held = claim(sql, limit=50)
            row = pruner.execute(
                "select deleted, walked_to from ops_prune_steps(%s, 200)", (after,)
            ).fetchone()
            assert row is not None
            gone, after = gone + row[0], row[1]
            sql.execute(
                "update ops_mission_steps set status = 'succeeded', completed_at = now() where id = any (%s)",
                ([one.id for one in held],),
            )
    assert gone == old
    assert scalar(sql, "select count(*) from ops_mission_steps") == len(ids)


# Thirty days of what six agents may do at most by default: 240 steps, 120 proposals, 10 conversations of 12 turns,
# 200 calls a day; 4 events a step; results as long as the default models answer. Text that does not compress.
MONTH = """
create function words(n bigint, length integer) returns text language sql as $$
  select left(string_agg(md5(n::text || part::text), ' '), length) from generate_series(0, length / 32) as part;
$$;
set session_replication_role = replica;
insert into ops_missions (title, status, created_by, created_at, completed_at)
select 'a mission ' || words(n, 40), 'succeeded', 'sage', now(), now()
from generate_series(1, 120 * 30) as n;
insert into ops_mission_steps (mission_id, seq, kind, agent_id, status, completed_at, claim_token, payload, result)
select
  n / 2 + 1, n % 2 + 1, 'research', 'sage', 'succeeded', now(), gen_random_uuid(),
  jsonb_build_object('topic', words(n, 100)), jsonb_build_object('text', words(n, 1500))
from generate_series(0, 240 * 30 - 1) as n;
insert into ops_mission_proposals (agent_id, title, description, steps, status, mission_id, decided_at, decision)
select
  'sage', 'a proposal ' || n, words(n, 300),
  jsonb_build_array(jsonb_build_object('kind', 'research', 'payload', jsonb_build_object('topic', words(n, 100)))),
  'accepted', n, now(), '{"gate": "auto_approve"}'
from generate_series(1, 120 * 30) as n;
insert into ops_roundtable_queue (format, topic, status, completed_at, result)
select 'standup', words(n, 80), 'succeeded', now(), jsonb_build_object('summary', words(n, 300))
from generate_series(1, 10 * 30) as n;
insert into ops_roundtable_turns (conversation_id, turn, speaker, dialogue)
select n / 12 + 1, n % 12 + 1, 'sage', words(n, 120)
from generate_series(0, 120 * 30 - 1) as n;
insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata)
select
  'step_succeeded', 'sage', words(n, 40), words(n, 100), '{step,research}',
  jsonb_build_object('step_id', n, 'mission_id', n)
from generate_series(1, 960 * 30) as n;
insert into ops_llm_calls (lapses_at, day, service, provider, model, purpose, agent_id, work, outcome, settled_at)
select now(), now(), 'anthropic', 'anthropic', 'claude-haiku-5-5', 'step:research', 'sage', 'step:' || n, 'ok', now()
from generate_series(1, 200 * 30) as n;
insert into ops_agent_memory (agent_id, type, content, tags, source_trace_id, confidence)
select 'sage', 'insight', words(n, 300), '{a,b}', 'roundtable:' || n, .7
from generate_series(1, 60 * 30) as n;
insert into ops_agent_reactions (reaction, event_id, agent_id, rolled, probability, created_at)
select 'x', n, 'sage', .5, .3, now()
from generate_series(1, 100 * 30) as n;
insert into ops_memory_influences (agent_id, context_type, context_id, rolled, probability, influenced)
select 'sage', 'mission', n, .5, .3, false
from generate_series(1, 160 * 30) as n;
insert into ops_action_runs (part, status, started_at)
select 'rules', 'succeeded', now()
from generate_series(1, 288 * 7) as n;
"""


@pytest.mark.chaos
def test_a_month_at_the_ceiling_of_the_default_limits_stays_under_100_mb(database: str, sql: Session) -> None:
    sql.execute(MONTH.encode())  # what triggers would add is counted in it
    assert 30e6 < scalar(sql, "select pg_database_size(current_database())") < 100e6
