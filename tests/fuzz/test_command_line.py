"""Every argument of every command, and every environment variable, with everything: an exit code, and at most one line."""

import contextlib
import io
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import psycopg
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reactor.cli.commands import TABLE, cli, main
from reactor.cli.service import SYSTEM_UNITS
from reactor.settings import variables
from tests.cli.conftest import COMMAND, environment
from tests.fuzz.hostile import JSON_TEXTS, TEXTS, texts

pytestmark = pytest.mark.fuzz

CALLS_EACH = 10
ENVIRONMENTS = 200
PROCESSES = 8
# What a call needs so that it ends by itself and changes nothing outside of here. The reactor and the demonstration are
# given a word that they refuse before they begin; what they do with good ones has tests of its own.
NEEDED = {
    ("run",): "no-such-part",
    ("demo",): "no-such-word",
    ("ask",): "--no-wait",
    ("service", "install"): "--user",
    ("service", "uninstall"): "--user",
}
ELSEWHERE = {"psql"}  # becomes another program: as a process of its own
NOT_GIVEN = {
    "--follow",
    "-f",
    "--wait",
    "--roles",
    "--debug",
}  # they wait, make roles of the server, show tracebacks
ODD = (
    "\udcff\udcfe",
    "-" * 300,
    "--",
    "--no-such",
    "-Z",
    "9" * 400,
    "1e9",
    "0x10",
    "١٢",
    "+5",
    " 7",
    "inf",
    "nan",
    "🙂",
)
READERS = (
    ["status"],
    ["doctor", "--json"],
    ["run", "no-such-part"],
    ["policy", "company"],
    ["run", "--help"],
)
GOOD = (
    "step",
    "mission",
    "roundtable",
    "initiative",
    "sage",
    "scout",
    "noop",
    "standup",
    "all",
    "1",
    "5",
    "company",
)

_argument = st.one_of(
    st.sampled_from(GOOD),
    st.sampled_from(GOOD),  # twice: what is wrong must also be wrong behind what is right
    st.sampled_from(ODD),
    st.sampled_from([text for text in JSON_TEXTS if len(text) < 10_000]),
    texts,
).filter(lambda word: "\0" not in word)  # no process can be given one


