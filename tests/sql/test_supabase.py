"""A database like Supabase's: no superuser, an extensions schema, default privileges that open everything to its API."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trio
from psycopg import sql as compose
from psycopg.conninfo import make_conninfo

from reactor.pg.migrations import migrate
from tests.support import supabase
from tests.support.queue_rows import scalar
from tests.support.server import PrivateServer
from tests.support.supabase import rpc

pytestmark = pytest.mark.sql

Session = psycopg.Connection[tuple[Any, ...]]

OWNER = "supabase_like_postgres"

# Supabase's linter, its checks that can concern a schema like ours, in our own words: each must find nothing.
LINTS = {
    "unindexed foreign keys": """
        select reference.conrelid::regclass || ' ' || reference.conname
        from pg_constraint as reference
        where reference.contype = 'f'
          and not exists (
            select
            from pg_index as index
            where index.indrelid = reference.conrelid
              and (index.indkey::smallint[])[0:cardinality(reference.conkey) - 1] @> reference.conkey
          )""",
    "tables without a primary key": """
        select class.relname
        from pg_class as class
        where class.relnamespace = 'public'::regnamespace
          and class.relkind in ('r', 'p')
          and not exists (select from pg_index as index where index.indrelid = class.oid and index.indisprimary)""",
    "several permissive policies for one role and action": """
        select policy.polrelid::regclass || ' ' || role.rolname || ' ' || action
        from pg_policy as policy
        join pg_roles as role on policy.polroles @> array[role.oid] or policy.polroles = array[0::oid]
        cross join unnest(case policy.polcmd when '*' then array['r', 'a', 'w', 'd'] else array[policy.polcmd::text] end)
          as action
        where policy.polpermissive
          and not role.rolbypassrls
          and role.rolname !~ '^pg_'
        group by policy.polrelid, role.rolname, action
        having count(*) > 1""",
    "policies where row-level security is off": """
        select class.relname
        from pg_policy as policy
        join pg_class as class on class.oid = policy.polrelid
        where not class.relrowsecurity""",
    "row-level security without any policy": """
        select class.relname
        from pg_class as class
        where class.relnamespace = 'public'::regnamespace
          and class.relkind = 'r'
          and class.relrowsecurity
          and not exists (select from pg_policy as policy where policy.polrelid = class.oid)""",
    "duplicate indexes": """
        select min(index.indexrelid)::regclass::text
        from pg_index as index
        join pg_class as class on class.oid = index.indrelid and class.relnamespace = 'public'::regnamespace
        group by
          index.indrelid, index.indkey::text, index.indclass::text, index.indoption::text,
          pg_get_expr(index.indpred, index.indrelid), pg_get_expr(index.indexprs, index.indrelid)
        having count(*) > 1""",
    "views that ask as their owner": """
        select class.relname
        from pg_class as class
        where class.relnamespace = 'public'::regnamespace
          and class.relkind = 'v'
          and not coalesce(array_to_string(class.reloptions, ',') ~ 'security_invoker=(true|on|1|yes)', false)""",
    "functions with a search path anybody may change": """
        select proc.proname
        from pg_proc as proc
        where proc.pronamespace = 'public'::regnamespace
          and not exists (select from unnest(proc.proconfig) as setting where setting like 'search_path=%')""",
    "tables without row-level security": """
        select class.relname
        from pg_class as class
        where class.relnamespace = 'public'::regnamespace
          and class.relkind in ('r', 'p')
          and not class.relrowsecurity""",
    "extensions in public": """
        select extension.extname
        from pg_extension as extension
        where extension.extnamespace = 'public'::regnamespace""",
    "materialized views and foreign tables in the API": """
        select class.relname
        from pg_class as class
        where class.relnamespace = 'public'::regnamespace
          and class.relkind in ('m', 'f')""",
    "types an upgrade of the server cannot carry": """
        select attribute.attrelid::regclass || '.' || attribute.attname
        from pg_attribute as attribute
        join pg_class as class on class.oid = attribute.attrelid and class.relkind in ('r', 'p')
        where class.relnamespace = 'public'::regnamespace
          and attribute.atttypid::regtype::text in ('regcollation', 'regconfig', 'regdictionary', 'regnamespace',
            'regoper', 'regoperator', 'regproc', 'regprocedure')""",
    "policies of the API that are always true": """
        select policy.polrelid::regclass || ' ' || policy.polname
        from pg_policy as policy
        where policy.polpermissive
          and policy.polcmd <> 'r'
          and 'true' in (pg_get_expr(policy.polqual, policy.polrelid), pg_get_expr(policy.polwithcheck, policy.polrelid))
          and (policy.polroles = array[0::oid] or exists (
            select from pg_roles as role where role.oid = any (policy.polroles) and role.rolname in ('anon', 'authenticated')
          ))""",
    "policies that let in who signed in without a name": """
        select policy.polrelid::regclass || ' ' || policy.polname
        from pg_policy as policy
        where policy.polroles = array[0::oid]
          or policy.polroles = array['authenticated'::regrole::oid]
          or exists (
            select
            from pg_auth_members as tie
            where tie.roleid = 'authenticated'::regrole
              and tie.member = any (policy.polroles)
          )""",
    "policies that ask who is there once a row": """
        select policy.polrelid::regclass || ' ' || policy.polname
        from pg_policy as policy
        where coalesce(pg_get_expr(policy.polqual, policy.polrelid), '') ~ '(auth\\.|current_setting)'""",
    "tables and views whose names anon or authenticated may read": """
        select class.relname
        from pg_class as class
        cross join unnest(array['anon', 'authenticated']) as role
        where class.relnamespace = 'public'::regnamespace
          and class.relkind in ('r', 'p', 'v', 'm')
          and has_table_privilege(role, class.oid, 'select, insert, update, delete, truncate, references, trigger')""",
    "security definer functions that anon or authenticated may execute": """
        select proc.proname
        from pg_proc as proc
        cross join unnest(array['anon', 'authenticated']) as role
        where proc.pronamespace = 'public'::regnamespace
          and proc.prosecdef
          and has_function_privilege(role, proc.oid, 'execute')""",
    "invalid indexes": "select index.indexrelid::regclass::text from pg_index as index where not index.indisvalid",
    "tables nobody vacuums": """
        select class.relname
        from pg_class as class
        where class.relnamespace = 'public'::regnamespace
          and array_to_string(class.reloptions, ',') ~ 'autovacuum_enabled=(false|off|0|no)'""",
}


@pytest.fixture(scope="module")
def project(server: PrivateServer) -> Iterator[str]:
    """The DSN of a migrated project, as its owner."""
    for statement in supabase.roles(OWNER):
        server.run(statement)
    server.run(f"create database project owner {OWNER} template template0")
    with psycopg.connect(server.dsn_of("project"), autocommit=True) as admin:
        admin.execute(supabase.setup(OWNER).encode())
    dsn = _as(server, OWNER)
    try:
        trio.run(migrate, dsn)
        yield dsn
    finally:
        server.run("drop database project with (force)")
        for role in (OWNER, *supabase.API_ROLES):
            server.run(f"drop role {role}")


def _as(server: PrivateServer, role: str) -> str:
    return make_conninfo(
        server.tcp_dsn, dbname="project", user=role, password="x", sslmode="disable", gssencmode="disable"
    )


@contextmanager
def api(server: PrivateServer, role: str) -> Iterator[Session]:
    """A session as PostgREST has it: it logs in as authenticator, and each request takes on its caller's role."""
    with psycopg.connect(_as(server, "authenticator"), autocommit=True) as session:
        session.execute(compose.SQL("set role {}").format(compose.Identifier(role)))
        yield session


