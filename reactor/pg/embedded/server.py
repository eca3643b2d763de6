"""One embedded server for all commands of a home: joined, started, kept up, left."""

import errno
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Literal, NoReturn

import trio

from reactor.errors import ConfigurationError, EmbeddedServerError
from reactor.pg.embedded.account import Account, existing_account, server_account
from reactor.pg.embedded.binaries import EMBEDDED_MAJOR, reachable, wheel_binaries
from reactor.pg.embedded.carrying import carry_over
from reactor.pg.embedded.cluster import Cluster, Postmaster
from reactor.pg.embedded.lease import FileLock
from reactor.pg.embedded.places import STATE_ROOT, Say, establish, locate, socket_directory
from reactor.pg.embedded.processes import is_server_process

Was = Literal["new", "existing", "running"]

# For a machine with one core and 1 GB. fsync stays on: what is committed is kept.
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "50",
    "shared_buffers": "64MB",
    "effective_cache_size": "256MB",
    "huge_pages": "off",
    "jit": "off",
    "io_method": "sync",
    "max_worker_processes": "4",
    "max_parallel_workers": "2",
    "min_wal_size": "32MB",
    "max_wal_size": "256MB",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %a: ",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
_TURN_TIMEOUT_S = 200.0  # more than setting up and starting may take together
_LEAVE_TIMEOUT_S = 40.0
_SILENT_WAIT_S = 0.3  # shorter waits are not worth a line
_TURN_GAP_S = 0.02
_LOOK_GAP_S = 1.0  # where a process's end cannot be waited for
_RESTART_GAP_S = 1.0  # at least, between two starts of a server that keeps dying
_RESTART_GAP_CAP_S = 30.0
_CALM_S = 60.0  # a server that lived so long may be restarted at once


def to_stderr(line: str) -> None:
    """Say one line to the operator."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class EmbeddedServer:
    """A lease on the home's running server; it is not stopped while anybody holds one."""

    def __init__(self, home: Path, cluster: Cluster, lease: FileLock, found: Postmaster, was: Was) -> None:
        self.path = home
        self.was: Was = was
        self._cluster = cluster
        self._lease = lease
        self._found = found
        self._left = False

    @property
    def dsn(self) -> str:
        """The URI of the database ``voxyz``; it stays the same when the server is started again."""
        return self._found.dsn()

    @property
    def pid(self) -> int:
        """The postmaster's process id as last seen."""
        return self._found.pid

    @property
    def bindir(self) -> Path:
        """Where ``psql`` and the other programs of its version are."""
        return self._cluster.binaries.bindir

    @property
    def log_path(self) -> Path:
        """The server's log."""
        return self._cluster.log

    async def leave(self) -> bool:
        """We no longer need the server; the last one out stops it. True when that was us.

        Not interrupted by cancellation and bounded in time. May be called again, which does nothing.
        """
        if self._left:
            return False
        self._left = True
        last = False
        with trio.CancelScope(shield=True):
            try:
                last = await self._stop_when_last()
            except (OSError, EmbeddedServerError):
                # The directory was removed under us: PostgreSQL ends by itself within a minute. Or a turn
                # takes for ever: whoever comes next finds the server and stops it.
                last = False
            finally:
                self._lease.close()
        return last

    async def _stop_when_last(self) -> bool:
        last = False
        async with _turn(self._cluster.base, "stopping", _nobody, timeout_s=_LEAVE_TIMEOUT_S):
            if last := self._lease.try_exclusive():
                await trio.to_thread.run_sync(self._cluster.stop)
        return last

    async def keep_running(self, *, say: Say = to_stderr) -> NoReturn:
        """The server is started again whenever it dies while we hold our lease.

        Waits for the process's end, so it costs nothing meanwhile. Pauses grow from 1 s to 30 s while it
        keeps dying. Raises EmbeddedServerError when it cannot be started.
        """
        gap_s = _RESTART_GAP_S
        while True:
            began = trio.current_time()
            await _end_of(self._found, self._cluster.data)
            if trio.current_time() - began > _CALM_S:
                gap_s = _RESTART_GAP_S
            else:
                await trio.sleep(gap_s)
                gap_s = min(gap_s * 2, _RESTART_GAP_CAP_S)
            async with _turn(self._cluster.base, "starting", say):
                self._found, was = await trio.to_thread.run_sync(_bring_up, self._cluster, False, say)
            if was == "existing":
                say("the embedded PostgreSQL had died and runs again")


async def ensure_running(home: Path, *, create: bool, say: Say = to_stderr) -> EmbeddedServer:
    """The server of ``home`` runs and takes clients, and we hold a lease on it.

    ``create`` makes home and database when there are none; without it that is an EmbeddedServerError.
    ``say`` is told whom we wait for when another command is at it. Cancellation: takes effect once the
    start in progress has ended, at most 3 minutes; no lease is kept, and a server nobody needs is stopped
    again.

    Raises: ConfigurationError: the place cannot be written, is somebody else's, or holds another
    version's data.
    EmbeddedServerError: the server could not be set up or started.
    """
    home = Path(await trio.Path(home).resolve())
    with _explained(home):
        account = await trio.to_thread.run_sync(server_account)
        base = locate(home, account)
        if base is None and not create:
            raise _nothing_there(home)
        cluster = await trio.to_thread.run_sync(_cluster_at, base or establish(home, account, say), account)
        lease = FileLock.open(cluster.base / "lease.lock")
        try:
            async with _turn(cluster.base, "starting", say):
                _share(lease)
                found, was = await trio.to_thread.run_sync(_bring_up, cluster, create, say)
        except BaseException:
            lease.close()
            raise
    server = EmbeddedServer(home, cluster, lease, found, was)
    try:
        await trio.lowlevel.checkpoint_if_cancelled()
    except BaseException:
        await server.leave()
        raise
    return server


