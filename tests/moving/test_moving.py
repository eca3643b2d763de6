"""A whole voxyz moved: to files and back, straight into another database, by pg_dump; all rows, and nothing on a failure."""

import gzip
import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trio

from reactor.errors import UsageError
from reactor.pg import moving
from reactor.pg.migrations import migrate
from tests.cli.conftest import COMMAND, Voxyz, environment
from tests.support.queue_rows import new_mission, new_step, scalar
from tests.support.server import PrivateServer

Sql = psycopg.Connection[tuple[Any, ...]]

TABLES = (
    "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
    " and relname like 'ops\\_%' and relname not in"
    " ('ops_migrations', 'ops_generation', 'ops_guarded', 'ops_schema_objects') order by relname"
)


def fill(sql: Sql) -> None:
    """Rows of many kinds, with awkward text, gaps in the ids, and references among them."""
    for number in range(30):
        mission = new_mission(sql, f"mission {number}: \"quoted\", tab\t, line\nbreak, ünïcode 🚀, \\N, ''")
        new_step(sql, mission_id=mission, seq=1, payload=json.dumps({"text": 'a "b" \\ \n é', "n": number}))
        new_step(sql, mission_id=mission, seq=2)
    sql.execute("delete from ops_missions where id % 7 = 0")
    sql.execute(
        "update ops_mission_steps set status = 'running', claimed_by = gen_random_uuid(),"
        " claim_token = gen_random_uuid(), attempt = 1 where seq = 1"
    )
    sql.execute(
        "update ops_mission_steps set status = 'succeeded', completed_at = now() - interval '40 days',"
        ' result = \'{"text": ""}\' where seq = 1'
    )
    sql.execute(
        "insert into ops_agent_memory (agent_id, type, content, confidence, tags, source_trace_id)"
        " select 'sage', 'insight', 'content ' || n, .7, '{a,\"b c\",\"\"}', 'trace:' || n from generate_series(1, 20) as n"
    )
    sql.execute("update ops_agent_memory set superseded_by = 20 where id < 5")
    talk = scalar(sql, "insert into ops_roundtable_queue (format, topic) values ('standup', '') returning id")
    sql.execute(
        "insert into ops_roundtable_turns (conversation_id, turn, speaker, dialogue) values (%s, 1, 'sage', 'hello')",
        (talk,),
    )
    sql.execute("insert into ops_initiative_queue (agent_id) values ('quill')")
    sql.execute(
        "insert into ops_agent_events (kind, metadata) select 'tried', '{}' from generate_series(1, 50)"
    )
    sql.execute("select ops_set_policy('company', '{\"name\": \"Kiosk\"}')")
    sql.execute(
        'select ops_propose(\'sage\', \'look\', \'[{"kind": "research", "payload": {"topic": "x"}}]\')'
    )


def content(session: Sql) -> dict[str, list[Any]]:
    """Every row of every table as JSON, but for what belongs to a server or is made by the database."""
    found = {}
    for (name,) in session.execute(TABLES.encode()).fetchall():
        rows = session.execute(f"select (to_jsonb(one) - 'xact') from {name} as one".encode()).fetchall()
        found[name] = sorted((row[0] for row in rows), key=lambda row: json.dumps(row, sort_keys=True))
    return found


@pytest.fixture
def target(server: PrivateServer) -> Iterator[str]:
    """Another database, empty."""
    server.run("create database moved_to template template0")
    yield server.dsn_of("moved_to")
    server.run("drop database moved_to with (force)")


def test_copy_moves_every_row_and_the_identities_go_on(voxyz: Voxyz, sql: Sql, target: str) -> None:
    fill(sql)
    done = voxyz("copy", "--to", target)
    assert done.code == 0, done
    assert "set DATABASE_URL" in done.out
    with psycopg.connect(target, autocommit=True) as there:
        assert content(there) == content(sql)
        highest = scalar(sql, "select max(id) from ops_mission_steps")
        assert new_step(there) > highest  # and its trigger is on again
        assert scalar(there, "select count(*) from pg_trigger where tgenabled = 'D'") == 0
        assert scalar(
            there,
            "select bool_and(xact < pg_snapshot_xmin(pg_current_snapshot())) from ops_agent_events"
            " where kind = 'tried'",
        )
    again = voxyz("copy", "--to", target)
    assert "is in use" in again.complained(2)