@pytest.mark.parametrize("check", LINTS)
def test_the_linter_finds_no(check: str, project: str) -> None:
    with psycopg.connect(project) as session:
        assert [row[0] for row in session.execute(LINTS[check].encode()).fetchall()] == []


def test_the_lints_would_find_something(server: PrivateServer, project: str) -> None:
    with psycopg.connect(project) as session:
        session.execute("create table ops_loose (agent_id text references ops_agents (id))")
        session.execute("create view v_loose as select id from ops_agents")
        session.execute("create function loose() returns int language sql security definer as 'select 1'")
        session.execute("create policy loose on ops_agents for select to authenticated using (true)")
        session.execute("create index twin on ops_missions (id) where status in ('approved', 'running')")
        found = {check for check, query in LINTS.items() if session.execute(query.encode()).fetchall()}
        session.rollback()
    assert found >= {
        "unindexed foreign keys",
        "tables without a primary key",
        "duplicate indexes",
        "views that ask as their owner",
        "functions with a search path anybody may change",
        "tables without row-level security",
        "policies that let in who signed in without a name",
        "tables and views whose names anon or authenticated may read",
        "security definer functions that anon or authenticated may execute",
    }


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_the_public_roles_see_do_and_call_nothing(role: str, server: PrivateServer, project: str) -> None:
    with psycopg.connect(project) as owner:
        relations = [
            row[0]
            for row in owner.execute(
                "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')"
            )
        ]
        functions = [
            row[0]
            for row in owner.execute(
                "select oid::regprocedure::text from pg_proc where pronamespace = 'public'::regnamespace"
                " and has_function_privilege(%s, oid, 'execute')",
                (role,),
            )
        ]
    assert functions == []
    assert len(relations) > 40
    with api(server, role) as session:
        for name in relations:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(compose.SQL("select * from {}").format(compose.Identifier(name)))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("insert into ops_mission_steps (kind) values ('noop')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            rpc(session, "ops_propose", agent_id="sage", title="x", steps=[{"kind": "research"}])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            rpc(session, "ops_pause")


def test_the_service_role_proposes_enqueues_inserts_and_looks(server: PrivateServer, project: str) -> None:
    with api(server, "service_role") as session:
        (proposal,) = rpc(
            session,
            "ops_propose",
            agent_id="sage",
            title="What do weekends bring?",
            steps=[{"kind": "research", "payload": {"topic": "weekends"}}],
            source="human",
            dedupe_key="from-the-app-1",
        )
        assert proposal[1] == "accepted"
        again = rpc(session, "ops_propose", agent_id="sage", title="x", steps=[], dedupe_key="from-the-app-1")
        assert again[0][0] == proposal[0]
        ((mission,),) = rpc(
            session, "ops_enqueue_mission", title="Report", steps=[{"kind": "noop"}], priority=8
        )
        assert rpc(session, "ops_cancel", what="mission", id=mission) == [(True,)]
        session.execute("insert into ops_roundtable_queue (format, topic) values ('standup', 'today')")
        session.execute("insert into ops_initiative_queue (agent_id) values ('sage')")
        rpc(session, "ops_pause", queue="roundtable", reason="quiet please")
        rpc(session, "ops_resume")
        assert scalar(session, "select count(*) from v_active_missions") >= 1
        with pytest.raises(psycopg.Error, match="unknown or inactive agent") as refusal:
            rpc(session, "ops_propose", agent_id="nobody", title="x", steps=[{"kind": "noop"}])
        assert (refusal.value.sqlstate or "").startswith("OP")


def test_signed_in_users_see_missions_when_opened_as_the_guide_says(
    server: PrivateServer, project: str
) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "supabase.md").read_text()
    opening = guide.split("```sql\n")[2].split("```")[0]
    with psycopg.connect(project) as owner:  # rolled back at its end
        owner.execute(opening.encode())
        owner.execute("select ops_enqueue_mission('Seen', '[{\"kind\": \"noop\"}]')")
        owner.execute("set local role authenticated")
        assert scalar(owner, "select count(*) from ops_missions") >= 1
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute("update ops_missions set title = 'mine'")
        owner.rollback()


def test_what_is_opened_to_authenticated_on_purpose_stays_open(server: PrivateServer, project: str) -> None:
    with psycopg.connect(project, autocommit=True) as owner:
        owner.execute(
            "grant execute on function ops_propose(text, text, jsonb, text, text, text) to authenticated"
        )
        owner.execute(
            "delete from ops_migrations where name like 'security/%' or name like 'functions/propos%'"
        )
        trio.run(migrate, project)
        with api(server, "authenticated") as session:
            (proposal,) = rpc(
                session,
                "ops_propose",
                agent_id="quill",
                title="From a page",
                steps=[{"kind": "review", "payload": {"text": "x"}}],
            )
            assert proposal[1] in ("accepted", "pending")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("select * from ops_mission_proposals")
        owner.execute(
            "revoke execute on function ops_propose(text, text, jsonb, text, text, text) from authenticated"
        )
