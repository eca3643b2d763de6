"""``doctor``: each finding is made true, and named with what to do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from reactor.cli.doctor import examine
from reactor.cli.doctor.finding import Finding
from reactor.settings import Settings
from reactor.store import doctor as questions
from tests.cli.conftest import Voxyz
from tests.engine.support import Memory, reactor_on
from tests.support.messages_api import Say, failing, messages_api
from tests.support.pgbouncer import PgBouncer, needs_pgbouncer, pgbouncer
from tests.support.server import PrivateServer

Sql = psycopg.Connection[tuple[Any, ...]]


async def found(dsn: str, **environ: str) -> dict[str, Finding]:
    """What doctor finds, by check."""
    settings = Settings.load({"DATABASE_URL": dsn, **environ}, Path("/nonexistent"))
    return {one.check: one async for one in examine(settings)}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been open for a moment is old, and one transaction is many."""
    for name, value in {"old_transactions": 0.0, "prepared": 0.0, "bell_keepers": 0.0, "slots": 0}.items():
        question = getattr(questions, name)
        monkeypatch.setattr(questions, name, lambda conn, q=question, v=value: q(conn, v))


def test_a_sound_database_is_found_sound(voxyz: Voxyz) -> None:
    answer = voxyz("doctor", "--json")
    assert answer.code == 0
    verdicts = {finding["check"]: finding["verdict"] for finding in answer.json}
    assert "broken" not in verdicts.values()
    assert [name for name, verdict in verdicts.items() if verdict == "warning"] == ["reactors", "company"]
    assert list(verdicts) == [
        *("settings", "key", "database", "version", "pooler", "ring", "rights", "schema", "drift"),
        *("triggers", "logical apply", "row security", "clock", "size", "transactions"),
        *("prepared transactions", "replication", "doorbell", "reactors", "rows", "company"),
    ]
    assert "voxyz-reactor run" in voxyz("doctor").out


def test_what_is_broken_is_the_exit_code(voxyz: Voxyz, anywhere: Voxyz, sql: Sql) -> None:
    sql.execute("drop index ops_mission_steps_claim_idx")
    answer = voxyz("doctor", "--json")
    assert answer.code == 1
    [finding] = [one for one in answer.json if one["verdict"] == "broken"]
    assert finding["check"] == "drift"
    assert voxyz("doctor").code == 1
    assert anywhere("doctor", "--json", OPS_PORT="x").json[0]["verdict"] == "broken"


