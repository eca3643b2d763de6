"""What every bench stands on: a private durable server, databases on it, a progress bar, and the run being filled."""

import itertools
import os
import platform
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.figures import Run
from reactor.pg.embedded.account import server_account
from reactor.pg.embedded.binaries import Binaries, reachable
from reactor.pg.embedded.cluster import Cluster, Postmaster
from reactor.pg.migrations import migrate

# Durable, and large enough that no checkpoint falls into a round.
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "512MB",
    "effective_cache_size": "2GB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "random_page_cost": "1.1",
    "jit": "off",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %d %a: ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

Sql = psycopg.Connection[tuple[Any, ...]]


class Server:
    """A running private server."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._names = itertools.count(1)

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.cluster.log

    @property
    def sockets(self) -> Path:
        """The directory of its Unix socket."""
        return self.cluster.sockets

    @property
    def port(self) -> int:
        """The number its socket goes by."""
        return self.cluster.port

    def program(self, name: str) -> str:
        """The path of one of its programs, such as pgbench."""
        return self.cluster.binaries.program(name)

    def dsn(self, database: str) -> str:
        """The address of a database."""
        return Postmaster(0, self.port, self.sockets, ready=True).dsn(database)

    @contextmanager
    def sql(self, database: str = "postgres") -> Iterator[Sql]:
        """A blocking connection in autocommit."""
        connection = psycopg.connect(self.dsn(database), autocommit=True, application_name="bench")
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def database(self, install: Callable[[str], None]) -> Iterator[str]:
        """The name of a new database on which ``install(dsn)`` was called; dropped afterwards."""
        name = f"bench_{next(self._names)}"
        with self.sql() as admin:
            admin.execute(_named("create database {}", name))
            try:
                install(self.dsn(name))
                yield name
            finally:
                admin.execute(_named("drop database {} with (force)", name))


def _named(statement: LiteralString, name: str) -> psycopg.sql.Composed:
    return psycopg.sql.SQL(statement).format(psycopg.sql.Identifier(name))


def install_ours(dsn: str) -> None:
    """The database has our schema."""
    trio.run(migrate, dsn)


@dataclass
class Stage:
    """Handed to every bench. ``quick``: small numbers, one round: to see that it works, not how fast."""

    binaries: Binaries
    run: Run
    console: Console
    folder: Path
    quick: bool = False
    peers: bool = True

    @contextmanager
    def server(self) -> Iterator[Server]:
        """A new server in a directory of its own; stopped and removed afterwards."""
        base = Path(tempfile.mkdtemp(prefix="server-", dir=self.folder))
        base.chmod(0o755)
        account = server_account()
        binaries = reachable(self.binaries, account, self.folder / "programs")
        sockets = Path(tempfile.mkdtemp(prefix="vb-"))
        sockets.chmod(0o755)
        cluster = Cluster(base, binaries, account, sockets / "s", SETTINGS, port=_free_port())
        try:
            cluster.initialise()
            cluster.start()
            yield Server(cluster)
        finally:
            cluster.stop()
            shutil.rmtree(base, ignore_errors=True)
            shutil.rmtree(sockets, ignore_errors=True)

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Callable[[str], None]]:
        """A bar of ``total`` parts; call what it yields at the beginning of each part, with its name."""
        columns = (
            TextColumn("[bold]{task.fields[title]:<12}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=self.console) as bars:
            task = bars.add_task("starting", title=title, total=total)
            begun = 0

            def part(name: str) -> None:
                nonlocal begun
                bars.update(task, completed=begun, description=name)
                begun += 1

            yield part
            bars.update(task, completed=total, description="done")

    def rounds(self, usual: int) -> int:
        """How many rounds: ``usual``, or 1 when quick."""
        return 1 if self.quick else usual

    def amount(self, usual: int, quick: int) -> int:
        """How many of something."""
        return quick if self.quick else usual


def machine() -> str:
    """The machine in general words: nothing that tells which one."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cores} shared cores ({platform.machine()}), {memory_gib:.0f} GiB of memory,"
        f" {platform.system()}, Python {platform.python_version()}"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
