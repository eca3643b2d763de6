"""Where the embedded server of a home lives, decided once and found again.

Usually ``HOME/postgres``. Root's server runs as another account, which cannot enter a home below a closed
directory such as /root, and no directory we did not create is ever opened to it: then the server lives in
``/var/lib/voxyz-reactor/<digest>-<token>``, and the file ``HOME/postgres.at`` says so. The token makes a
home that was removed and made again start empty, as it would elsewhere.
"""

import hashlib
import os
import pwd
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from reactor.errors import ConfigurationError
from reactor.pg.embedded.account import Account, make_passable
from reactor.pg.embedded.cluster import SOCKET_PATH_LIMIT

STATE_ROOT = Path("/var/lib/voxyz-reactor")
POINTER = "postgres.at"
_STATE_NAME = re.compile(r"[0-9a-f]{12}-[0-9a-f]{8}")
_SHORT_DIRECTORY = "/tmp"  # noqa: S108 - what is made there is private, and its owner checked before each use

Say = Callable[[str], None]


def locate(home: Path, account: Account) -> Path | None:
    """The directory of the home's server, or None when it has none yet. Changes nothing.

    Raises ConfigurationError when it is there but belongs to somebody else or is out of the account's reach.
    """
    base = _pointed_at(home) or home / "postgres"
    try:
        owner = base.stat().st_uid
    except (FileNotFoundError, NotADirectoryError):
        return None
    if owner != os.geteuid():
        raise ConfigurationError(
            f"{base} belongs to {_name_of(owner)}: run as that user, or set VOXYZ_HOME or DATABASE_URL"
        )
    if not account.may_enter(base):
        raise ConfigurationError(
            f"the database in {base} is out of reach of its own server, which does not run as root:"
            " let others enter the directories above it (chmod o+x), or set VOXYZ_HOME to another place"
        )
    return base


def establish(home: Path, account: Account, say: Say) -> Path:
    """The directory of the home's server, made when missing; ``say`` is told when it is not in the home.

    Raises OSError when a directory cannot be made.
    """
    _make_home(home, account)
    if base := locate(home, account):
        return base
    if not account.may_enter(home):
        return _establish_elsewhere(home, say)
    base = home / "postgres"
    _make_directory(base, account)
    return base


def socket_directory(base: Path) -> Path:
    """Where the socket goes: ``base/socket``, or a short path under /tmp when that would be too long.

    The same for everybody who asks: an XDG_RUNTIME_DIR differs between a login and a cron job, and goes
    with the login.
    """
    usual = base / "socket"
    if len(os.fsencode(usual / ".s.PGSQL.5432")) <= SOCKET_PATH_LIMIT:
        return usual
    digest = hashlib.sha256(os.fsencode(base)).hexdigest()[:12]
    return Path(_SHORT_DIRECTORY) / f"voxyz-{os.geteuid()}-{digest}"


def _make_home(home: Path, account: Account) -> None:
    home.parent.mkdir(parents=True, exist_ok=True)
    if _make_directory(home, account):
        (home / ".gitignore").write_text("*\n")


def _make_directory(path: Path, account: Account) -> bool:
    """Make ``path``, passable for the server's account from the first moment; False when it was there."""
    if path.is_dir():
        return False
    draft = path.with_name(f"{path.name}.new-{secrets.token_hex(4)}")
    try:
        draft.mkdir(mode=0o700)
    except OSError as error:
        raise OSError(
            error.errno, error.strerror, str(path)
        ) from None  # the draft's name tells nobody anything
    if account.switch:
        draft.chmod(0o711)
    try:
        draft.rename(path)
    except OSError:
        draft.rmdir()
        if path.is_dir():
            return False
        raise
    return True


def _establish_elsewhere(home: Path, say: Say) -> Path:
    make_passable(STATE_ROOT)
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    earlier = sorted(path for path in STATE_ROOT.glob(f"{digest}-*") if _STATE_NAME.fullmatch(path.name))
    base = STATE_ROOT / f"{digest}-{secrets.token_hex(4)}"
    base.mkdir()
    base.chmod(0o711)
    (base / "home").write_text(f"{home}\n")
    draft = home / f"{POINTER}.{os.getpid()}"
    draft.write_text(f"{base}\n")
    try:
        os.link(draft, home / POINTER)  # unlike a rename this fails when somebody else was faster
    except FileExistsError:
        (base / "home").unlink()
        base.rmdir()
        return _pointed_at(home) or base
    finally:
        draft.unlink()
    say(f"the system user of the embedded PostgreSQL cannot enter {home}: its database is in {base}")
    for path in earlier:
        say(f"an earlier database of {home} is still in {path}: remove it when it is no longer needed")
    return base


def _pointed_at(home: Path) -> Path | None:
    try:
        text = (home / POINTER).read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    base = Path(text)
    if base.parent != STATE_ROOT or not _STATE_NAME.fullmatch(base.name):
        raise ConfigurationError(
            f"{home / POINTER} names no directory of ours: remove it to start with a new database"
        )
    return base


def _name_of(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user id {uid}"