async def connect_if_running(home: Path) -> EmbeddedServer | None:
    """A lease on the home's server when it runs and takes clients, else None. Starts and creates nothing."""
    home = Path(await trio.Path(home).resolve())
    if not home.is_dir():
        return None
    with _explained(home):
        account = existing_account()
        base = locate(home, account) if account else None
        if account is None or base is None:
            return None
        cluster = _cluster_at(base, account)
        try:
            lease = FileLock.open(base / "lease.lock", create=False)
        except FileNotFoundError:
            return None
        # Somebody who stops the server holds the lease exclusively: for us it is down already.
        found = cluster.look() if lease.try_shared() else None
        if found is None or not found.ready or not found.answers():
            lease.close()
            return None
    return EmbeddedServer(home, cluster, lease, found, "running")


def _cluster_at(base: Path, account: Account) -> Cluster:
    binaries = reachable(wheel_binaries(EMBEDDED_MAJOR), account, STATE_ROOT)
    return Cluster(base, binaries, account, socket_directory(base), SETTINGS)


def _share(lease: FileLock) -> None:
    if not lease.try_shared():  # only ever held exclusively by one whose turn it is, and it is ours
        raise EmbeddedServerError(
            f"{lease.path} is locked by a stranger: see who holds it (fuser) and end that"
        )


def _bring_up(cluster: Cluster, create: bool, say: Say) -> tuple[Postmaster, Was]:
    """The server runs; under the turn only. Blocks."""
    carry_over(cluster, lambda major: reachable(wheel_binaries(major), cluster.account, STATE_ROOT), say)
    if (found := cluster.look()) is not None:
        found = found if found.ready else cluster.await_ready()
        if found.answers():
            return found, "running"
        cluster.stop()  # its socket was removed: nobody can reach it any more
    was: Was = "existing"
    if not (cluster.data / "PG_VERSION").exists():
        if not create:
            raise _nothing_there(cluster.base)
        cluster.initialise()
        was = "new"
    return cluster.start(), was


def _nothing_there(home: Path) -> EmbeddedServerError:
    return EmbeddedServerError(f"there is no database in {home} yet: start one with `voxyz-reactor run`")


async def _end_of(found: Postmaster, data: Path) -> None:
    """Return once the postmaster is no more; at once when it is gone already."""
    if sys.platform == "linux" and is_server_process(found.pid, data):
        try:
            descriptor = os.pidfd_open(found.pid)
        except OSError:
            pass
        else:
            try:
                # Asked again with the descriptor in hand: by now the pid may be a stranger's.
                while is_server_process(found.pid, data):
                    await trio.lowlevel.wait_readable(descriptor)
            finally:
                os.close(descriptor)
            return
    while await trio.to_thread.run_sync(found.answers) or is_server_process(found.pid, data):  # noqa: ASYNC110 - nothing tells of a process that is not our child
        await trio.sleep(_LOOK_GAP_S)


@asynccontextmanager
async def _turn(
    base: Path, what: str, say: Say, *, timeout_s: float = _TURN_TIMEOUT_S
) -> AsyncIterator[None]:
    """Only one process at a time starts or stops the server at ``base``; the others wait and say for whom.

    Raises EmbeddedServerError when the turn does not come within ``timeout_s`` seconds.
    """
    lock = FileLock.open(base / "turn.lock")
    try:
        began = trio.current_time()
        silent = True
        while not lock.try_exclusive():
            waited_s = trio.current_time() - began
            if waited_s > timeout_s:
                raise EmbeddedServerError(
                    f"waited {timeout_s:.0f} s for {lock.noted()}: see whether that process hangs, and end it"
                )
            if silent and waited_s > _SILENT_WAIT_S:
                silent = False
                say(f"waiting for {lock.noted()}")
            await trio.sleep(_TURN_GAP_S)  # a waiting flock could not be cancelled
        lock.note(f"process {os.getpid()}, which is {what} the embedded PostgreSQL")
        yield
    finally:
        lock.close()


def _nobody(line: str) -> None:
    """Say nothing."""


@contextmanager
def _explained(home: Path) -> Iterator[None]:
    """What the file system refuses becomes one line that says what to do."""
    try:
        yield
    except OSError as error:
        where = error.filename or home
        if error.errno == errno.ENOSPC:
            raise EmbeddedServerError(f"no space is left for {where}: free some, then start again") from error
        raise ConfigurationError(
            f"{where} cannot be used for the embedded PostgreSQL ({error.strerror}):"
            " set VOXYZ_HOME to a directory that can be written, or DATABASE_URL to a database"
        ) from error
