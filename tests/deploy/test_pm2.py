"""The real pm2 from the registry, on the reactor's own ecosystem file."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import environment
from tests.support.queue_rows import scalar
from tests.support.scratch import scratch_directory
from tests.support.sessions import Session
from tests.support.waiting import wait_until

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).parents[2]
ECOSYSTEM = ROOT / "deploy/pm2/ecosystem.config.cjs"
VERSION = "7.0.4"
INSTALL_WITHIN_S = 240
PM2_WITHIN_S = 120

Pm2 = Callable[..., str]


@pytest.fixture(scope="module")
def pm2_program() -> Iterator[Path]:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: pm2 was not tried")
    with scratch_directory(executable=True) as directory:
        subprocess.run(
            ["npm", "install", "--prefix", directory, "--no-audit", "--no-fund", f"pm2@{VERSION}"],
            capture_output=True,
            timeout=INSTALL_WITHIN_S,
            check=True,
        )
        yield directory / "node_modules" / ".bin" / "pm2"


@pytest.fixture
def pm2(pm2_program: Path, database: str) -> Iterator[Pm2]:
    """pm2 with a home of its own and a working directory whose .env names ``database``; its daemon ends with the test."""
    with scratch_directory(executable=True) as directory:
        (directory / ".env").write_text(f"DATABASE_URL={database}\nVOXYZ_LLM=mock\nOPS_PORT=0\n")

        def call(*words: str, **variables: str) -> str:
            done = subprocess.run(
                [pm2_program, *words],
                cwd=directory,
                env=environment(PM2_HOME=str(directory / "pm2"), **variables),
                capture_output=True,
                text=True,
                timeout=PM2_WITHIN_S,
            )
            assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr[-2000:])
            return done.stdout

        try:
            yield call
        finally:
            call("kill")


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
    wait_until(lambda: "row_succeeded" in pm2("logs", "--nostream", "--lines", "50", "--raw", "--err"))

    before = apps(pm2)["voxyz-reactor"]["pid"]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: apps(pm2)["voxyz-reactor"]["pid"] not in (0, before))
    finish_a_step(sql)

    pm2("restart", "voxyz-reactor")
    wait_until(lambda: scalar(sql, "select count(*) from ops_workers where state = 'stopped'") == 1)
    finish_a_step(sql)

    pm2("save")
    assert json.loads((Path(apps(pm2)["voxyz-reactor"]["pm2_env"]["PM2_HOME"]) / "dump.pm2").read_text())
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
    assert "POOL_MAX must be" in pm2("logs", "--nostream", "--lines", "20", "--raw", "--err")
    app = apps(pm2)["voxyz-reactor"]
    assert (app["pid"], app["pm2_env"]["restart_time"]) == (0, 0)