@pytest.mark.parametrize(
    ("harm", "check", "said", "advice"),
    [
        (
            "alter table ops_mission_steps disable trigger ops_mission_steps_ring_on_insert",
            "triggers",
            "disabled: ops_mission_steps_ring_on_insert",
            "enable trigger ops_mission_steps_ring_on_insert`; until then only the sweeps find new rows",
        ),
        (
            "alter table ops_mission_steps disable trigger ops_mission_steps_place",
            "triggers",
            "disabled: ops_mission_steps_place",
            "enable trigger ops_mission_steps_place`; until then what it sees to is not seen to",
        ),
        (
            "drop trigger ops_roundtable_queue_ring_on_update on ops_roundtable_queue",
            "triggers",
            "missing: ops_roundtable_queue_ring_on_update",
            "migrate --again",
        ),
        (
            "create or replace trigger ops_mission_steps_ring_on_insert after insert on ops_mission_steps"
            " for each statement execute function ops_ring()",
            "triggers",
            "changed by hand: ops_mission_steps.ops_mission_steps_ring_on_insert",
            "migrate --again",
        ),
        ("delete from ops_migrations where name like 'functions/%'", "schema", "behind", "migrate"),
        (
            "update ops_migrations set checksum = 'x' where name like 'schema/%'",
            "schema",
            "restore the file",
            "",
        ),
        (
            "create or replace function ops_ring_all() returns void language sql volatile"
            " set search_path = public, pg_temp as 'select null'",
            "drift",
            "function ops_ring_all() is changed",
            "migrate --again",
        ),
        (
            "create or replace function ops_now() returns timestamptz language sql stable as 'select now()'",
            "drift",
            "function ops_now() is changed",
            "put back function ops_now() as sql/schema/0010_clock.sql has it",
        ),
        ("drop function ops_ring_all() cascade", "drift", "function ops_ring_all() is missing", "--again"),
        (
            "alter table ops_agents drop column quirk cascade",
            "drift",
            "column ops_agents.quirk is missing",
            "text",
        ),
        ("alter table ops_workers alter column hostname drop not null", "drift", "hostname is changed", "text not null"),
        ("drop index ops_mission_steps_claim_idx", "drift", "index ops_mission_steps_claim_idx is missing", "CREATE INDEX"),
        (
            "alter table ops_mission_steps drop constraint step_payload_is_an_object",
            "drift",
            "constraint ops_mission_steps.step_payload_is_an_object is missing",
            "CHECK",
        ),
        ("delete from ops_schema_objects", "drift", "nobody kept a list", "migrate"),
        ("alter table ops_agents disable row level security", "row security", "off for ops_agents", "enable row"),
        ("grant select on ops_agents to public", "row security", "everybody", "revoke"),
        ("grant execute on function ops_ring_all() to public", "row security", "ops_ring_all()", "revoke"),
        (
            "create or replace function ops_now() returns timestamptz language sql stable"
            " as $$ select now() + interval '5 minutes' $$",
            "clock",
            "ahead of this machine's",
            "NTP",
        ),
        ("select ops_pause('mission', 'a look')", "pause", "mission is paused", "resume mission"),
        (
            "update ops_circuit_breaker set state = 'open', opened_at = ops_now(), failure_count = 5"
            " where service = 'anthropic'",
            "breaker",
            "anthropic is open",
            "breaker reset",
        ),
        (
            "insert into ops_llm_keys (service, key_print, paused_until, reason)"
            " values ('anthropic', 'abc', ops_now() + interval '10 minutes', 'key_refused')",
            "calls",
            "anthropic is asked nothing for 10 min: it refuses the key",
            "ANTHROPIC_API_KEY",
        ),
        (
            "insert into ops_llm_keys (service, key_print, paused_until, reason)"
            " values ('anthropic', 'abc', ops_now() + interval '30 seconds', 'rate_limited')",
            "calls",
            "it asks for fewer calls",
            "requests_per_minute",
        ),
    ],
)  # fmt: skip
async def test_a_harm_is_named_with_what_to_do(
    database: str, sql: Sql, harm: str, check: str, said: str, advice: str
) -> None:
    sql.execute(harm.encode())
    finding = (await found(database))[check]
    assert finding.verdict != "ok"
    assert said in finding.finding
    assert advice in finding.do


def test_what_was_changed_by_hand_is_made_again(voxyz: Voxyz, sql: Sql) -> None:
    definition = "select prosrc from pg_proc where proname = 'ops_ring_all'"
    before = sql.execute(definition.encode()).fetchone()
    sql.execute("create or replace function ops_ring_all() returns void language sql as 'select null'")
    sql.execute("drop trigger ops_roundtable_queue_ring_on_update on ops_roundtable_queue")
    assert "nothing to do" in voxyz("migrate").out
    assert voxyz("doctor").code == 1
    assert "applied" in voxyz("migrate", "--again").out
    assert sql.execute(definition.encode()).fetchone() == before
    assert voxyz("doctor").code == 0


async def test_a_run_of_migrate_does_not_take_an_accident_for_the_truth(
    database: str, sql: Sql, voxyz: Voxyz
) -> None:
    sql.execute("alter table ops_agents drop column quirk cascade")
    sql.execute("update ops_migrations set checksum = 'older' where name = 'triggers/wake.sql'")
    assert "2 files applied" in voxyz("migrate").out
    assert "ops_agents.quirk is missing" in (await found(database))["drift"].finding


