"""What a user gets wrong: each one clear line, exit code 1 or 2, nothing half-done."""

import json
import os
import socket
import stat
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import COMMAND, Voxyz, environment
from tests.support.server import PrivateServer

Sql = psycopg.Connection[tuple[Any, ...]]


def rows(sql: Sql, table: str) -> int:
    counted = sql.execute(f"select count(*) from {table}").fetchone()
    assert counted is not None
    number: int = counted[0]
    return number


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("words", [("migrate",), ("run",), ("enqueue", "step", "noop")])
def test_a_database_that_cannot_be_reached_is_one_line(anywhere: Voxyz, words: tuple[str, ...]) -> None:
    url = f"postgresql://me:hush@127.0.0.1:{free_port()}/db"
    line = anywhere(*words, DATABASE_URL=url).complained(1)
    assert "127.0.0.1" in line
    assert "hush" not in line


def test_a_database_that_does_not_exist_is_one_line(anywhere: Voxyz, server: PrivateServer) -> None:
    line = anywhere("migrate", DATABASE_URL=server.dsn_of("nowhere")).complained(1)
    assert "nowhere" in line


def test_an_address_that_is_none_is_one_line_without_its_password(anywhere: Voxyz) -> None:
    for url in (
        "mysql://me:hush@h/d",
        "hush",
        "postgresql://me:hush@h:port/d",
        "postgresql://me:hu%zzsh@h/d",
    ):
        line = anywhere("status", DATABASE_URL=url).complained(2)
        assert "hush" not in line
        assert "postgresql://user:password@host:5432/" in line


@pytest.mark.parametrize("words", [("status",), ("run",)])
def test_a_wrong_password_is_one_line(anywhere: Voxyz, server: PrivateServer, words: tuple[str, ...]) -> None:
    url = server.tcp_dsn.replace(server.password, "hush-hush")
    line = anywhere(*words, DATABASE_URL=url).complained(1)
    assert "password" in line
    assert "hush" not in line


def test_a_role_that_may_not_create_tables_is_told_so(
    anywhere: Voxyz, server: PrivateServer, empty_database: str
) -> None:
    server.run("drop role if exists visitor")
    server.run("create role visitor login")
    with psycopg.connect(empty_database, autocommit=True) as owner:
        owner.execute("revoke create on schema public from public")
    line = anywhere("migrate", DATABASE_URL=_as_role(empty_database, "visitor")).complained(1)
    assert "may not create tables" in line
    with psycopg.connect(empty_database) as owner:
        found = owner.execute("select count(*) from pg_class where relname ~ '^ops_'").fetchone()
    assert found == (0,)