def leaves(
    group: click.Group, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with the words that lead to it."""
    with click.Context(group) as ctx:
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            if command is None or (not words and name in ELSEWHERE):
                continue
            yield (*words, name), command
            if isinstance(command, click.Group):
                yield from leaves(command, (*words, name))


COMMANDS = list(leaves(cli))


def _word(parameter: click.Parameter) -> st.SearchStrategy[str]:
    """Something for this parameter: four times of five what it may be, else anything."""
    if isinstance(parameter.type, click.Choice):
        right = st.sampled_from([str(choice) for choice in parameter.type.choices])
    elif isinstance(parameter.type, click.IntRange):
        right = st.sampled_from(["1", "2", "7"])
    else:
        right = st.sampled_from(GOOD)
    return st.integers(0, 4).flatmap(lambda n: _argument if n == 0 else right)


@st.composite
def calls(draw: st.DrawFn, words: tuple[str, ...], command: click.Command) -> list[str]:
    """Words for that command: some of its options with a value each, and some arguments."""
    line = list(words)
    options = [p for p in command.params if isinstance(p, click.Option) and not set(p.opts) & NOT_GIVEN]
    for option in draw(st.lists(st.sampled_from(options), max_size=2)) if options else []:
        line.append(draw(st.sampled_from(option.opts)))
        if not option.is_flag or draw(st.integers(0, 9)) == 0:
            line.append(draw(_word(option)))
    for argument in command.params:
        if isinstance(argument, click.Argument) and draw(st.integers(0, 9)):
            line.append(draw(_word(argument)))
    if draw(st.integers(0, 9)) == 0:
        line.append(draw(_argument))
    if words in NEEDED:
        line.insert(draw(st.integers(len(words), len(line))), NEEDED[words])
    return [_inside(word) for word in line] if words[0] in ("export", "service") else line


def _inside(word: str) -> str:
    """The word as a path that leads nowhere but into the directory here."""
    return word if word.startswith("-") else word.replace("/", "_").replace("..", "__")


def judge(code: object, out: str, err: str, what: object) -> str:
    """The exit code; fails on a traceback, on more than a line, on an error that nobody foresaw."""
    assert code in (0, 1, 2), f"exit code {code} of {what}"
    assert "Traceback" not in err, f"{err} of {what}"
    assert "add --debug to see where" not in err, f"{err} of {what}"
    complaints = [line for line in err.split("\n") if line.startswith("voxyz-reactor: ")]
    if code != 0:
        assert len(complaints) == 1 or (code == 1 and out), f"{code} with {err!r} and {out!r} of {what}"
    assert err.count("\n") == len(complaints), f"{err!r} of {what}"
    return str(code)


def call(words: list[str], environ: Mapping[str, str]) -> tuple[object, str, str]:
    """The command in this process: as fast as hundreds of them need it."""
    out, err = _Tty(), _Tty()
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(environ)
    stdin, sys.stdin = sys.stdin, io.StringIO("")
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
    finally:
        sys.stdin = stdin
        os.environ.clear()
        os.environ.update(kept)
    return code, out.text(), err.text()


class _Tty(io.TextIOWrapper):
    """A stream as a process has it: UTF-8, and nothing in it that cannot be said so."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors="strict", write_through=True)

    def text(self) -> str:
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode()


def test_every_argument_of_every_command(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tried: Counter[str] = Counter()
    used: set[str] = set()
    home = str(tmp_path / "home")
    variables = {"DATABASE_URL": database, "COLUMNS": "100", "HOME": home, "PATH": os.environ["PATH"]}
    units = set(SYSTEM_UNITS.glob("*"))

    def push(words: list[str]) -> None:
        tried[judge(*call(words, variables), words)] += 1
        used.add(words[0])

    each = settings(
        max_examples=CALLS_EACH, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    with capsys.disabled():
        for words, command in COMMANDS:
            each(given(calls(words, command))(push))()
        assert used == set(TABLE) - ELSEWHERE
        assert set(SYSTEM_UNITS.glob("*")) == units
        sys.stdout.write(
            f"\nfuzz of arguments: {sum(tried.values())} calls of {len(used)} commands, by exit code {dict(tried)}\n"
        )


def test_every_environment_variable(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tried: Counter[str] = Counter()
    known = [name for one in variables().values() for name in one.names]
    files = [f"{name}_FILE" for name in known]

    @settings(
        max_examples=ENVIRONMENTS, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(
        st.dictionaries(
            st.sampled_from(known + files),
            st.one_of(_argument, st.just(str(tmp_path))),
            min_size=1,
            max_size=3,
        ),
        st.sampled_from(READERS),
    )
    def push(environ: dict[str, str], words: list[str]) -> None:
        assume(environ.get("VOXYZ_LLM") != "anthropic")
        hostile = {name: value for name, value in environ.items() if not name.startswith("ANTHROPIC_API_KEY")}
        whole = {"DATABASE_URL": database, "COLUMNS": "100", **hostile}
        tried[judge(*call(words, whole), (hostile, words))] += 1

    with capsys.disabled():
        push()
        sys.stdout.write(
            f"\nfuzz of the environment: {sum(tried.values())} settings of {len(known)} variables,"
            f" by exit code {dict(tried)}\n"
        )


@pytest.mark.parametrize("seed", range(PROCESSES))
def test_real_processes_end_the_same_way(database: str, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    names = [name for name in TABLE if name not in {"run", "demo", "service", *ELSEWHERE}]
    words: list[Any] = [dice.choice(names), *(dice.choice([*TEXTS, *ODD]) for _ in range(dice.randint(0, 3)))]
    arguments = [word.encode("utf-8", "surrogateescape") for word in words]
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=tmp_path,
        env=environment(DATABASE_URL=database),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    judge(done.returncode, done.stdout.decode(), done.stderr.decode(), words)


@pytest.mark.parametrize("seed", range(4))
def test_words_for_psql_are_psql_s_own_affair(database: str, tmp_path: Path, seed: int) -> None:
    """Whatever they are, psql gets them as they are, and it ends: nothing of ours is in between."""
    dice = random.Random(seed)
    harmless = [text for text in (*TEXTS, *ODD) if "/" not in text and not text.startswith("-")]
    words = ["-X", "-c", dice.choice(harmless), *(dice.choice(["-A", "-t", "-q"]) for _ in range(2))]
    arguments = [word.encode("utf-8", "surrogateescape") for word in words]
    done = subprocess.run(
        [*COMMAND, "psql", *arguments],
        cwd=tmp_path,
        env=environment(DATABASE_URL=database),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode in (0, 1, 2, 3), words
    assert b"Traceback" not in done.stderr, words
    assert b"voxyz-reactor: " not in done.stderr, words
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", ["missoin", "MISSION", "", "mission,web", "--no-such"])
def test_a_reactor_with_a_wrong_part_begins_nothing(database: str, tmp_path: Path, part: str) -> None:
    done = subprocess.run(
        [*COMMAND, "run", "mission", part],
        cwd=tmp_path,
        env=environment(DATABASE_URL=database, OPS_PORT="0"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert judge(done.returncode, done.stdout, done.stderr, part) == "2"
    with psycopg.connect(database) as sql:
        assert sql.execute("select count(*) from ops_workers").fetchone() == (0,)


def test_the_rows_that_were_made_are_whole(database: str) -> None:
    """What the command line lets in is what the database lets in: a payload that is an object."""
    code, _, err = call(["enqueue", "step", "noop", '{"a": "\\ud83d\\ude00"}'], {"DATABASE_URL": database})
    assert (code, err) == (0, "") or "no live reactor" in err
    with psycopg.connect(database) as sql:
        assert sql.execute("select payload ->> 'a' from ops_mission_steps").fetchall() == [("😀",)]
