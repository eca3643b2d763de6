"""The words themselves: help, suggestions, exit codes, streams. No database is needed."""

import ast
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from reactor import __version__
from reactor.cli.commands import TABLE
from tests.cli.conftest import COMMAND, Voxyz, environment


def test_help_names_every_command_and_is_quick(anywhere: Voxyz) -> None:
    began = time.monotonic()
    answer = anywhere("--help")
    took_s = time.monotonic() - began
    assert answer.code == 0
    assert all(f"\n  {name} " in answer.out for name in TABLE)
    assert took_s < 3  # 0.06 s alone on a machine; a loaded one may take its time


def loaded(*words: str, of: Sequence[str]) -> list[str]:
    """Which of the modules are loaded once the command has run."""
    probe = (
        "import sys, reactor.cli; words, of = (one.split() for one in sys.argv[1:]); "
        "reactor.cli.main(words); print([one for one in of if one in sys.modules])"
    )
    done = subprocess.run(
        [COMMAND[0], "-c", probe, " ".join(words), " ".join(of)],
        env=environment(), capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    return list(ast.literal_eval(done.stdout.splitlines()[-1]))


def test_help_loads_nothing_heavy() -> None:
    heavy = ["trio", "psycopg", "pydantic", "rich", "anthropic", "starlette"]
    assert loaded("--help", of=heavy) == []


def test_the_reactor_starts_without_what_only_tables_requests_and_the_real_model_need() -> None:
    assert loaded("run", "--help", of=["trio", "rich", "httpcore2", "anthropic"]) == ["trio"]


def test_every_command_has_help_of_its_own() -> None:
    probe = (
        "import reactor.cli, sys; sys.exit(max(reactor.cli.main([name, '--help']) for name in sys.argv[1:]))"
    )
    done = subprocess.run(
        [COMMAND[0], "-c", probe, *TABLE], env=environment(), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    for name in TABLE:
        assert f"Usage: voxyz-reactor {name} " in done.stdout


def test_the_version_is_that_of_the_package(anywhere: Voxyz) -> None:
    assert anywhere("--version").out == f"voxyz-reactor {__version__}\n"


def test_an_unknown_command_suggests_the_nearest(anywhere: Voxyz) -> None:
    assert anywhere("statsu").complained(2) == "there is no command 'statsu': did you mean status?"
    assert anywhere("enqeue", "step").complained(2) == "there is no command 'enqeue': did you mean enqueue?"
    assert anywhere("xyzzy!").complained(2) == "there is no command 'xyzzy!': see voxyz-reactor --help"


def test_wrong_words_are_one_line_and_exit_2(anywhere: Voxyz) -> None:
    assert "--nope" in anywhere("--nope").complained(2)
    assert "--nope" in anywhere("status", "--nope").complained(2)
    assert "KIND" in anywhere("enqueue", "step").complained(2)
    assert "mission" in anywhere("pause", "missions").complained(2)
    assert "ID" in anywhere("show", "step", "one").complained(2)
    assert "ID" in anywhere("show", "step", "99999999999999999999").complained(2)
    assert "conversation" not in anywhere("show", "room", "1").complained(2)
    assert "--failed" in anywhere("retry").complained(2)
    assert "2h" in anywhere("retry", "--failed", "--since", "soon").complained(2)


def test_debug_shows_the_traceback_before_and_behind_the_command(anywhere: Voxyz) -> None:
    for words in (("--debug", "status"), ("status", "--debug"), ("enqueue", "step", "noop", "--debug")):
        answer = anywhere(*words, OPS_PORT="x")
        assert answer.code == 2
        assert "Traceback" in answer.err
        assert answer.err.splitlines()[-1].startswith("voxyz-reactor: OPS_PORT must be")


def test_a_command_without_a_database_says_what_to_start_and_makes_none(anywhere: Voxyz, here: Path) -> None:
    for words in (("status",), ("psql",), ("url",), ("enqueue", "step", "noop")):
        line = anywhere(*words).complained(1)
        assert "voxyz-reactor run" in line
        assert "DATABASE_URL" in line
    assert list(here.iterdir()) == []
