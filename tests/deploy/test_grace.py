"""Every manager of processes gives a reactor the same time to leave: its grace period, and what leaving takes."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from reactor.engine import supervisor
from reactor.model.stopping import LEAVE_WITHIN_S, stop_window_s
from reactor.settings import Settings

ROOT = Path(__file__).parents[2]
GRACE_S = Settings.load(environ={}, cwd=Path("/nowhere")).grace_s
WINDOW_S = stop_window_s(GRACE_S)


def test_leaving_is_given_more_time_than_its_steps_may_take() -> None:
    farewells = 3 * supervisor.FAREWELL_WITHIN_S  # stopping, giving back, stopped
    steps_s = supervisor.CANCEL_WITHIN_S + supervisor.FLUSH_WITHIN_S + farewells
    assert steps_s < LEAVE_WITHIN_S


def test_systemd_kills_no_sooner() -> None:
    units = list((ROOT / "deploy/systemd").glob("*.service"))
    assert len(units) == 5
    for unit in units:
        assert f"TimeoutStopSec={WINDOW_S}\n" in unit.read_text(), unit.name


@pytest.mark.parametrize("layout", ["whole", "split"])
@pytest.mark.parametrize("grace", [None, 90])
def test_pm2_kills_no_sooner(layout: str, grace: int | None) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the ecosystem file was not read")
    script = (
        f"console.log(JSON.stringify(require({json.dumps(str(ROOT / 'deploy/pm2/ecosystem.config.cjs'))})))"
    )
    env = {"VOXYZ_APPS": layout} | ({} if grace is None else {"OPS_GRACE_S": str(grace)})
    done = subprocess.run(
        [node, "-e", script], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    for app in json.loads(done.stdout)["apps"]:
        assert app["kill_timeout"] == stop_window_s(GRACE_S if grace is None else grace) * 1000


def test_compose_kills_no_sooner() -> None:
    services: dict[str, Any] = yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text())["services"]
    ours = [one for name, one in services.items() if name != "db"]
    assert len(ours) == 3
    for one in ours:
        assert one["stop_grace_period"] == f"{WINDOW_S}s"
        assert float(one["environment"]["OPS_GRACE_S"]) == GRACE_S


def test_kubernetes_kills_no_sooner() -> None:
    chart = ROOT / "deploy/helm/voxyz-reactor"
    assert yaml.safe_load((chart / "values.yaml").read_text())["graceSeconds"] == GRACE_S
    helpers = (chart / "templates/_helpers.tpl").read_text()
    assert re.findall(r"add \.Values\.graceSeconds (\d+)", helpers) == [str(LEAVE_WITHIN_S)]
    assert helpers.count("terminationGracePeriodSeconds: {{ include") == 1
