"""The game day goes as its expected output says: every part, on servers of its own."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.conftest import environment
from tests.support.scratch import scratch_directory

ROOT = Path(__file__).parents[2]
EXPECTED = (ROOT / "deploy/gameday.txt").read_text()
PARTS = {"kill": 5, "failover": 5, "pooler": 5, "budget": 4}  # and how many lines each has


def arguments_with(text: str) -> list[str]:
    """The arguments of every process that names ``text`` in them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_text(errors="replace").replace("\0", " "))
    return [arguments for arguments in found if text in arguments]


@pytest.mark.chaos
@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_the_game_day_goes_as_expected(part: str, tmp_path: Path) -> None:
    if part == "pooler" and shutil.which("pgbouncer") is None:
        pytest.skip("pgbouncer is not installed: that part of the game day was not run")
    program = tmp_path / "voxyz-reactor"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m reactor.cli "$@"\n')
    program.chmod(0o755)
    path = f"{Path(sys.executable).parent}:/usr/sbin:{os.environ['PATH']}"
    with scratch_directory() as scratch:
        env = environment(VOXYZ=str(program), PATH=path, TMPDIR=str(scratch))
        done = subprocess.run(
            [ROOT / "deploy/gameday.sh", part],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert list(scratch.iterdir()) == [], "it leaves no file behind"
        assert arguments_with(str(scratch)) == [], "nor a process"
    lines = EXPECTED.splitlines()
    first = lines.index(part)
    expected = [*lines[first : first + PARTS[part]], "game day: 1 passed, 0 failed, 0 not run"]
    assert done.stdout.splitlines() == expected, done.stderr[-3000:]
    assert done.returncode == 0


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / "deploy/gameday.sh", "earthquake"],
        env=environment(VOXYZ="true"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "there is no part earthquake" in done.stderr


def test_the_expected_output_is_that_of_every_part() -> None:
    assert len(EXPECTED.splitlines()) == sum(PARTS.values()) + 1
