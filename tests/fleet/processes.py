"""Reactors in processes of their own, of this version or dressed up as a later one."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from reactor.pg.migrations import sql_root
from tests.cli.conftest import COMMAND, environment

DEADLINE_S = 60.0

_LATER = """
import sys
from pathlib import Path
import reactor
reactor.GENERATION, reactor.__version__ = int(sys.argv[1]), sys.argv[2]
from reactor.pg import migrations
migrations.sql_root = lambda: Path(sys.argv[3])
from reactor.web import health
from reactor.cli import main
sys.exit(main(sys.argv[4:]))
"""


def sql_with(directory: Path, **files: str) -> Path:
    """A copy of our SQL with more schema files in it, by the names they get behind ``schema/``."""
    copy = directory / "sql"
    shutil.copytree(sql_root(), copy)
    for name, text in files.items():
        (copy / "schema" / f"{name.lstrip('_')}.sql").write_text(text)
    return copy


def later(sql: Path, *, generation: int, version: str = "99.0.0") -> list[str]:
    """The command of a program of that generation and version, with that SQL."""
    return [sys.executable, "-c", _LATER, str(generation), version, str(sql)]


@dataclass(frozen=True)
class Running:
    """A reactor's process, and what it writes on stderr."""

    process: subprocess.Popen[str]
    errors: IO[str]

    def said(self) -> str:
        """All of its stderr so far."""
        self.errors.seek(0)
        return self.errors.read()

    def await_ready(self) -> None:
        """It says that it is ready."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready"), line + self.said()

    def last_words(self, code: int) -> str:
        """The last line on stderr of a process that ends by itself with ``code``."""
        assert self.process.wait(DEADLINE_S) == code, self.said()
        return self.said().splitlines()[-1]


@contextmanager
def reactor(
    dsn: str,
    here: Path,
    *words: str,
    command: list[str] = COMMAND,
    ready: bool = True,
    **variables: str,
) -> Iterator[Running]:
    """``run`` in a process of its own; ``ready``: once it says so. Ended at the end."""
    with (
        tempfile.TemporaryFile("w+") as errors,  # a pipe that nobody empties would fill up, and stop it
        subprocess.Popen(
            [*command, "run", *(words or ("mission",))],
            cwd=here,
            env=environment(DATABASE_URL=dsn, OPS_PORT="0", VOXYZ_LOG="json", **variables),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        running = Running(process, errors)
        try:
            if ready:
                running.await_ready()
            yield running
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()


def until(true: Callable[[], bool]) -> None:
    """``true()`` has become true, within a minute."""
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
