"""What voxyz_reactor, voxyz_writer and voxyz_reader may do, and what none of them may."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import trio

from reactor.errors import AccessDenied
from reactor.pg.migrations import migrate
from tests.support.queue_rows import scalar
from tests.support.roles import dsn_as, role
from tests.support.server import PrivateServer
from tests.support.sessions import Session
from tests.support.waiting import wait_until

pytestmark = pytest.mark.sql

ROLES = ("voxyz_reader", "voxyz_writer", "voxyz_reactor")
Refused = psycopg.errors.InsufficientPrivilege
QUEUES = {
    "ops_mission_steps": "(kind) values ('noop')",
    "ops_roundtable_queue": "(format) values ('standup')",
    "ops_initiative_queue": "(agent_id) values ('sage')",
}
DEFINITION = [
    "create table mine ()",
    "create schema mine",
    "create role mine",
    "alter table ops_missions add column x int",
    "drop table ops_pauses",
    "truncate ops_agent_events",
    "create or replace function ops_now() returns timestamptz language sql as 'select now()'",
    "alter table ops_missions disable row level security",
    "set session_replication_role = replica",
]


async def _migrate(dsn: str) -> list[str]:
    return (await migrate(dsn, roles=True)).applied


@pytest.fixture
def roles(server: PrivateServer, sql: Session, database: str) -> Iterator[None]:
    """The three roles, in ``database``; gone at the end."""
    sql.execute("revoke create on schema public from public")
    trio.run(_migrate, database)
    yield
    for name in ROLES:
        sql.execute(f"drop owned by {name}".encode())
        server.run(f"drop role {name}")


@contextmanager
def member(server: PrivateServer, sql: Session, of: str) -> Iterator[Session]:
    """A session of somebody who is let in as ``of``."""
    with (
        role(server, f"one_{of}", rights=f"in role {of}") as name,
        psycopg.connect(dsn_as(server, sql.info.dbname, name), autocommit=True) as session,
    ):
        yield session


@pytest.fixture
def reader(server: PrivateServer, sql: Session, roles: None) -> Iterator[Session]:
    with member(server, sql, "voxyz_reader") as session:
        yield session


@pytest.fixture
def writer(server: PrivateServer, sql: Session, roles: None) -> Iterator[Session]:
    with member(server, sql, "voxyz_writer") as session:
        yield session


@pytest.fixture
def worker(server: PrivateServer, sql: Session, roles: None) -> Iterator[Session]:
    with member(server, sql, "voxyz_reactor") as session:
        yield session


def refused(session: Session, statement: str) -> None:
    with pytest.raises(Refused):
        session.execute(statement.encode())


def names(sql: Session, kinds: str) -> list[str]:
    query = (
        "select relname from pg_class where relnamespace = 'public'::regnamespace"
        " and relkind = any (%s) and relname ~ '^(ops|v)_' order by relname"
    )
    return [row[0] for row in sql.execute(query, (list(kinds),)).fetchall()]


def test_a_reader_sees_every_row_but_secrets(sql: Session, reader: Session) -> None:
    sql.execute("insert into ops_mission_steps (kind) values ('noop')")
    sql.execute("select ops_pause('mission')")
    hidden = {"ops_webhook_key", "ops_idempotent_requests", "ops_login_links"}
    for name in set(names(sql, "rpv")) - hidden:
        secret = " where key <> 'notify'" if name in ("ops_policy", "ops_policy_history") else ""
        there = scalar(sql, f"select count(*) from {name}{secret}")
        assert scalar(reader, f"select count(*) from {name}") == there, name
    for name in hidden & set(names(sql, "r")):
        refused(reader, f"select * from {name}")
    assert scalar(sql, "select count(*) from ops_policy where key = 'notify'") == 1
    assert scalar(reader, "select ops_now() is not null")


def test_a_reader_changes_nothing(sql: Session, reader: Session) -> None:
    for name in names(sql, "rp"):
        refused(reader, f"delete from {name}")
        assert not scalar(reader, "select has_any_column_privilege(%s, 'insert, update')", name), name
    for queue, row in QUEUES.items():
        refused(reader, f"insert into {queue} {row}")
    for call in (
        "ops_pause()",
        "ops_enqueue_mission('x', '[]')",
        "ops_cancel('step', 1)",
        "ops_approve(1, 'me')",
    ):
        refused(reader, f"select {call}")


def test_a_writer_gives_work_of_every_sort(sql: Session, writer: Session) -> None:
    for queue, row in QUEUES.items():
        assert writer.execute(f"insert into {queue} {row} returning id, status".encode()).fetchone()
    mission = scalar(
        writer, """select ops_enqueue_mission('A day', '[{"kind": "noop"}, {"kind": "noop"}]')"""
    )
    writer.execute("insert into ops_mission_steps (mission_id, seq, kind) values (%s, 3, 'noop')", (mission,))
    assert scalar(writer, "select count(*) from ops_mission_steps where mission_id = %s", mission) == 3
    kept = writer.execute(
        """select status, mission_id from ops_propose('sage', 'Look', '[{"kind": "analyze", "payload": {"topic": "x"}}]')"""
    ).fetchone()
    assert kept is not None
    assert kept[0] == "accepted"
    assert scalar(writer, "select ops_cancel('mission', %s)", kept[1])
    assert scalar(writer, "select ops_retry('mission', %s)", kept[1])


def test_a_writer_says_what_became_of_a_result_and_what_people_think_of_it(
    sql: Session, writer: Session
) -> None:
    step = scalar(
        sql, "insert into ops_mission_steps (kind, agent_id) values ('write_content', 'quill') returning id"
    )
    sql.execute(
        "update ops_mission_steps set status = 'running', claimed_by = gen_random_uuid(),"
        " claim_token = gen_random_uuid()"
    )
    sql.execute("""update ops_mission_steps set status = 'succeeded', result = '{"title": "Tea"}'""")
    scalar(writer, "select ops_record_outcome(%s, 'likes', 12)", step)
    assert scalar(sql, "select value from ops_outcomes where step_id = %s", step) == 12
    memory = scalar(writer, "select ops_thumbs('step', %s, true, 'it was short')", step)
    assert scalar(writer, "select agent_id from ops_agent_memory where id = %s", memory) == "quill"


def test_a_reactor_does_what_its_page_offers(sql: Session, worker: Session) -> None:
    sql.execute("select ops_apply_drift('minion', 'sage', 0.03, 'they agreed')")
    assert scalar(worker, "select ops_reset_simulated()") == 1


def test_a_writer_decides_nothing_and_forges_nothing(sql: Session, writer: Session) -> None:
    step = scalar(sql, "insert into ops_mission_steps (kind) values ('noop') returning id")
    for statement in (
        "insert into ops_mission_steps (kind, status) values ('noop', 'succeeded')",
        "insert into ops_mission_steps (kind, result) values ('noop', '{}')",
        "insert into ops_mission_steps (kind, claim_token) values ('noop', gen_random_uuid())",
        "insert into ops_mission_proposals (agent_id, title) values ('sage', 'x')",
        "insert into ops_agent_events (agent_id, kind, title) values ('sage', 'x', 'x')",
        f"update ops_mission_steps set status = 'succeeded' where id = {step}",
        f"delete from ops_mission_steps where id = {step}",
        "update ops_policy set value = '{}'",
        "select ops_approve(1, 'me')",
        "select ops_edit_proposal(1, 'me', title => 'forged')",
        "select ops_reject(1, 'me', 'no')",
        f"select ops_release({step}, 'me')",
        "select ops_pause()",
        "select ops_reset_simulated()",
        "select ops_resume()",
        "select ops_set_policy('notify', '{}')",
        "select ops_breaker_reset('anthropic')",
        "select ops_apply_drift('minion', 'sage', 0.03, 'forged')",
        "select secret from ops_webhook_key",
    ):
        refused(writer, statement)
    assert scalar(writer, "select count(*) from ops_policy where key = 'notify'") == 0


def test_what_leaves_the_house_waits_for_a_person_also_when_a_writer_asks(
    sql: Session, writer: Session
) -> None:
    step = scalar(
        writer,
        """insert into ops_mission_steps (kind, payload)
           values ('webhook', '{"url": "https://example.org/"}') returning id""",
    )
    assert scalar(sql, "select hold from ops_mission_steps where id = %s", step) == "approval"


@pytest.mark.parametrize("of", ROLES)
def test_none_of_them_defines_anything(server: PrivateServer, sql: Session, roles: None, of: str) -> None:
    with member(server, sql, of) as session:
        for statement in DEFINITION:
            refused(session, statement)
        refused(session, "insert into ops_migrations (name, checksum, version) values ('x', 'x', 'x')")
        refused(session, "update ops_generation set minimum = 1000")
        refused(session, "delete from ops_schema_objects")
        refused(session, "update ops_webhook_key set secret = secret")


def test_a_reactor_plans_its_claims_as_the_owner_does(sql: Session, worker: Session) -> None:
    sql.execute("insert into ops_mission_steps (kind) select 'noop' from generate_series(1, 2000)")
    sql.execute("analyze ops_mission_steps")
    claim = (
        "explain (costs off) select id from ops_mission_steps where status = 'queued' and run_at <= now()"
        " order by priority desc, run_at, id limit 50"
    )
    assert worker.execute(claim.encode()).fetchall() == sql.execute(claim.encode()).fetchall()


def test_a_reactor_with_no_more_than_its_role_does_the_work(
    server: PrivateServer, sql: Session, roles: None, tmp_path: Path
) -> None:
    with role(server, "one_voxyz_reactor", rights="in role voxyz_reactor") as name:
        mission = scalar(
            sql,
            """select ops_enqueue_mission('A day', '[{"kind": "noop"}, {"kind": "analyze",
            "payload": {"topic": "weekends"}}]')""",
        )
        talk = scalar(
            sql, "insert into ops_roundtable_queue (format, topic) values ('checkin', 'x') returning id"
        )
        idea = scalar(sql, "insert into ops_initiative_queue (agent_id) values ('sage') returning id")
        env = {
            **os.environ,
            "DATABASE_URL": dsn_as(server, sql.info.dbname, name),
            "OPS_PORT": "0",
            "VOXYZ_LLM": "mock",
            "OPS_ENV": "production",
        }
        command = [sys.executable, "-m", "reactor.cli"]
        with (tmp_path / "log").open("w") as log:
            with subprocess.Popen(
                [*command, "run"], env=env, stdout=subprocess.DEVNULL, stderr=log
            ) as process:
                try:
                    for table, id in (
                        ("ops_missions", mission),
                        ("ops_roundtable_queue", talk),
                        ("ops_initiative_queue", idea),
                    ):
                        ended = f"select status in ('succeeded', 'cancelled') from {table} where id = %s"
                        wait_until(lambda q=ended, i=id: process.poll() is not None or scalar(sql, q, i))  # type: ignore[misc]  # bound at once
                    process.send_signal(signal.SIGTERM)
                    assert process.wait(30) == 0
                finally:
                    process.kill()
            for words in (["doctor"], ["status"], ["policy", "step_gates", "{}"], ["pause"], ["resume"]):
                done = subprocess.run([*command, *words], env=env, capture_output=True, text=True, timeout=60)
                assert done.returncode == 0, done.stdout + done.stderr
        assert "permission denied" not in (tmp_path / "log").read_text()


