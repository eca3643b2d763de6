"""A private PostgreSQL for tests: in a directory of its own, gone with it, unsafe on purpose (no fsync)."""

import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg

from reactor.pg.embedded.account import server_account
from reactor.pg.embedded.binaries import Binaries, binaries_at, wheel_binaries
from reactor.pg.embedded.cluster import Cluster, Postmaster
from tests.support.scratch import scratch_directory

HURRIED_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "1GB",
    "autovacuum_naptime": "5s",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %a: ",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "max_prepared_transactions": "10",
}


def chosen_binaries() -> Binaries:
    """By REACTOR_TEST_PG: unset or ``18``, ``16`` = the wheel's, else a directory of programs."""
    wanted = os.environ.get("REACTOR_TEST_PG", "")
    if wanted in ("", "18"):
        return wheel_binaries(18)
    if wanted == "16":
        return wheel_binaries(16)
    return binaries_at(Path(wanted))


def free_port() -> int:
    """A TCP port of 127.0.0.1 nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class PrivateServer:
    """A running server with superuser and database ``voxyz``: over TCP it wants the password."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.password = secrets.token_hex(8)
        self.found: Postmaster | None = None

    @property
    def dsn(self) -> str:
        """The database ``voxyz`` over the Unix socket."""
        return self.dsn_of("voxyz")

    @property
    def tcp_dsn(self) -> str:
        """The same over TCP, with the password."""
        return f"postgresql://voxyz:{self.password}@127.0.0.1:{self.port}/voxyz"

    @property
    def port(self) -> int:
        return self.cluster.port

    @property
    def bindir(self) -> Path:
        return self.cluster.binaries.bindir

    @property
    def version(self) -> int:
        """The major version, such as 18."""
        return self.cluster.binaries.major

    @property
    def log_path(self) -> Path:
        return self.cluster.log

    @property
    def data_dir(self) -> Path:
        return self.cluster.data

    @property
    def pid(self) -> int:
        """The postmaster's; raises while the server is stopped."""
        assert self.found is not None, "the server is stopped"
        return self.found.pid

    def dsn_of(self, database: str) -> str:
        """Another database on this server; its address stays the same over stop and start."""
        return Postmaster(0, self.port, self.cluster.sockets, ready=True).dsn(database)

    def start(self) -> None:
        """The server takes clients, also after it was stopped or killed."""
        self.found = self.cluster.start()

    def stop(self) -> None:
        """The server is gone; clients were cut off, data is kept."""
        self.cluster.stop()
        self.found = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def run(self, statement: str, *, database: str = "postgres") -> None:
        """Run one statement as superuser in autocommit."""
        with psycopg.connect(self.dsn_of(database), autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def private_server(
    binaries: Binaries, settings: Mapping[str, str] = HURRIED_SETTINGS
) -> Iterator[PrivateServer]:
    """A server in a new temporary directory; stopped and removed with everything in it at the end."""
    with scratch_directory() as base:
        cluster = Cluster(
            base, binaries, server_account(), base / "socket", settings, port=free_port(), sync=False
        )
        server = PrivateServer(cluster)
        try:
            cluster.initialise(hba="host all all 127.0.0.1/32 scram-sha-256\n")
            server.start()
            server.run(f"alter role voxyz password '{server.password}'")
            yield server
        finally:
            cluster.stop(timeout_s=5.0)
