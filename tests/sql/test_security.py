"""Who sees and does what: nobody anything unless it is granted, and a reactor no more than rows."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psycopg
import pytest

from tests.support.queue_rows import scalar
from tests.support.roles import dsn_as, role
from tests.support.server import PrivateServer
from tests.support.sessions import Session

pytestmark = pytest.mark.sql

TABLES = (
    "select relname from pg_class where relnamespace = 'public'::regnamespace"
    " and relkind in ('r', 'p') and relname like 'ops\\_%' order by relname"
)
VIEWS = "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'v' order by relname"
FUNCTIONS = (
    "select oid::regprocedure::text from pg_proc where pronamespace = 'public'::regnamespace"
    " and proname like 'ops\\_%' order by 1"
)


@pytest.fixture
def anon(server: PrivateServer, sql: Session) -> Iterator[Session]:
    """A session as a role like Supabase's: it may select everything and tries to execute everything."""
    with role(server, "anon_like") as name:
        sql.execute(f"grant usage on schema public to {name}".encode())
        sql.execute(f"grant select, insert, update, delete on all tables in schema public to {name}".encode())
        sql.execute(f"grant usage on all sequences in schema public to {name}".encode())
        _fill(sql)
        with psycopg.connect(dsn_as(server, sql.info.dbname, name), autocommit=True) as session:
            yield session


def _fill(sql: Session) -> None:
    """Rows in the tables that matter most; the seeds fill others."""
    sql.execute("insert into ops_missions (title) values ('secret')")
    sql.execute("insert into ops_mission_steps (kind) values ('noop')")
    sql.execute("insert into ops_roundtable_queue (format) values ('standup')")
    sql.execute("insert into ops_initiative_queue (agent_id) values ('sage')")
    sql.execute("insert into ops_agent_events (kind) values ('secret_told')")
    sql.execute("select ops_pause('roundtable')")


def names(sql: Session, query: str) -> list[str]:
    return [row[0] for row in sql.execute(query.encode()).fetchall()]


def test_a_role_like_anon_reads_no_row_of_any_table_and_view(sql: Session, anon: Session) -> None:
    tables, views = names(sql, TABLES), names(sql, VIEWS)
    assert {"ops_missions", "ops_mission_steps", "ops_policy", "ops_agents", "ops_workers"} <= set(tables)
    assert views
    filled = 0
    for name in tables + views:
        assert anon.execute(f"select count(*) from {name}".encode()).fetchone() == (0,), name
        filled += scalar(sql, f"select count(*) from {name}") > 0
    assert filled > 8


def test_a_role_like_anon_changes_no_row_of_any_table(sql: Session, anon: Session) -> None:
    for name in names(sql, TABLES):
        before = scalar(sql, f"select count(*) from {name}")
        assert anon.execute(f"delete from {name}".encode()).rowcount == 0, name
        assert scalar(sql, f"select count(*) from {name}") == before
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        anon.execute("insert into ops_mission_steps (kind) values ('noop')")
    with pytest.raises(psycopg.Error):
        anon.execute("insert into ops_pauses (queue) values ('mission')")


def test_a_role_like_anon_may_execute_no_function(sql: Session, anon: Session) -> None:
    functions = names(sql, FUNCTIONS)
    assert len(functions) > 20
    allowed = [
        name for name in functions if scalar(anon, "select has_function_privilege(%s, 'execute')", name)
    ]
    assert allowed == []
    for call in ("ops_pause()", "ops_enqueue_mission('x', '[]')", "ops_cancel('step', 1)", "ops_ring_all()"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            anon.execute(f"select {call}".encode())


def test_every_table_has_row_level_security_and_every_view_asks_as_its_caller(sql: Session) -> None:
    open_tables = (
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
        " and not relrowsecurity"
    )
    assert names(sql, open_tables) == []
    trusting = (
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'v'"
        " and not coalesce('security_invoker=true' = any (reloptions) or 'security_invoker=on' = any (reloptions), false)"
    )
    assert names(sql, trusting) == []


def test_every_function_pins_its_search_path(sql: Session) -> None:
    loose = (
        "select proname from pg_proc where pronamespace = 'public'::regnamespace and proname like 'ops\\_%'"
        " and not exists (select from unnest(proconfig) as setting where setting like 'search_path=%')"
    )
    assert names(sql, loose) == []


def test_a_stranger_cannot_slip_a_table_under_a_function(
    server: PrivateServer, sql: Session, database: str
) -> None:
    with psycopg.connect(database, autocommit=True) as session:
        session.execute("create temporary table ops_pauses (queue text)")
        session.execute("select ops_pause('mission')")
        assert scalar(session, "select count(*) from pg_temp.ops_pauses") == 0
    assert scalar(sql, "select count(*) from public.ops_pauses") == 1


def test_a_role_that_may_only_change_rows_runs_the_reactor(
    server: PrivateServer, sql: Session, database: str
) -> None:
    with role(server, "ops_runner", rights="bypassrls") as name:
        sql.execute(f"grant usage on schema public to {name}".encode())
        sql.execute(f"grant select, insert, update, delete on all tables in schema public to {name}".encode())
        sql.execute(f"grant usage on all sequences in schema public to {name}".encode())
        sql.execute(f"grant execute on all functions in schema public to {name}".encode())
        sql.execute("revoke create on schema public from public")
        dsn = dsn_as(server, sql.info.dbname, name)
        with psycopg.connect(dsn, autocommit=True) as session:
            for attempt in (
                "create table mine ()",
                "alter table ops_missions add column x int",
                "drop table ops_pauses",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    session.execute(attempt.encode())
        mission = scalar(sql, _MISSION, "a mission")
        sql.execute("insert into ops_mission_steps (kind) values ('noop')")
        _run_for_a_while(dsn, sql)
        assert scalar(sql, "select status from ops_missions where id = %s", mission) == "succeeded"


_MISSION = """select ops_enqueue_mission(%s, '[{"kind": "noop"}, {"kind": "noop"}]')"""
_UNFINISHED = "select count(*) from ops_mission_steps where status <> 'succeeded'"


def _run_for_a_while(dsn: str, sql: Session) -> None:
    """The command itself, as that role, until nothing is unfinished; then it leaves in order."""
    env = {**os.environ, "DATABASE_URL": dsn, "OPS_PORT": "0", "VOXYZ_LLM": "mock"}
    command = [sys.executable, "-m", "reactor.cli", "run", "mission"]
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            deadline = time.monotonic() + 20
            while scalar(sql, _UNFINISHED):
                assert process.poll() is None, process.stdout and process.stdout.read()
                assert time.monotonic() < deadline, "the steps do not get done"
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
        finally:
            process.kill()


def test_no_function_is_overloaded(sql: Session) -> None:
    names = sql.execute(
        "select proname from pg_proc where pronamespace = 'public'::regnamespace and proname ~ '^ops_'"
        " group by proname having count(*) > 1"
    ).fetchall()
    assert names == []