def _as_role(dsn: str, role: str) -> str:
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    return make_conninfo("", **{**conninfo_to_dict(dsn), "user": role})


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ("[1]", "must be a JSON object, not an array"),
        ('"text"', "must be a JSON object, not a string"),
        ("null", "must be a JSON object, not null"),
        ("{bad", "no JSON in"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ("", "no JSON in"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_payload_that_is_no_object_is_refused(voxyz: Voxyz, sql: Sql, payload: str, said: str) -> None:
    line = voxyz("enqueue", "step", "noop", payload).complained(2)
    assert said in line
    assert "such as" in line
    assert rows(sql, "ops_mission_steps") == 0


def test_a_payload_is_read_from_stdin_and_refused_when_too_large(voxyz: Voxyz, sql: Sql) -> None:
    assert voxyz("enqueue", "step", "noop", "-", stdin='{"a": 1}').code == 0
    line = voxyz(
        "enqueue", "step", "noop", "-", stdin=json.dumps({"a": os.urandom(800_000).hex()})
    ).complained(1)
    assert "step_payload_is_at_most_1_mib" in line
    assert "longer than" in voxyz("enqueue", "step", "noop", "-", stdin="x" * 3_000_000).complained(2)
    assert rows(sql, "ops_mission_steps") == 1


def test_unknown_names_are_refused_and_the_known_ones_named(voxyz: Voxyz, sql: Sql) -> None:
    assert "known are analyze, crawl, diagnose" in voxyz("enqueue", "step", "nope").complained(2)
    assert "known are minion" in voxyz("enqueue", "step", "noop", "--agent", "bob").complained(2)
    assert "known are standup" in voxyz("enqueue", "roundtable", "chat").complained(2)
    assert "known are minion" in voxyz("enqueue", "roundtable", "standup", "--with", "sage,bob").complained(2)
    assert "known are minion" in voxyz("enqueue", "initiative", "bob").complained(2)
    assert "known are analyze" in voxyz("enqueue", "mission", "t", '[{"kind": "nope"}]').complained(2)
    assert " company, " in voxyz("policy", "nope").complained(2)
    assert " company, " in voxyz("policy", "nope", "{}").complained(2)
    assert "anthropic" in voxyz("breaker", "reset", "nope").complained(2)
    for table in ("ops_mission_steps", "ops_missions", "ops_roundtable_queue", "ops_initiative_queue"):
        assert rows(sql, table) == 0


@pytest.mark.parametrize("steps", ["{}", "[]", '[{"kind": "noop", "x": 1}]'])
def test_malformed_steps_leave_no_mission_behind(voxyz: Voxyz, sql: Sql, steps: str) -> None:
    assert "step" in voxyz("enqueue", "mission", "title", steps).complained(2)
    assert rows(sql, "ops_missions") == 0


def test_unknown_ids_are_one_line(voxyz: Voxyz) -> None:
    for words in (("show", "mission", "7"), ("retry", "step", "7"), ("cancel", "initiative", "7")):
        assert voxyz(*words).complained(1) == f"there is no {words[1]} 7"


def test_a_policy_without_its_shape_is_refused_and_nothing_changes(voxyz: Voxyz) -> None:
    before = voxyz("policy", "company", "--json").json
    assert "company.goals must be of type array" in voxyz("policy", "company", '{"goals": 3}').complained(2)
    assert "known are" in voxyz("policy", "company", '{"nmae": "x"}').complained(2)
    assert voxyz("policy", "company", "--json").json == before


def test_a_database_without_the_schema_is_told_to_migrate(anywhere: Voxyz, empty_database: str) -> None:
    for words in (("status",), ("enqueue", "step", "noop"), ("events",), ("pause",)):
        line = anywhere(*words, DATABASE_URL=empty_database).complained(1)
        assert "voxyz-reactor migrate" in line


def test_a_set_port_that_is_taken_stops_run(here: Path, database: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        env = environment(DATABASE_URL=database, OPS_PORT=port)
        with subprocess.Popen(
            [*COMMAND, "run"], cwd=here, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stderr is not None
                assert (
                    not process.stdout.readline()
                )  # the end of the stream, not a line that begins with ready
                complaint = process.stderr.read().splitlines()[-1]
            finally:
                process.terminate()
                code = process.wait(timeout=30)
    assert port in complaint
    assert code == 1


@pytest.mark.parametrize("words", [("run",), ("migrate",), ("init", "--yes")])
def test_a_place_that_cannot_be_written_is_one_line(
    anywhere: Voxyz, here: Path, words: tuple[str, ...]
) -> None:
    # As root permissions refuse nothing: a file where a directory should be does.
    (here / "wall").write_text("")
    line = anywhere(*words, VOXYZ_HOME=str(here / "wall" / "home")).complained(2)
    assert "VOXYZ_HOME" in line
    assert stat.S_ISREG((here / "wall").stat().st_mode)


@pytest.mark.parametrize("words", [(), ("status",), ("migrate",)])
def test_production_without_a_database_is_refused(
    anywhere: Voxyz, here: Path, words: tuple[str, ...]
) -> None:
    line = anywhere(*words, OPS_ENV="production").complained(2)
    assert "set DATABASE_URL" in line
    assert list(here.iterdir()) == []


def test_production_does_not_answer_with_the_mock_unasked(voxyz: Voxyz) -> None:
    assert "ANTHROPIC_API_KEY" in voxyz("run", OPS_ENV="production").complained(2)


def test_a_time_zone_that_does_not_exist_is_refused(voxyz: Voxyz) -> None:
    before = voxyz("policy", "company", "--json").json
    assert "Europe/Berlin" in voxyz("init", "--yes", "--timezone", "Mars/Olympus").complained(2)
    assert voxyz("policy", "company", "--json").json == before


def test_init_without_a_terminal_asks_for_yes(voxyz: Voxyz) -> None:
    assert "--yes" in voxyz("init").complained(2)