async def test_who_holds_back_vacuum_is_named(
    database: str, sql: Sql, server: PrivateServer, impatient: None
) -> None:
    with psycopg.connect(database, application_name="a long report") as reader:
        reader.execute("select 1")
        one = (await found(database))["transactions"]
        assert one.verdict == "warning"
        assert (
            f"session {reader.info.backend_pid} (a long report, user voxyz) has one open since" in one.finding
        )
        assert f"pg_terminate_backend({reader.info.backend_pid})" in one.do
        reader.execute("create table scratch (id integer)")
        reader.execute("prepare transaction 'half done'")
    try:
        one = (await found(database))["prepared transactions"]
        assert one.verdict == "warning"
        assert f"'half done' of user voxyz in database {sql.info.dbname} waits since" in one.finding
        assert "commit prepared 'half done'" in one.do
    finally:
        sql.execute("rollback prepared 'half done'")
    sql.execute("select pg_create_physical_replication_slot('nobodys', true)")
    try:
        one = (await found(database))["replication"]
        assert one.verdict == "warning"
        assert "slot nobodys, read by nobody, keeps" in one.finding
        assert "pg_drop_replication_slot('nobodys')" in one.do
    finally:
        sql.execute("select pg_drop_replication_slot('nobodys')")


async def test_who_keeps_the_bell_is_named(database: str, impatient: None) -> None:
    with psycopg.connect(database, application_name="an import") as writer:
        writer.execute("set local ops.ring = 'on'")
        writer.execute("insert into ops_mission_steps (kind) values ('noop')")
        one = (await found(database))["doorbell"]
        assert one.verdict == "warning"
        assert f"session {writer.info.backend_pid} (an import, user voxyz) inserted in silence" in one.finding
        assert "queue mission" in one.finding


async def test_a_silenced_session_is_told_so(database: str, sql: Sql) -> None:
    sql.execute(f"alter database {sql.info.dbname} set session_replication_role = 'replica'".encode())
    one = (await found(database))["triggers"]
    assert (one.verdict, "session_replication_role is replica" in one.finding) == ("broken", True)


async def test_a_role_that_may_only_read_is_told_so(database: str, sql: Sql) -> None:
    sql.execute(f"alter database {sql.info.dbname} set default_transaction_read_only = on".encode())
    one = (await found(database))["version"]
    assert one.verdict == "broken"
    assert "default_transaction_read_only" in one.do


async def test_a_subscription_that_writes_our_tables_is_named(database: str, sql: Sql) -> None:
    sql.execute(
        "create subscription feed connection 'host=nowhere' publication p"
        " with (connect = false, slot_name = none, enabled = false)"
    )
    try:
        # What a refresh of the subscription would do, had it a publisher.
        sql.execute("set allow_system_table_mods = on")
        sql.execute(
            "insert into pg_subscription_rel (srsubid, srrelid, srsubstate)"
            " select oid, 'ops_mission_steps'::regclass, 'r' from pg_subscription where subname = 'feed'"
        )
        one = (await found(database))["logical apply"]
        assert one.verdict == "warning"
        assert "subscription feed of user voxyz writes ops_mission_steps" in one.finding
        assert "enable always" in one.do
    finally:
        sql.execute("drop subscription feed")


async def test_rights_and_hidden_rows_and_sessions_of_others_are_told(
    database: str, sql: Sql, server: PrivateServer
) -> None:
    server.run("drop role if exists poor")
    server.run("create role poor login")
    as_poor = make_conninfo("", **{**conninfo_to_dict(database), "user": "poor"})
    try:
        one = (await found(as_poor))["rights"]
        assert "this role may not read and write ops_action_runs" in one.finding
        sql.execute("grant select, insert, update, delete on all tables in schema public to poor")
        one = (await found(as_poor))["rights"]
        assert "row-level security hides every row of ops_action_runs" in one.finding
        sql.execute("alter role poor bypassrls")
        one = (await found(as_poor))["rights"]
        assert "may not call" in one.finding
        assert "grant execute" in one.do
    finally:
        sql.execute("drop owned by poor")
        server.run("drop role poor")


