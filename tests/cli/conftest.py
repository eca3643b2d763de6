"""The command line as a user has it: real processes in a directory of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.scratch import scratch_directory

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "reactor.cli"]
DEADLINE_S = 120.0


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def complained(self, code: int) -> str:
        """The one line on stderr; nothing was answered, and the exit code is ``code``."""
        assert (self.code, self.out) == (code, ""), self
        lines = self.err.splitlines()
        assert len(lines) == 1, self
        assert lines[0].startswith("voxyz-reactor: ")
        assert "Traceback" not in self.err
        return lines[0].removeprefix("voxyz-reactor: ")


Voxyz = Callable[..., Answer]


def environment(**variables: str) -> dict[str, str]:
    """An environment with nothing of the outer one but what a program needs to start, and ``variables``."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "TZ": "UTC", **variables}


@pytest.fixture
def here() -> Iterator[Path]:
    """The directory commands are run in; the embedded server's own account may enter it, so its data stay inside."""
    with scratch_directory(executable=True) as directory:
        yield directory


@pytest.fixture
def anywhere(here: Path) -> Voxyz:
    """Runs a command without any setting but those given by name."""

    def call(*words: str, stdin: str | None = None, **variables: str) -> Answer:
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=here,
            env=environment(**variables),
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def voxyz(anywhere: Voxyz, database: str) -> Voxyz:
    """Runs a command on a fresh database with the whole schema."""

    def call(*words: str, stdin: str | None = None, **variables: str) -> Answer:
        return anywhere(*words, stdin=stdin, **{"DATABASE_URL": database, **variables})

    return call


@pytest.fixture
def reactor(here: Path, database: str) -> Iterator[subprocess.Popen[str]]:
    """A real reactor on ``database``, ready; stopped afterwards."""
    with subprocess.Popen(
        [*COMMAND, "run", "mission"],
        cwd=here,
        env=environment(DATABASE_URL=database, OPS_PORT="0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("ready")
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