def test_they_are_made_once_and_kept_current_by_every_later_migration(
    sql: Session, roles: None, database: str
) -> None:
    assert trio.run(_migrate, database) == []
    sql.execute("create table ops_brand_new (id int)")
    sql.execute("update ops_migrations set checksum = 'old' where name = 'views/agents.sql'")

    async def plain() -> list[str]:
        return (await migrate(database)).applied

    assert "roles/roles.sql" in trio.run(plain)
    assert scalar(sql, "select has_table_privilege('voxyz_reader', 'ops_brand_new', 'select')")
    assert scalar(sql, "select has_table_privilege('voxyz_reactor', 'ops_brand_new', 'delete')")
    assert not scalar(sql, "select has_table_privilege('voxyz_writer', 'ops_brand_new', 'insert')")


def test_a_database_that_never_asked_for_them_lets_them_see_nothing(
    server: PrivateServer, roles: None, template: str
) -> None:
    with psycopg.connect(server.dsn_of(template), autocommit=True) as other:
        for name in ROLES:
            assert not scalar(other, f"select has_table_privilege('{name}', 'ops_missions', 'select')")


def test_who_may_not_create_roles_is_told_in_one_line(
    server: PrivateServer, sql: Session, database: str
) -> None:
    with role(server, "one_owner") as name:
        for table in names(sql, "rpv"):
            sql.execute(f"alter table {table} owner to {name}".encode())
        sql.execute(f"grant create on schema public to {name}".encode())
        with pytest.raises(AccessDenied, match="with the right to create roles"):
            trio.run(_migrate, dsn_as(server, sql.info.dbname, name))
        sql.execute(f"reassign owned by {name} to voxyz".encode())