async def test_reactors_that_do_not_beat_and_rows_nobody_has_are_named(database: str, sql: Sql) -> None:
    async with reactor_on(database, Memory()):
        assert (await found(database))["reactors"].finding == "1 running"
        sql.execute(
            "insert into ops_workers (id, hostname, pid, version, parts, liveness_key, state, heartbeat_at)"
            " values (%s, 'old-box', 77, '0', '{}', 5, 'ready', ops_now() - interval '40 seconds')",
            (uuid4(),),
        )
        one = (await found(database))["reactors"]
        assert one.verdict == "warning"
        assert "process 77 on old-box has not beaten since" in one.finding
        sql.execute("update ops_workers set heartbeat_at = ops_now(), liveness_key = 0 where pid = 77")
        one = (await found(database))["reactors"]
        assert "process 77 on old-box works on sweeps alone" in one.finding
        sql.execute("update ops_workers set state = 'dead' where pid = 77")
    sql.execute("insert into ops_mission_steps (kind) values ('noop')")
    sql.execute(
        "update ops_mission_steps set status = 'running', claimed_by = (select id from ops_workers where pid = 77),"
        " claim_token = gen_random_uuid(), started_at = ops_now()"
    )
    one = (await found(database))["rows"]
    assert "1 rows are running in a process that is gone" in one.finding


@pytest.mark.parametrize(
    ("answer", "verdict", "said", "do"),
    [
        (lambda asked: Say(body=b'{"id": "m", "type": "model", "display_name": "m"}'), "ok", "accepted", ""),
        (failing(401, "authentication_error", "invalid x-api-key"), "broken", "key refused", "ANTHROPIC_API_KEY"),
        (failing(404, "not_found_error", "model: m"), "warning", "no model", "VOXYZ_MODEL"),
        (failing(529, "overloaded_error"), "warning", "failed", "status page"),
    ],
)  # fmt: skip
async def test_the_key_is_shown_to_the_provider(
    database: str, answer: Any, verdict: str, said: str, do: str
) -> None:
    async with messages_api(answer) as api:
        one = (await found(database, ANTHROPIC_API_KEY="sk-test-00000000", ANTHROPIC_BASE_URL=api.url))["key"]
        assert (one.verdict, said in one.finding, do in one.do) == (verdict, True, True)
        assert "sk-test" not in str(one)
        assert [asked.path.partition("?")[0] for asked in api.asked] == ["/v1/models/claude-haiku-5-5"]


async def test_a_database_that_is_away_or_too_old_to_have_a_schema(empty_database: str) -> None:
    one = (await found("postgresql://nobody@127.0.0.1:1/x"))["database"]
    assert one.verdict == "broken"
    found_there = await found(empty_database)
    assert found_there["schema"].verdict == "broken"
    assert "voxyz-reactor migrate" in found_there["schema"].do


@pytest.fixture
def transactions(server: PrivateServer) -> Iterator[PgBouncer]:
    with pgbouncer(server, "transaction") as running:
        yield running


@needs_pgbouncer
async def test_a_transaction_pooler_is_named_with_the_remedy_and_nothing_is_left_there(
    database: str, transactions: PgBouncer
) -> None:
    name = str(conninfo_to_dict(database)["dbname"])
    behind = await found(transactions.dsn_of(name))
    assert (behind["pooler"].verdict, behind["ring"].verdict) == ("broken", "broken")
    assert "DATABASE_URL leads through a proxy that pools transactions" in behind["pooler"].finding
    assert "set DIRECT_URL" in behind["pooler"].do
    beside = await found(transactions.dsn_of(name), DIRECT_URL=database)
    assert (beside["pooler"].verdict, beside["ring"].verdict) == ("ok", "ok")
    wrong = await found(database, DIRECT_URL=transactions.dsn_of(name))
    assert "DIRECT_URL leads through" in wrong["pooler"].finding
    assert transactions.left_behind(name) == []


@needs_pgbouncer
def test_commands_and_migrate_and_run_leave_nothing_on_a_pooler(
    anywhere: Voxyz, empty_database: str, transactions: PgBouncer
) -> None:
    name = str(conninfo_to_dict(empty_database)["dbname"])
    behind = transactions.dsn_of(name)
    assert "applied" in anywhere("migrate", DATABASE_URL=behind).out
    assert anywhere("enqueue", "step", "noop", DATABASE_URL=behind).code == 0
    assert anywhere("status", DATABASE_URL=behind).code == 0
    answer = anywhere("doctor", DATABASE_URL=behind)
    assert answer.code == 1
    assert "set DIRECT_URL" in answer.out
    assert transactions.left_behind(name) == []