def test_a_copy_that_breaks_off_leaves_the_target_as_it_was(sql: Sql, database: str, target: str) -> None:
    fill(sql)
    trio.run(migrate, target)
    with psycopg.connect(target, autocommit=True) as there:
        before = content(there)

        def break_off(line: str) -> None:
            if line.startswith("ops_mission_steps"):
                raise UsageError("the line went dead")

        with pytest.raises(UsageError, match="went dead"):
            moving.copy(database, target, say=break_off)
        assert content(there) == before
        assert scalar(there, "select count(*) from pg_trigger where tgenabled = 'D'") == 0
    assert sum(moving.copy(database, target, say=lambda line: None).values()) > 300


@pytest.mark.chaos
def test_copy_is_refused_while_reactors_run(
    voxyz: Voxyz, reactor: subprocess.Popen[str], sql: Sql, target: str
) -> None:
    assert "stop them first, or say --live" in voxyz("copy", "--to", target).complained(2)
    assert voxyz("copy", "--live", "--to", target).code == 0


@pytest.mark.chaos
def test_nothing_is_moved_into_a_database_that_a_reactor_works_on(
    voxyz: Voxyz, anywhere: Voxyz, reactor: subprocess.Popen[str], database: str, target: str
) -> None:
    assert anywhere("migrate", DATABASE_URL=target).code == 0
    assert "that is to be filled" in anywhere("copy", "--to", database, DATABASE_URL=target).complained(2)
    assert anywhere("export", "out", DATABASE_URL=target).code == 0
    assert "that is to be filled" in voxyz("import", "out").complained(2)


def test_export_and_import_come_to_the_same_database(
    voxyz: Voxyz, anywhere: Voxyz, sql: Sql, target: str, here: Path
) -> None:
    fill(sql)
    assert voxyz("export", "out").code == 0
    assert "finished export" in voxyz("export", "out").complained(2)
    assert (here / "out" / "ops_missions.csv.gz").stat().st_mode & 0o077 == 0
    done = anywhere("import", "out", DATABASE_URL=target)
    assert done.code == 0, done
    with psycopg.connect(target, autocommit=True) as there:
        assert content(there) == content(sql)
        new_step(there)
    assert "is in use" in anywhere("import", "out", DATABASE_URL=target).err


# What a person may have set up before the move: something of their own, and another word for something that comes.
SET_UP = """
insert into ops_agents (id, display_name) values ('zoe', 'Zoe');
update ops_agents set display_name = 'Sage the Second' where id = 'sage';
insert into ops_agent_schedules (agent_id, hour, activity_weight) values ('zoe', 3, .5);
insert into ops_agent_relationships (agent_a, agent_b) values ('sage', 'zoe'), ('xalt', 'zoe');
insert into ops_conversation_slots (name, cron, format) values ('tea', '0 16 * * *', 'watercooler');
update ops_conversation_slots set cron = '5 5 * * *' where name = 'debate';
insert into ops_circuit_breaker (service) values ('shop.example');
select ops_set_policy('quiet_hours', '{"from": "20:00", "to": "06:00"}');
"""


