"""``top`` and ``open``, as a user calls them."""

import fcntl
import json
import os
import pty
import select
import subprocess
import termios
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import COMMAND, Voxyz, environment

Sql = psycopg.Connection[tuple[Any, ...]]


def furnish(sql: Sql) -> None:
    sql.execute("select ops_enqueue_mission('Weekend report', '[{\"kind\": \"noop\"}]'::jsonb)")
    sql.execute(
        "select * from ops_propose('sage', 'Publish \x1b[31mred', '[{\"kind\": \"webhook\"}]'::jsonb)"
    )


def test_top_shows_everything_once_in_a_pipe(voxyz: Voxyz, sql: Sql) -> None:
    furnish(sql)
    answer = voxyz("top")
    assert answer.code == 0
    for words in ("0 reactors", "Weekend report", "approve 1", "Sage", "what happens", "nobody has said yet"):
        assert words in answer.out
    assert "\x1b" not in answer.out


def test_top_as_json_has_every_part(voxyz: Voxyz, sql: Sql) -> None:
    furnish(sql)
    told = voxyz("top", "--json").json
    assert [one["queue"] for one in told["queues"]] == ["mission", "roundtable", "initiative"]
    assert told["missions"][0]["title"] == "Weekend report"
    assert len(told["room"]) == 6


@pytest.mark.parametrize("key", [b"q", b"\x03"], ids=["q", "Ctrl-C"])
def test_top_stays_on_a_terminal_shows_what_is_new_and_ends_by_a_key(
    here: Path, database: str, sql: Sql, key: bytes
) -> None:
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "top", "--every", "0.2"],
        cwd=here,
        env=environment(DATABASE_URL=database, TERM="xterm-256color", COLUMNS="140", LINES="60"),
        stdin=follower,
        stdout=follower,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # keys of this terminal are signals to it
    ) as process:
        try:
            os.close(follower)
            assert_shows(leader, "what happens")
            sql.execute("insert into ops_agent_events (kind, title) values ('step_succeeded', 'brand new')")
            assert_shows(leader, "brand new")
        finally:
            os.write(leader, key)
            code = ended_while_read(process, leader)
            os.close(leader)
        assert process.stderr is not None
        assert (code, process.stderr.read()) == (0, b"")


def ended_while_read(process: subprocess.Popen[bytes], terminal: int, within_s: float = 60.0) -> int:
    """Its exit code; a terminal that nobody reads would hold its last words, and so itself, for ever."""
    deadline = time.monotonic() + within_s
    while (code := process.poll()) is None:
        if time.monotonic() > deadline:
            process.kill()
            raise AssertionError("it did not end")
        if select.select([terminal], [], [], 0.1)[0]:
            with suppress(OSError):  # its end of the terminal is closed
                os.read(terminal, 65536)
    return code


def assert_shows(terminal: int, words: str, within_s: float = 60.0) -> None:
    seen = b""
    deadline = time.monotonic() + within_s
    while words.encode() not in seen:
        assert time.monotonic() < deadline, f"{words!r} never came"
        if select.select([terminal], [], [], 0.2)[0]:
            seen += os.read(terminal, 65536)


def test_open_without_a_running_page_says_what_to_start(voxyz: Voxyz) -> None:
    assert "voxyz-reactor run" in voxyz("open").complained(2)


def test_open_prints_the_page_of_the_reactor_that_runs_here(here: Path, voxyz: Voxyz, database: str) -> None:
    with subprocess.Popen(
        [*COMMAND, "run", "web"],
        cwd=here,
        env=environment(DATABASE_URL=database, OPS_PORT="0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            assert url.endswith("/ops")
            assert voxyz("open").out.strip() == url
            told = json.loads(voxyz("open", "--json", OPS_API_TOKEN="a-long-token-for-changes").out)
            assert told["link"].startswith(f"{url}/login?ticket=")
            assert told["once"] is True
        finally:
            process.terminate()
            process.wait(timeout=15)
