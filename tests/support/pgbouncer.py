"""A real pgbouncer in front of a test's server."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from reactor.pg.embedded.account import server_account
from reactor.pg.embedded.processes import poll
from tests.support.scratch import scratch_directory
from tests.support.server import PrivateServer, free_port

PROGRAM = shutil.which(
    "pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin"
)
needs_pgbouncer = pytest.mark.skipif(
    PROGRAM is None, reason="pgbouncer is not installed (Debian: apt-get install pgbouncer)"
)
BACKENDS = 4  # in the pool of each database

# What pgbouncer itself carries over from client to client.
_CARRIED = ("application_name", "client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings")
_LEFT_BEHIND = """
select 'setting ' || name from pg_settings where source = 'session' and not name = any (%(carried)s)
union all
select 'listening on ' || channel from pg_listening_channels() as channel
union all
select 'prepared ' || left(statement, 60) from pg_prepared_statements
union all
select format('lock %%s %%s', classid, objid) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()
"""


@dataclass(frozen=True)
class Front:
    """How clients come in: as ``users`` with passwords, over TLS with that key and certificate; all are ``backend``."""

    users: Mapping[str, str]
    backend: tuple[str, str]
    tls: tuple[Path, Path]


class PgBouncer:
    """A pooler at ``port``; ``mode`` may be changed by stopping it and starting it again.

    Without a ``front`` it lets anybody in, as the server's superuser.
    """

    def __init__(
        self, server: PrivateServer, mode: Literal["transaction", "session"], front: Front | None = None
    ) -> None:
        self.mode = mode
        self.port = free_port()
        self._front = front
        self._server = server
        self._process: subprocess.Popen[bytes] | None = None

    def dsn_of(self, database: str, **more: str) -> str:
        """``database`` through the pooler."""
        if self._front is not None:
            user, password = next(iter(self._front.users.items()))
            more = {"user": user, "password": password, "sslmode": "require", **more}
        return make_conninfo(host="127.0.0.1", port=self.port, dbname=database, **{"user": "voxyz", **more})

    def start(self) -> None:
        """It lets clients in."""
        account = server_account()
        self._directory = scratch_directory()
        base = self._directory.__enter__()
        config = base / "pgbouncer.ini"
        config.write_text(self._configuration(base))
        config.chmod(0o644)
        assert PROGRAM is not None
        self._process = subprocess.Popen(
            [PROGRAM, "-q", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **account.process_options(),
        )
        assert poll(self._lets_in, 10.0), "pgbouncer does not start"

    def _configuration(self, base: Path) -> str:
        backends = BACKENDS if self.mode == "transaction" else 50
        return (
            "[databases]\n"
            f"* = {self._behind()}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n{self._door(base)}"
            f"pool_mode = {self.mode}\ndefault_pool_size = {backends}\nmax_client_conn = 200\n"
            "server_lifetime = 3600\nquery_wait_timeout = 20\n"
        )

    def _behind(self) -> str:
        if self._front is None:
            return f"host={self._server.cluster.sockets} port={self._server.port} user=voxyz"
        user, password = self._front.backend
        return f"host=127.0.0.1 port={self._server.port} user={user} password={password}"

    def _door(self, base: Path) -> str:
        if self._front is None:
            return "auth_type = any\n"
        users = base / "users.txt"
        users.write_text("".join(f'"{user}" "{word}"\n' for user, word in self._front.users.items()))
        users.chmod(0o644)
        key, certificate = self._front.tls
        return (
            f"auth_type = scram-sha-256\nauth_file = {users}\n"
            f"client_tls_sslmode = require\nclient_tls_key_file = {key}\nclient_tls_cert_file = {certificate}\n"
        )

    def _lets_in(self) -> bool:
        try:
            psycopg.connect(self.dsn_of("voxyz"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """It is gone, and its clients with it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None
            self._directory.__exit__(None, None, None)

    def left_behind(self, database: str) -> list[str]:
        """What clients left on any backend of the pool: settings, locks, prepared statements, channels listened to."""
        sessions = [psycopg.connect(self.dsn_of(database), prepare_threshold=None) for _ in range(BACKENDS)]
        found: dict[int, list[str]] = {}
        try:
            for (
                session
            ) in sessions:  # each keeps its transaction, and with it a backend, until the last has one
                rows = session.execute(_LEFT_BEHIND, {"carried": list(_CARRIED)}).fetchall()
                pid: Any = session.execute("select pg_backend_pid()").fetchone()
                found[pid[0]] = [row[0] for row in rows]
        finally:
            for session in sessions:
                session.close()
        assert len(found) == BACKENDS
        return sorted(one for left in found.values() for one in left)


@contextmanager
def pgbouncer(
    server: PrivateServer, mode: Literal["transaction", "session"], front: Front | None = None
) -> Iterator[PgBouncer]:
    """A pgbouncer on a free port, in ``mode``; gone at the end."""
    pooler = PgBouncer(server, mode, front)
    try:
        pooler.start()
        yield pooler
    finally:
        pooler.stop()