def test_what_was_set_up_in_the_target_gives_way_to_its_name_and_stays_otherwise(
    voxyz: Voxyz, anywhere: Voxyz, sql: Sql, target: str
) -> None:
    fill(sql)
    sql.execute(
        "delete from ops_agents where id = 'xalt'"
    )  # and with it its pairs: seeds that were thrown out
    sql.execute("delete from ops_conversation_slots where name = 'noon watercooler'")
    sql.execute("delete from ops_agent_relationships where agent_a = 'minion' and agent_b = 'sage'")
    came = content(sql)
    assert voxyz("export", "out").code == 0
    assert anywhere("migrate", DATABASE_URL=target).code == 0
    with psycopg.connect(target, autocommit=True) as there:
        there.execute(SET_UP.encode())
        done = anywhere("import", "out", DATABASE_URL=target)
        assert done.code == 0, done
        for line in (
            "ops_agents: replaced by what came: sage",
            "ops_agents: kept, only the target has it: zoe",
            "ops_agent_schedules: kept, only the target has it: zoe 3",
            "ops_agent_relationships: kept, only the target has it: sage zoe",
            "ops_agent_relationships: left out, what it refers to did not come: xalt zoe",
            "ops_conversation_slots: replaced by what came: debate",
            "ops_conversation_slots: kept, only the target has it: tea",
            "ops_circuit_breaker: kept, only the target has it: shop.example",
            "ops_policy: replaced by what came: quiet_hours",
        ):
            assert line in done.out.splitlines()
        found = content(there)
        rows = len(came["ops_agents"])
        assert f"ops_agents: {rows} rows" in done.out.splitlines()
        for name in (
            "ops_agents",
            "ops_conversation_slots",
            "ops_agent_relationships",
            "ops_circuit_breaker",
        ):
            assert len(found[name]) == len(came[name]) + 1, name
            assert all(row in found[name] for row in came[name]), name
        assert found["ops_policy"] == came["ops_policy"]
        assert found["ops_policy_history"] == came["ops_policy_history"]
        assert scalar(there, "select count(*) from ops_agents where id = 'xalt'") == 0
        assert (
            scalar(there, "select count(*) from ops_conversation_slots where name = 'noon watercooler'") == 0
        )
        new_step(there)


def test_an_export_of_an_older_version_keeps_what_only_the_newer_one_has(
    sql: Sql, database: str, tmp_path: Path, target: str
) -> None:
    fill(sql)
    moving.export(database, tmp_path / "out", before=None, say=lambda line: None)
    path = tmp_path / "out" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["voxyz"] = "0.0.1"
    del manifest["tables"]["ops_webhook_key"]  # as if this table, which has a row from the first, were new
    path.write_text(json.dumps(manifest))
    # And these policies, one of which is set in the target.
    for name in ("ops_policy", "ops_policy_history"):
        file = tmp_path / "out" / f"{name}.csv.gz"
        rows = gzip.decompress(file.read_bytes()).splitlines(keepends=True)
        older = [row for row in rows if not re.match(rb"(\d+,)?(quiet_hours|step_gates),", row)]
        assert len(rows) - len(older) == 2
        file.write_bytes(gzip.compress(b"".join(older)))
        manifest["tables"][name] |= {
            "sha256": hashlib.sha256(b"".join(older)).hexdigest(),
            "rows": manifest["tables"][name]["rows"] - 2,
        }
    path.write_text(json.dumps(manifest))
    trio.run(migrate, target)
    with psycopg.connect(target, autocommit=True) as there:
        key = scalar(there, "select secret from ops_webhook_key")
        there.execute('select ops_set_policy(\'quiet_hours\', \'{"from": "20:00", "to": "06:00"}\')')
        said: list[str] = []
        moving.load(target, tmp_path / "out", say=said.append)
        assert "ops_policy: kept, only the target has it: quiet_hours" in said
        assert scalar(there, "select secret from ops_webhook_key") == key
        assert scalar(there, "select value ->> 'draft_tweet' from ops_policy where key = 'step_gates'") == "8"
        assert scalar(there, "select value ->> 'from' from ops_policy where key = 'quiet_hours'") == "20:00"


def test_a_database_is_not_copied_into_itself(voxyz: Voxyz, database: str) -> None:
    assert "the target is the database in use" in voxyz("copy", "--to", database).complained(2)


