"""One data directory and the server on it: made, started, looked at, stopped. Everything here blocks.

Layout below ``base``, which belongs to us; the three directories inside belong to the server's account::

    base/data/           the data directory; it appears complete, by a rename, or not at all
    base/data.new-…/     one in the making; whatever is found there is from an interrupted attempt
    base/log/            postgres.log, and postgres.log.1 once it grew past 8 MiB
    base/socket/         the Unix socket, mode 0700 (elsewhere when the path would be too long)
    base/voxyz.conf      our settings, written anew at each start; postgresql.conf may override them

Root writes nothing into a directory of the account once a server has run there: whoever is superuser in the
database could have left a symbolic link in its place.

Who may call: ``initialise``, ``start``, ``stop`` and ``clear_remains`` only under the caller's own exclusive
lock. ``look`` changes nothing and may be called by anybody.
"""

import errno
import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from reactor.errors import EmbeddedServerError
from reactor.pg.embedded.account import Account
from reactor.pg.embedded.binaries import Binaries
from reactor.pg.embedded.processes import end_orphans, is_server_process, poll, server_processes

SUPERUSER = "voxyz"
DATABASE = "voxyz"
SOCKET_PATH_LIMIT = 103  # bytes; macOS takes 103, Linux 107
_LOG_ROTATES_AT = 8 * 1024 * 1024  # bytes
_INITDB_TIMEOUT_S = 120.0
_START_TIMEOUT_S = 60.0  # replaying the log after a crash takes its time
_STOP_TIMEOUT_S = 20.0
_ORPHAN_PATIENCE_S = 3.0  # an idle backend notices the end of its postmaster within milliseconds
_KEPT_VARIABLES = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "TZDIR")


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What ``postmaster.pid`` says about a living server; ``ready`` once it takes clients."""

    pid: int
    port: int
    sockets: Path
    ready: bool

    def dsn(self, database: str = DATABASE) -> str:
        """The URI of ``database`` on this server, over its Unix socket."""
        return (
            f"postgresql://{SUPERUSER}@/{database}?host={quote(str(self.sockets), safe='')}&port={self.port}"
        )

    def answers(self) -> bool:
        """True when the socket takes a connection: the server is there, whatever our view of its pid."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(2.0)
            try:
                probe.connect(str(self.sockets / f".s.PGSQL.{self.port}"))
            except OSError:
                return False
        return True


