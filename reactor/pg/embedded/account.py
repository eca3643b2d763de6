"""The system account PostgreSQL runs under, and what that account can reach.

PostgreSQL refuses to run as root. Anybody else runs the server as himself; root runs it as the dedicated
system user ``voxyz``, which is made when it is missing. No other account is ever borrowed: ``postgres`` and
``nobody`` own things that are none of our business.
"""

import os
import pwd
import shutil
import stat
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reactor.errors import EmbeddedServerError

SYSTEM_USER = "voxyz"
_USERADD_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the server's processes run as; ``switch`` is true when that is somebody else than we are."""

    uid: int
    gid: int
    switch: bool

    def process_options(self) -> dict[str, Any]:
        """Keyword arguments for ``subprocess`` that make a child run as this account, without our groups."""
        if not self.switch:
            return {"umask": 0o077}
        return {"user": self.uid, "group": self.gid, "extra_groups": [], "umask": 0o077}

    def own(self, path: Path) -> None:
        """Give ``path``, which we have just created, to the account."""
        if self.switch:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def may_enter(self, directory: Path) -> bool:
        """True when the account may pass through ``directory`` and every parent of it.

        Judged by the permission bits; a parent that does not exist yet counts as closed.
        """
        if not self.switch:
            return True
        return all(self._has(path, stat.S_IXUSR) for path in [directory, *directory.parents])

    def may_read(self, directory: Path) -> bool:
        """True when the account may enter ``directory`` and list what is in it."""
        return self.may_enter(directory) and (not self.switch or self._has(directory, stat.S_IRUSR))

    def _has(self, path: Path, owner_bit: int) -> bool:
        try:
            found = path.stat()
        except OSError:
            return False
        if found.st_uid == self.uid:
            return bool(found.st_mode & owner_bit)
        if found.st_gid == self.gid:
            return bool(found.st_mode & owner_bit >> 3)
        return bool(found.st_mode & owner_bit >> 6)


def make_passable(directory: Path) -> None:
    """``directory`` exists; what we had to make of it and its parents is open to everybody."""
    if not directory.is_dir():
        make_passable(directory.parent)
        with suppress(FileExistsError):
            directory.mkdir()
            directory.chmod(0o755)


def existing_account() -> Account | None:
    """As ``server_account``, but None instead of making a missing system user."""
    if os.geteuid() == 0 and _look_up() is None:
        return None
    return server_account()


def server_account() -> Account:
    """The account to run a server under: ourselves, or ``voxyz`` when we are root.

    Afterwards the system user exists. Raises EmbeddedServerError, in one line, when it cannot be made.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), switch=False)
    entry = _look_up() or _add_user()
    return Account(entry.pw_uid, entry.pw_gid, switch=True)


def _look_up() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return None


def _add_user() -> pwd.struct_passwd:
    refusal = "neither useradd nor adduser is installed"
    deadline = time.monotonic() + _USERADD_TIMEOUT_S
    while True:
        command = _add_user_command()
        if command is not None:
            refusal = _refusal_of(command)
        # Another command of ours may have been faster, and useradd's own lock makes the slower one fail.
        if entry := _look_up():
            return entry
        if command is None or "lock" not in refusal or time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} could not be made"
                f" ({refusal}): make it (useradd --system {SYSTEM_USER}), run as another user,"
                " or set DATABASE_URL"
            )
        time.sleep(0.2)


def _add_user_command() -> list[str] | None:
    if path := shutil.which("useradd", path=_system_path()):
        return [path, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
                "--shell", "/usr/sbin/nologin", SYSTEM_USER]  # fmt: skip
    if path := shutil.which("adduser", path=_system_path()):  # busybox
        return [path, "-S", "-D", "-H", "-h", "/nonexistent", "-s", "/sbin/nologin", SYSTEM_USER]
    return None


def _system_path() -> str:
    return os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin:/sbin"


def _refusal_of(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_USERADD_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"