def test_an_interrupted_export_goes_on_where_it_was(
    sql: Sql, database: str, tmp_path: Path, target: str
) -> None:
    fill(sql)
    seen: list[str] = []

    def interrupted(line: str) -> None:
        seen.append(line)
        if line.startswith("ops_mission_steps"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        moving.export(database, tmp_path / "out", before=None, say=interrupted)
    trio.run(migrate, target)
    with pytest.raises(UsageError, match="not finished"):
        moving.load(target, tmp_path / "out", say=seen.append)
    new_mission(sql, "made meanwhile")
    rest: list[str] = []
    rows = moving.export(database, tmp_path / "out", before=None, say=rest.append)
    assert not {line.split(":")[0] for line in seen} & {line.split(":")[0] for line in rest}
    assert rows["ops_missions"] == scalar(sql, "select count(*) from ops_missions")
    assert moving.load(target, tmp_path / "out", say=rest.append) == rows


def test_a_damaged_export_is_refused_whole(sql: Sql, database: str, tmp_path: Path, target: str) -> None:
    fill(sql)
    moving.export(database, tmp_path / "out", before=None, say=lambda line: None)
    path = tmp_path / "out" / "ops_agents.csv.gz"
    text = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(text.replace(b"sage", b"page")))
    trio.run(migrate, target)
    with pytest.raises(UsageError, match="its checksum differs"):
        moving.load(target, tmp_path / "out", say=lambda line: None)
    with psycopg.connect(target) as there:
        assert scalar(there, "select count(*) from ops_missions") == 0
        assert scalar(there, "select count(*) from ops_agents") == 6


def test_an_archive_holds_what_was_over_and_nothing_else(
    voxyz: Voxyz, anywhere: Voxyz, sql: Sql, here: Path
) -> None:
    fill(sql)
    assert voxyz("export", "old", "--before", "2000-01-01").code == 0
    day = scalar(sql, "select (now() - interval '30 days')::date::text")
    assert voxyz("export", "archive", "--before", day).code == 0
    lines = gzip.decompress((here / "archive" / "ops_mission_steps.csv.gz").read_bytes()).decode()
    old = scalar(sql, "select count(*) from ops_mission_steps where completed_at < %s", day)
    assert (
        json.loads((here / "archive" / "manifest.json").read_text())["tables"]["ops_mission_steps"]["rows"]
        == old
        > 0
    )
    assert lines.startswith("id,mission_id,seq,kind")
    assert "archive of old rows" in voxyz("import", "archive").err
    assert "is no date" in voxyz("export", "x", "--before", "soon").complained(2)


def test_what_pg_dump_saved_pg_restore_brings_back_and_a_reactor_runs_on_it(
    voxyz: Voxyz, anywhere: Voxyz, server: PrivateServer, sql: Sql, database: str, target: str, here: Path
) -> None:
    fill(sql)
    sql.execute(
        "update ops_agent_events set xact = '999999999' where kind = 'tried'"
    )  # a server far ahead of this one
    dump = here / "backup"
    run(server, "pg_dump", "--format=custom", f"--file={dump}", f"--dbname={database}")
    run(server, "pg_restore", "--no-owner", "--exit-on-error", f"--dbname={target}", str(dump))
    with psycopg.connect(target, autocommit=True) as there:
        assert content(there) == content(sql)
        assert anywhere("migrate", DATABASE_URL=target).code == 0
        assert scalar(there, "select count(*) from ops_agent_events where xact > pg_current_xact_id()") == 0
        new_step(there)
        assert anywhere("doctor", DATABASE_URL=target).code == 0


def run(server: PrivateServer, program: str, *arguments: str) -> None:
    """One of the server's own programs."""
    done = subprocess.run(
        [str(server.bindir / program), *arguments],
        capture_output=True,
        text=True,
        env=os.environ,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.chaos
def test_an_embedded_database_moves_to_a_server_and_to_another_home(empty_database: str, here: Path) -> None:
    def voxyz(*words: str, **variables: str) -> None:
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=here,
            env=environment(**variables),
            capture_output=True,
            text=True,
            timeout=150,
        )
        assert done.returncode == 0, done.stderr

    voxyz("init", "--yes", "--name", "Kiosk")
    voxyz("copy", COPY_TO=empty_database)
    with psycopg.connect(empty_database) as there:
        assert scalar(there, "select value ->> 'name' from ops_policy where key = 'company'") == "Kiosk"
    voxyz("export", "out")
    voxyz("import", "out", VOXYZ_HOME=str(here / "other"))
    voxyz("export", "again", VOXYZ_HOME=str(here / "other"))
    policies = [(here / name / "ops_policy.csv.gz").read_bytes() for name in ("out", "again")]
    assert policies[0] == policies[1]
