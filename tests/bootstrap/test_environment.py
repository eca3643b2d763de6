"""The two commands of a checkout make their environment: once, completely, one at a time.

A tiny project without needs stands in for ours, so that only Python's own venv and pip take time.
"""

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.scratch import scratch_directory

REPOSITORY = Path(__file__).parents[2]
PROJECT = Path(__file__).parent / "project"
DEADLINE_S = 60.0


class Checkout:
    """A copy of the two commands beside the stand-in project."""

    def __init__(self, root: Path, origin: Path = PROJECT) -> None:
        self.root = root
        shutil.copytree(origin, root, symlinks=True)
        if origin == PROJECT:
            shutil.copytree(REPOSITORY / "bin", root / "bin", ignore=shutil.ignore_patterns("__pycache__"))

    def start(self, *arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(self.root / "bin" / "voxyz-reactor"), *arguments],
            cwd=cwd or self.root,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, cwd: Path | None = None, **environment: str) -> tuple[int, str, str]:
        with self.start(*arguments, cwd=cwd, **environment) as process:
            out, err = process.communicate(timeout=DEADLINE_S)
        return process.returncode, out, err

    @property
    def builds(self) -> int:
        path = self.root / "builds"
        return len(path.read_text().splitlines()) if path.exists() else 0

    @property
    def stamp(self) -> Path:
        return self.root / ".venv" / "voxyz-runtime.stamp"

    def age(self) -> None:
        """Its environment is out of date now."""
        with (self.root / "pyproject.toml").open("a") as project:
            project.write("# changed\n")


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    with scratch_directory(executable=True) as directory:
        yield Checkout(directory / "checkout")


@pytest.fixture(scope="module")
def ready() -> Iterator[Checkout]:
    """A checkout whose environment is made; tests leave it current."""
    with scratch_directory(executable=True) as directory:
        made = Checkout(directory / "checkout")
        code, out, err = made.run("first")
        assert code == 0, err
        assert json.loads(out)["args"] == ["first"]
        assert "setting up" in err
        assert "ready after" in err
        yield made


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def end(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=DEADLINE_S)


def test_a_current_environment_is_used_at_once_and_in_silence(ready: Checkout) -> None:
    before = ready.builds
    code, out, err = ready.run("again", "--flag", "with space")
    assert (code, err) == (0, "")
    assert json.loads(out)["args"] == ["again", "--flag", "with space"]
    assert json.loads(out)["prefix"] == str(ready.root / ".venv")
    assert ready.builds == before


def test_it_works_from_anywhere_and_through_a_link(ready: Checkout, tmp_path: Path) -> None:
    link = tmp_path / "voxyz"
    link.symlink_to(ready.root / "bin" / "voxyz-reactor")
    done = subprocess.run([link, "x"], cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cwd"] == str(tmp_path)
    assert done.stderr == ""


def test_exit_code_and_signals_are_the_commands_own(ready: Checkout) -> None:
    assert ready.run("exit", "5")[0] == 5
    with ready.start("wait") as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=DEADLINE_S) == 7


def test_a_changed_pyproject_renews_the_environment(ready: Checkout) -> None:
    before = ready.builds
    ready.age()
    code, _, err = ready.run("x")
    assert code == 0
    assert "setting up" in err
    assert ready.builds == before + 1
    assert ready.run("x")[2] == ""


def test_what_the_tests_need_has_a_stamp_of_its_own(ready: Checkout) -> None:
    programs = ready.root / ".venv" / "bin"
    for name in ("pytest", "ruff", "mypy", "lint-imports"):
        program = programs / name
        program.write_text(f'#!/bin/sh\necho "{name} $*"\ntest "$BREAK" != "{name}"\n')
        program.chmod(0o755)
    test = [sys.executable, str(ready.root / "bin" / "test")]
    whole = subprocess.run(test, capture_output=True, text=True, timeout=DEADLINE_S)
    assert whole.returncode == 0, whole.stderr
    assert "for the tests" in whole.stderr
    assert (ready.root / ".venv" / "voxyz-test.stamp").exists()
    assert [line.rpartition(": ")[2] for line in whole.stdout.splitlines()] == [
        "ruff check .",
        "ruff format --check .",
        "mypy ",
        "lint-imports ",
        "pytest -n auto --dist worksteal -m not (chaos or browser or fuzz or packaging or docs)",
    ]
    chosen = subprocess.run([*test, "-k", "one thing"], capture_output=True, text=True, timeout=DEADLINE_S)
    assert chosen.stdout == "pytest -k one thing\n"
    broken = subprocess.run(
        test, capture_output=True, text=True, timeout=DEADLINE_S, env={**os.environ, "BREAK": "mypy"}
    )
    assert broken.returncode == 1
    assert "mypy" in broken.stderr
    assert ready.run("x")[2] == "", "the runtime's stamp is current too"


