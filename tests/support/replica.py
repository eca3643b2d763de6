"""A primary with a streaming replica that every commit waits for, both gone with the test."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from reactor.pg.embedded.account import server_account
from reactor.pg.embedded.binaries import Binaries
from reactor.pg.embedded.cluster import Cluster
from reactor.pg.embedded.processes import poll
from tests.support.scratch import scratch_directory
from tests.support.server import HURRIED_SETTINGS, PrivateServer, free_port, private_server

# A commit is acknowledged when the replica has it; no disk is waited for, no machine loses its power here.
_SETTINGS = {**HURRIED_SETTINGS, "synchronous_commit": "on", "max_wal_senders": "4", "wal_level": "replica"}


@dataclass
class Pair:
    """Two servers that hold the same: the second only reads, until it is promoted."""

    primary: PrivateServer
    replica: PrivateServer

    @property
    def dsn(self) -> str:
        """Both hosts, over TCP; only the one that takes writes will do."""
        login = f"voxyz:{self.primary.password}"
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.replica.port}"
        return f"postgresql://{login}@{hosts}/voxyz?target_session_attrs=read-write"

    def kill_primary(self) -> None:
        """Its postmaster and all its children are killed in the middle of whatever they do."""
        pid = self.primary.pid
        children = [int(word) for word in _children(pid)]
        for one in (pid, *children):
            os.kill(one, signal.SIGKILL)
        assert poll(lambda: self.primary.cluster.look() is None, 10.0)

    def promote(self) -> None:
        """The replica takes writes."""
        self.replica.run("select pg_promote(true, 30)")


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@contextmanager
def replicated_pair(binaries: Binaries) -> Iterator[Pair]:
    """A primary whose commits wait for its replica, and that replica, both taking clients."""
    with private_server(binaries, _SETTINGS) as primary, scratch_directory() as base:
        account = server_account()
        cluster = Cluster(base, binaries, account, base / "socket", _SETTINGS, port=free_port(), sync=False)
        cluster.data.mkdir(mode=0o700)
        account.own(cluster.data)
        copied = cluster._run(
            "pg_basebackup", "-D", str(cluster.data), "-h", str(primary.cluster.sockets), "-p", str(primary.port),
            "-U", "voxyz", "-R", "-X", "stream", "-c", "fast", "--no-sync", timeout_s=60.0,
        )  # fmt: skip
        assert copied.returncode == 0, copied.stderr
        replica = PrivateServer(cluster)
        try:
            replica.start()
            primary.run("alter system set synchronous_standby_names = '*'")
            primary.run("select pg_reload_conf()")
            assert poll(lambda: _is_waited_for(primary), 20.0)
            yield Pair(primary, replica)
        finally:
            cluster.stop(timeout_s=5.0)


def _is_waited_for(primary: PrivateServer) -> bool:
    with psycopg.connect(primary.dsn) as sql:
        return sql.execute("select sync_state from pg_stat_replication").fetchall() == [("sync",)]
