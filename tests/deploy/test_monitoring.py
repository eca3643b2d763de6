"""The alerts and the dashboard: of metrics that exist, each alert with what to do about it."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "voxyz-reactor.json"
RUNBOOK = ROOT / "docs" / "operations.md"
METRICS = ROOT / "reactor" / "engine" / "metrics.py"
SERIES = re.compile(r"\bvoxyz_[a-z_]+")
SUFFIXES = re.compile(r"_(total|bucket|count|sum)$")


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> Iterator[str]:
    """Everything that is asked of Prometheus."""
    for rule in rules():
        yield rule["expr"]
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"]


def test_alerts_and_dashboard_ask_only_for_metrics_there_are() -> None:
    known = set(SERIES.findall(METRICS.read_text(encoding="utf-8")))
    asked = {SUFFIXES.sub("", name) for one in expressions() for name in SERIES.findall(one)}
    assert len(asked) > 15
    assert asked <= known, asked - known


def test_every_alert_has_a_section_that_says_what_to_do_and_every_section_an_alert() -> None:
    alerts = [rule["alert"] for rule in rules()]
    assert len(alerts) == len(set(alerts))
    text = RUNBOOK.read_text(encoding="utf-8")
    sections = re.findall(r"^### (Voxyz\w+)\n(?P<body>(?:(?!#).+\n)+)", text, re.MULTILINE)
    assert [name for name, _ in sections] == alerts
    assert all(len(body) > 80 for _, body in sections)
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info")


def test_the_dashboard_has_panels_side_by_side_and_none_over_another() -> None:
    taken: set[tuple[int, int]] = set()
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 10
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_promtool_takes_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip(
            "promtool is not installed: the rules were NOT checked (Debian has it in package prometheus)"
        )
    checked = subprocess.run(
        [promtool, "check", "rules", str(ALERTS)], capture_output=True, text=True, timeout=30, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules())} rules found" in checked.stdout
