"""The wheel and the sdist, outside of any checkout."""

import os
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

import pytest

from reactor import __version__
from tests.cli.conftest import environment
from tests.support.scratch import scratch_directory

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).parents[2]
INSTALL_WITHIN_S = 500
UV = "uv>=0.13,<0.14"
SHARED = (
    "share/man/man1/voxyz-reactor.1",
    "share/bash-completion/completions/voxyz-reactor",
    "share/zsh/site-functions/_voxyz-reactor",
    "share/fish/vendor_completions.d/voxyz-reactor.fish",
)


def build(source: Path, target: str, out: Path) -> Path:
    """The wheel or the sdist of what is in ``source``."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", out],
        cwd=source,
        capture_output=True,
        timeout=120,
        check=True,
    )
    (found,) = out.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return found


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with scratch_directory(executable=True) as directory:
        yield directory


@pytest.fixture(scope="module")
def wheel(place: Path) -> Path:
    return build(ROOT, "wheel", place / "wheel")


@pytest.fixture(scope="module")
def installed(place: Path, wheel: Path) -> Path:
    """The folder with the programs of a fresh environment that holds the wheel and what it needs."""
    venv.create(place / "env", with_pip=True)
    programs = place / "env" / "bin"
    pip = [str(programs / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, str(wheel)], cwd=place, timeout=INSTALL_WITHIN_S, check=True, capture_output=True)
    return programs


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_sdist_makes_the_same_wheel(place: Path, wheel: Path) -> None:
    sdist = build(ROOT, "sdist", place / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(place / "unpacked", filter="data")
    (source,) = (place / "unpacked").iterdir()
    assert source.name == f"voxyz_reactor-{__version__}"
    again = contents(build(source, "wheel", place / "again"))
    assert again == contents(wheel)
    for name in SHARED:
        assert f"voxyz_reactor-{__version__}.data/data/{name}" in again
    schema = {f"reactor/_sql/{path.relative_to(ROOT / 'sql')}" for path in (ROOT / "sql").rglob("*.sql")}
    assert schema <= again.keys()
    assert not [name for name in again if name.startswith(("tests/", "bench/", "deploy/"))]


def test_installed_from_the_wheel_it_knows_its_version_and_brings_its_manual(
    installed: Path, place: Path
) -> None:
    done = subprocess.run(
        [installed / "voxyz-reactor", "--version"], cwd=place, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == f"voxyz-reactor {__version__}\n"
    for name in SHARED:
        assert (installed.parent / name).is_file()


def test_installed_from_the_wheel_it_runs_and_does_what_is_inserted(installed: Path, place: Path) -> None:
    here = place / "here"
    here.mkdir()
    here.chmod(0o755)
    program = str(installed / "voxyz-reactor")
    env = environment(OPS_PORT="0", PYTHONPATH="")

    def said(*words: str) -> str:
        done = subprocess.run(
            [program, *words], cwd=here, env=env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with subprocess.Popen(
        [program], cwd=here, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        overdue = threading.Timer(120, process.kill)
        overdue.start()
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("ready: database embedded")
            insert = "insert into ops_mission_steps (kind, payload) values ('analyze', '{\"topic\": \"rain\"}') returning id"
            assert said("psql", "-qtAc", insert).strip() == "1"
            assert said("enqueue", "step", "analyze", '{"topic": "sun"}', "--wait").splitlines()[0] == "2"
            until = "select status from ops_mission_steps where id = 1"
            while said("psql", "-qtAc", until).strip() != "succeeded":
                assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            overdue.cancel()
            process.kill()


def test_uvx_runs_it_without_an_installation(place: Path, wheel: Path) -> None:
    venv.create(place / "uv", with_pip=True)
    pip = [str(place / "uv/bin/python"), "-m", "pip", "install", "--quiet", UV]
    subprocess.run(pip, timeout=INSTALL_WITHIN_S, check=True, capture_output=True)
    done = subprocess.run(
        [
            str(place / "uv/bin/uvx"),
            "--from",
            str(wheel),
            "--python",
            sys.executable,
            "voxyz-reactor",
            "--version",
        ],
        cwd=place,
        env={**environment(), **{name: value for name, value in os.environ.items() if "CERT" in name}},
        capture_output=True,
        text=True,
        timeout=INSTALL_WITHIN_S,
    )
    assert done.stdout == f"voxyz-reactor {__version__}\n", done.stderr
    assert shutil.which("voxyz-reactor", path=str(place / "uv/bin")) is None
