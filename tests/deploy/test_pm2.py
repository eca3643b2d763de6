"""The real pm2 from the registry, on the reactor's own ecosystem file."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import environment
from tests.support.pm2 import has_npm, installed_pm2
from tests.support.queue_rows import scalar
from tests.support.scratch import scratch_directory
from tests.support.sessions import Session
from tests.support.waiting import wait_until

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).parents[2]
ECOSYSTEM = ROOT / "deploy/pm2/ecosystem.config.cjs"
PM2_WITHIN_S = 120


@pytest.fixture(scope="module")
def pm2_program() -> Iterator[Path]:
    if not has_npm():
        pytest.skip("npm is not installed: pm2 was not tried")
    with installed_pm2() as program:
        yield program


class Pm2:
    """pm2 with a home of its own, called in ``directory``."""

    def __init__(self, program: Path, directory: Path) -> None:
        self.program, self.directory = program, directory

    def __call__(self, *words: str, **variables: str) -> str:
        done = subprocess.run(
            [self.program, *words],
            cwd=self.directory,
            env=self._environment(**variables),
            capture_output=True,
            text=True,
            timeout=PM2_WITHIN_S,
        )
        assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout

    def logs_show(self, text: str) -> None:
        """``pm2 logs`` has shown a line with ``text``; those of stderr it writes to its own stderr."""
        command = [str(self.program), "logs", "--raw", "--lines", "50"]
        with subprocess.Popen(
            command,
            cwd=self.directory,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            overdue = threading.Timer(PM2_WITHIN_S, process.kill)
            overdue.start()
            assert process.stdout is not None
            try:
                assert any(text in line for line in process.stdout), f"no line with {text}"
            finally:
                overdue.cancel()
                process.kill()

    def _environment(self, **variables: str) -> dict[str, str]:
        return environment(PM2_HOME=str(self.directory / "pm2"), **variables)


@pytest.fixture
def pm2(pm2_program: Path, database: str) -> Iterator[Pm2]:
    """Its daemon ends with the test; the .env of its directory names ``database``."""
    with scratch_directory(executable=True) as directory:
        (directory / ".env").write_text(f"DATABASE_URL={database}\nVOXYZ_LLM=mock\nOPS_PORT=0\n")
        one = Pm2(pm2_program, directory)
        try:
            yield one
        finally:
            one("kill")


def apps(pm2: Pm2) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in json.loads(pm2("jlist"))}


def ready_workers(sql: Session) -> int:
    return int(scalar(sql, "select count(*) from ops_workers where state = 'ready'"))


def finish_a_step(sql: Session) -> None:
    step = scalar(sql, "insert into ops_mission_steps (kind) values ('noop') returning id")
    wait_until(lambda: scalar(sql, "select status from ops_mission_steps where id = %s", step) == "succeeded")


def test_one_process_is_started_listed_restarted_saved_stopped_and_deleted(pm2: Pm2, sql: Session) -> None:
    pm2("start", str(ECOSYSTEM))
    assert list(apps(pm2)) == ["voxyz-reactor"]
    assert "voxyz-reactor" in pm2("list")
    wait_until(lambda: ready_workers(sql) == 1)
    finish_a_step(sql)
    pm2.logs_show("row_succeeded")

    before = apps(pm2)["voxyz-reactor"]["pid"]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: apps(pm2)["voxyz-reactor"]["pid"] not in (0, before))
    finish_a_step(sql)

    pm2("restart", "voxyz-reactor")
    wait_until(lambda: scalar(sql, "select count(*) from ops_workers where state = 'stopped'") == 1)
    finish_a_step(sql)

    pm2("save")
    assert json.loads((pm2.directory / "pm2" / "dump.pm2").read_text())[0]["name"] == "voxyz-reactor"
    pm2("stop", "voxyz-reactor")
    assert apps(pm2)["voxyz-reactor"]["pm2_env"]["status"] == "stopped"
    assert scalar(sql, "select count(*) from ops_workers where state = 'stopped'") == 2, "it left in order"
    pm2("delete", "voxyz-reactor")
    assert apps(pm2) == {}
    pm2("resurrect")
    wait_until(lambda: ready_workers(sql) == 1)


def test_stopping_lets_running_work_finish(pm2: Pm2, sql: Session) -> None:
    pm2("start", str(ECOSYSTEM))
    wait_until(lambda: ready_workers(sql) == 1)
    step = scalar(
        sql,
        """insert into ops_mission_steps (kind, payload) values ('noop', '{"sleep_s": 4}') returning id""",
    )
    wait_until(lambda: scalar(sql, "select status from ops_mission_steps where id = %s", step) == "running")
    pm2("stop", "all")
    assert scalar(sql, "select status from ops_mission_steps where id = %s", step) == "succeeded"


def test_the_alternative_is_a_process_for_each_kind_of_worker(pm2: Pm2, sql: Session) -> None:
    pm2("start", str(ECOSYSTEM), VOXYZ_APPS="split")
    assert sorted(apps(pm2)) == [
        "initiative-worker",
        "mission-worker",
        "roundtable-worker",
        "schedule-conversations",
    ]
    wait_until(lambda: ready_workers(sql) == 4)
    parts = scalar(sql, "select array_agg(part order by part) from ops_workers, unnest(parts) as part")
    assert parts == ["heartbeat", "initiative", "mission", "roundtable", "schedule", "web"]
    finish_a_step(sql)
    pm2("restart", "all")
    wait_until(lambda: ready_workers(sql) == 4)
    finish_a_step(sql)


def test_a_wrong_setting_is_not_tried_again(pm2: Pm2) -> None:
    pm2("start", str(ECOSYSTEM), POOL_MAX="none")
    wait_until(lambda: apps(pm2)["voxyz-reactor"]["pm2_env"].get("exit_code") == 2)
    pm2.logs_show("POOL_MAX must be")
    app = apps(pm2)["voxyz-reactor"]
    assert (app["pid"], app["pm2_env"]["restart_time"]) == (0, 0)