@dataclass(frozen=True, slots=True)
class Cluster:
    """A data directory, the programs and the account that serve it, and the settings it is started with."""

    base: Path
    binaries: Binaries
    account: Account
    sockets: Path
    settings: Mapping[str, str]
    port: int = 5432
    sync: bool = True  # False only where losing the data directory with the machine's power is welcome

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.base / "data"

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.base / "log" / "postgres.log"

    # -- looking -------------------------------------------------------------------------------------------

    def look(self) -> Postmaster | None:
        """The living server on this data directory, or None. Changes nothing."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if len(lines) < 5 or not lines[0].strip("- ").isdecimal() or not lines[3].strip().isdecimal():
            return None
        status = lines[7].strip() if len(lines) > 7 else ""
        found = Postmaster(abs(int(lines[0])), int(lines[3]), Path(lines[4].strip()), status == "ready")
        # Asking the socket first: a server in another container on the same volume has a pid we cannot see.
        return found if found.answers() or is_server_process(found.pid, self.data) else None

    # -- making --------------------------------------------------------------------------------------------

    def initialise(self, *, hba: str = "") -> None:
        """``data`` holds a complete cluster with the database ``voxyz``; a half-finished one is gone.

        Only the owner of the socket's directory gets in, without a password; ``hba`` adds lines of its own.
        Raises EmbeddedServerError with initdb's own last word; then nothing is left behind.
        """
        for leftover in self.base.glob("data.new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        # A name of its own: the initdb of a killed attempt may still be writing under the old one.
        half = self.base / f"data.new-{secrets.token_hex(4)}"
        self._prepare()
        half.mkdir(mode=0o700)
        self.account.own(half)
        try:
            self._initdb(half)
            hba_lines = f"local all all trust\nlocal replication all trust\n{hba}"
            (half / "pg_hba.conf").write_text(hba_lines)
            with (half / "postgresql.conf").open("a") as conf:
                conf.write("\ninclude '../voxyz.conf'  # written anew at each start; lines below win\n")
            self._create_database(half)
            half.rename(self.data)
        except BaseException:
            shutil.rmtree(half, ignore_errors=True)
            raise
        if self.sync:
            handle = os.open(self.base, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)

    def _initdb(self, target: Path) -> None:
        modern = self.binaries.major >= 17  # its own C.UTF-8, whatever the system's C library knows
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        arguments = ["-D", str(target), "-U", SUPERUSER, "-E", "UTF8", "--auth=trust", "--no-instructions"]
        arguments += locale if modern else ["--locale=C.UTF-8"]
        arguments += [] if self.sync else ["--no-sync"]
        done = self._run("initdb", *arguments, timeout_s=_INITDB_TIMEOUT_S)
        if done.returncode != 0:
            raise EmbeddedServerError(self._sentence("could not be set up", done.stderr or done.stdout))

    def _create_database(self, target: Path) -> None:
        statement = f"create database {DATABASE};\n"
        single = ["--single", "-D", str(target), *([] if self.sync else ["-c", "fsync=off"]), "postgres"]
        done = self._run("postgres", *single, stdin=statement, timeout_s=_INITDB_TIMEOUT_S)
        if done.returncode != 0 or "ERROR:" in done.stderr:
            raise EmbeddedServerError(self._sentence("could not be set up", done.stderr))

    def _prepare(self) -> None:
        for directory in (self.log.parent, self.sockets):
            with suppress(FileExistsError):
                directory.mkdir(mode=0o700)
                self.account.own(directory)
        found = self.sockets.lstat()
        if found.st_uid != self.account.uid or found.st_mode & 0o077 or self.sockets.is_symlink():
            raise EmbeddedServerError(
                f"{self.sockets} is not a private directory of the server's own account:"
                " remove it and start again"
            )
        lines = {"unix_socket_directories": str(self.sockets), "port": str(self.port), **self.settings}
        quoted = {name: value.replace("'", "''") for name, value in lines.items()}
        text = "".join(f"{name} = '{value}'\n" for name, value in quoted.items())
        conf = self.base / "voxyz.conf"
        conf.write_text(text)
        conf.chmod(0o644)

    # -- starting and stopping -----------------------------------------------------------------------------

    def start(self) -> Postmaster:
        """The server runs and takes clients; what a dead one left behind is gone. Returns it.

        Raises EmbeddedServerError with the server's own last word and the path of its log.
        """
        self._prepare()
        self.clear_remains()
        if self.look() is not None:  # begun by somebody who was killed over it
            return self.await_ready()
        with suppress(FileNotFoundError):
            if self.log.stat().st_size > _LOG_ROTATES_AT:
                self.log.rename(self.log.with_name("postgres.log.1"))
        heard = self.log.stat().st_size if self.log.exists() else 0
        done = self._run("pg_ctl", "start", "-D", str(self.data), "-l", str(self.log), "-w",
                         "-t", str(int(_START_TIMEOUT_S)), "-s", timeout_s=_START_TIMEOUT_S + 10)  # fmt: skip
        found = self.look()
        if done.returncode != 0 or found is None:
            said = done.stderr
            with suppress(OSError), self.log.open("rb") as log:
                log.seek(heard)
                said = log.read().decode(errors="replace") or said
            raise EmbeddedServerError(self._sentence("did not start", said))
        return found

    def await_ready(self) -> Postmaster:
        """The server somebody began to start takes clients; EmbeddedServerError when it never does."""
        if not poll(lambda: (found := self.look()) is None or found.ready, _START_TIMEOUT_S):
            raise EmbeddedServerError(
                f"the embedded PostgreSQL still starts after {_START_TIMEOUT_S:.0f} s: see {self.log}"
            )
        found = self.look()
        if found is None:
            raise EmbeddedServerError(f"the embedded PostgreSQL ended while it was starting: see {self.log}")
        return found

    def clear_remains(self) -> None:
        """Nothing of a dead server hinders the next one: its pid file, its children, its socket.

        Left alone when a server lives here. The pid file goes only after its children: as long as one of them
        lives, PostgreSQL itself refuses the data directory, by the shared memory it is attached to.
        """
        # A process without a pid file may also be a postmaster on its way up whose starter was killed.
        poll(lambda: self.look() is not None or not server_processes(self.data), _ORPHAN_PATIENCE_S)
        if self.look() is not None:
            return
        end_orphans(self.data)
        for name in (f".s.PGSQL.{self.port}", f".s.PGSQL.{self.port}.lock"):
            (self.sockets / name).unlink(missing_ok=True)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def stop(self, *, timeout_s: float = _STOP_TIMEOUT_S) -> None:
        """No server runs here, its data at rest; one that takes over ``timeout_s`` is crashed instead."""
        for how, patience_s in ((signal.SIGINT, timeout_s), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0)):
            found = self.look()
            # Never signal a pid that is not visibly ours: it may be a stranger's, or mean another container.
            if found is None or not is_server_process(found.pid, self.data):
                break
            with suppress(ProcessLookupError):
                os.kill(found.pid, how)
            if poll(lambda: not (self.data / "postmaster.pid").exists() or self.look() is None, patience_s):
                break
        self.clear_remains()
        if self.sockets.parent != self.base:
            with suppress(OSError):
                self.sockets.rmdir()

    # -- helpers -------------------------------------------------------------------------------------------

    def _run(
        self, program: str, *arguments: str, timeout_s: float, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        environment |= {"LC_ALL": "C", "TZ": "UTC", "HOME": str(self.base)}
        try:
            return subprocess.run(
                [self.binaries.program(program), *arguments],
                input=stdin,
                capture_output=True,
                text=True,
                cwd="/",  # the account may not be able to enter ours
                env=environment,
                timeout=timeout_s,
                check=False,
                **self.account.process_options(),
            )
        except subprocess.TimeoutExpired:
            raise EmbeddedServerError(
                f"{program} of the embedded PostgreSQL has not ended after {timeout_s:.0f} s: see {self.log}"
            ) from None
        except OSError as error:
            raise EmbeddedServerError(
                f"the embedded PostgreSQL's {program} could not be run: {error.strerror}"
            ) from error

    def _sentence(self, what: str, said: str) -> str:
        """One line for the operator out of a program's last words."""
        if os.strerror(errno.ENOSPC) in said:
            return (
                f"the embedded PostgreSQL {what}: no space is left for {self.base}: free some and try again"
            )
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        grave = [line for line in lines if "FATAL:" in line or "PANIC:" in line or "error:" in line]
        last = (grave or lines or ["it said nothing"])[-1]
        for mark in ("FATAL:", "PANIC:", "error:"):
            last = last.rpartition(mark)[2].strip()
        return f"the embedded PostgreSQL {what}: {last} (log: {self.log})"
