"""Other users of an embedded server, and small questions about one."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reactor.pg.embedded import EmbeddedServer
from reactor.pg.embedded.account import server_account
from reactor.pg.embedded.binaries import reachable, wheel_binaries
from reactor.pg.embedded.cluster import Cluster
from reactor.pg.embedded.places import STATE_ROOT, socket_directory
from reactor.pg.embedded.processes import poll, server_processes
from reactor.pg.embedded.server import SETTINGS

REPOSITORY = Path(__file__).parents[2]
IS_ROOT = os.geteuid() == 0
only_root = pytest.mark.skipif(not IS_ROOT, reason="is about the server of root, which runs as another user")


class User:
    """Another command using the same home, in a process of its own."""

    def __init__(self, home: Path, *account: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.embedded_user", str(home), *account],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def said(self) -> dict[str, Any]:
        """Its next line; blocks until it comes."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read() if self.process.stderr else "it ended without a word"
        facts: dict[str, Any] = json.loads(line)
        return facts

    def leaves(self) -> dict[str, Any]:
        """Let it go; what it said at last."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        facts = self.said()
        self.close()
        return facts

    def close(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def kill_everything_on(data: Path) -> None:
    for pid in server_processes(data):
        os.kill(pid, signal.SIGKILL)
    assert poll(lambda: not server_processes(data), 10.0)


def keep_a_row(server: EmbeddedServer) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("create table kept (id int)")
        connection.execute("insert into kept values (7)")


def row_is_there(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        return connection.execute("select id from kept").fetchone() == (7,)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def older_cluster(base: Path) -> Cluster:
    """The cluster in ``base`` as a release with PostgreSQL 16 sees it; ``initialise`` makes it."""
    account = server_account()
    binaries = reachable(wheel_binaries(16), account, STATE_ROOT)
    settings = {name: value for name, value in SETTINGS.items() if name != "io_method"}
    return Cluster(base, binaries, account, socket_directory(base), settings, sync=False)
