"""migrate, url, psql; and the embedded database as a new user meets it."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reactor.cli.database import system_time_zone
from tests.cli.conftest import COMMAND, Voxyz, environment

Sql = psycopg.Connection[tuple[Any, ...]]


def test_migrate_makes_the_schema_and_finds_nothing_to_do_again(anywhere: Voxyz, empty_database: str) -> None:
    assert "applied" in anywhere("migrate", DATABASE_URL=empty_database).out
    assert "nothing to do" in anywhere("migrate", DATABASE_URL=empty_database).out
    assert anywhere("status", DATABASE_URL=empty_database).code == 0


def test_url_is_one_psql_understands(voxyz: Voxyz, sql: Sql) -> None:
    with psycopg.connect(voxyz("url").out.strip()) as other:
        assert other.execute("select current_database()").fetchone() == (sql.info.dbname,)


def test_psql_gets_its_arguments_and_gives_its_exit_code(voxyz: Voxyz) -> None:
    done = voxyz("psql", "-Atc", "insert into ops_mission_steps (kind) values ('noop') returning 'in'")
    assert done.code == 0
    assert done.out.splitlines()[0] == "in"
    failed = voxyz("psql", "-v", "ON_ERROR_STOP=1", "-c", "select nothing from nowhere")
    assert failed.code == 1
    assert "nowhere" in failed.err


def test_the_password_is_not_among_psql_s_arguments(voxyz: Voxyz, database: str, here: Path) -> None:
    fake = here / "bin" / "psql"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho "$@"\necho "$PGPASSWORD"\n')
    fake.chmod(0o755)
    from psycopg.conninfo import make_conninfo

    url = make_conninfo(database, password="hush hush")
    done = voxyz("psql", "-x", DATABASE_URL=url, PATH=f"{fake.parent}:{os.environ['PATH']}")
    arguments, password = done.out.splitlines()
    assert "hush" not in arguments
    assert password == "hush hush"


def test_the_time_zone_of_the_machine_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert system_time_zone() == "Europe/Berlin"
    monkeypatch.setenv("TZ", "nonsense")
    assert system_time_zone()


def test_a_new_user_runs_init_then_run_then_asks(anywhere: Voxyz, here: Path) -> None:
    made = anywhere("init", "--yes", "--name", "Acme")
    assert made.code == 0, made
    assert (here / ".voxyz").is_dir()
    assert "voxyz-reactor run" in anywhere("status").complained(1)  # the last one out stopped the server
    with subprocess.Popen(
        [*COMMAND, "run"],
        cwd=here,
        env=environment(OPS_PORT="0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            assert ready.startswith("ready")
            assert "embedded" in ready
            statement = (
                "insert into ops_mission_steps (kind, payload) values ('analyze', '{\"topic\": \"tea\"}')"
            )
            assert anywhere("psql", "-c", statement).out == "INSERT 0 1\n"
            answer = anywhere("enqueue", "step", "noop", "--wait")
            assert answer.code == 0, answer
            assert anywhere("policy", "company").json["name"] == "Acme"
            assert "1 running" in anywhere("status").out
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(timeout=30)
    assert code == 0
    assert anywhere("show", "step", "1").code == 1