def test_a_second_terminal_waits_and_says_for_what(ready: Checkout) -> None:
    before = ready.builds
    ready.age()
    (ready.root / "hold").touch()
    (ready.root / "held").unlink(missing_ok=True)
    with ready.start("one") as first:
        wait_for((ready.root / "held").exists)
        with ready.start("two") as second:
            assert second.stderr is not None
            said = second.stderr.readline()
            assert f"started by process {first.pid}" in said
            (ready.root / "hold").unlink()
            out, err = second.communicate(timeout=DEADLINE_S)
            assert json.loads(out)["args"] == ["two"]
            assert "setting up" not in err
        first.communicate(timeout=DEADLINE_S)
        assert first.returncode == 0
    assert ready.builds == before + 1


def test_a_set_up_killed_half_way_is_started_over(ready: Checkout) -> None:
    ready.age()
    (ready.root / "hold").touch()
    (ready.root / "held").unlink(missing_ok=True)
    victim = ready.start("one")
    try:
        wait_for((ready.root / "held").exists)
        (ready.root / ".venv" / "left-behind").touch()
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait(timeout=DEADLINE_S)
        assert not ready.stamp.exists()
    finally:
        end(victim)
    (ready.root / "hold").unlink()
    code, out, err = ready.run("two")
    assert code == 0, err
    assert "interrupted: starting over" in err
    assert not (ready.root / ".venv" / "left-behind").exists()
    assert json.loads(out)["args"] == ["two"]


def test_a_refusing_pip_is_one_line_with_its_log_and_the_next_start_tries_again(ready: Checkout) -> None:
    ready.age()
    (ready.root / "fail").touch()
    code, out, err = ready.run("one")
    last = err.splitlines()[-1]
    assert (code, out) == (1, "")
    assert "could not be installed" in last
    assert str(ready.root / ".venv" / "voxyz-setup.log") in last
    assert "no matching distribution" in (ready.root / ".venv" / "voxyz-setup.log").read_text()
    (ready.root / "fail").unlink()
    assert ready.run("two")[0] == 0


def test_a_moved_checkout_makes_its_environment_again(ready: Checkout) -> None:
    moved = Checkout(ready.root.with_name("moved"), ready.root)
    code, out, err = moved.run("x")
    assert code == 0, err
    assert json.loads(out)["prefix"] == str(moved.root / ".venv")
    assert "making" in err


def test_an_environment_made_by_hand_is_kept_and_completed(ready: Checkout) -> None:
    for stamp in (ready.root / ".venv").glob("*.stamp"):
        stamp.unlink()
    (ready.root / ".venv" / "mine").touch()
    assert ready.run("one")[0] == 0
    assert (ready.root / ".venv" / "mine").exists()
    assert ready.stamp.exists()


@pytest.mark.parametrize(
    ("system", "command"),
    [
        ("ID=debian", "apt install python3."),
        ("ID=ubuntu\nID_LIKE=debian", "apt install python3."),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"', "dnf install"),
        ("ID=alpine", "apk add"),
        ("ID=unheard-of", "package manager"),
    ],
)
def test_a_python_without_pip_is_told_the_distributions_command(
    checkout: Checkout, tmp_path: Path, system: str, command: str
) -> None:
    (tmp_path / "ensurepip.py").write_text("raise ImportError('taken out', name='ensurepip')")
    (tmp_path / "os-release").write_text(system)
    code, out, err = checkout.run(
        "x", PYTHONPATH=str(tmp_path), PATH=str(tmp_path), VOXYZ_OS_RELEASE=str(tmp_path / "os-release")
    )
    assert (code, out) == (1, "")
    assert command in err
    assert len(err.splitlines()) == 1
    assert not (checkout.root / ".venv").exists()


def test_a_python_that_cannot_make_it_hands_over_to_one_that_can(ready: Checkout, tmp_path: Path) -> None:
    ready.age()
    (tmp_path / "lacking").mkdir()
    (tmp_path / "lacking" / "ensurepip.py").write_text("raise ImportError('taken out', name='ensurepip')")
    able = tmp_path / "python3.13"
    able.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec "{sys.executable}" "$@"\n')
    able.chmod(0o755)
    path = os.pathsep.join([str(tmp_path), "/bin", "/usr/bin"])
    code, out, err = ready.run("x", PYTHONPATH=str(tmp_path / "lacking"), PATH=path)
    assert code == 0, err
    assert json.loads(out)["args"] == ["x"]


def test_a_checkout_that_cannot_be_written_is_one_line(checkout: Checkout) -> None:
    (checkout.root / ".venv.lock").mkdir()
    code, out, err = checkout.run("x")
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert "cannot be made" in err


def test_an_old_python_still_parses_the_commands() -> None:
    for name in ("_environment.py", "voxyz-reactor", "test"):
        source = (REPOSITORY / "bin" / name).read_text(encoding="ascii")
        ast.parse(source, feature_version=(3, 4))
