"""``service``: the reactor as a service of systemd, written for this machine."""

import os
import pwd
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from reactor.cli.output import say
from reactor.cli.runtime import home_of
from reactor.cli.units import ACCOUNT, ENVIRONMENT_FILE, SPLIT, STATE, WHOLE, Place, Service, unit
from reactor.errors import ConfigurationError, ReactorError, UsageError
from reactor.settings import Settings

SYSTEM_UNITS = Path("/etc/systemd/system")
BOOTED = Path("/run/systemd/system")  # there while systemd manages this machine
COMMAND_WITHIN_S = 120


class ServiceFailed(ReactorError):
    """The service manager refused; the message repeats what it said."""


@click.group(short_help="the reactor as a service of systemd")
def service() -> None:
    """Run the reactor under systemd: started with the machine, watched, restarted, its log in the journal.

    --split writes a unit for each of ops-mission-worker, ops-roundtable-worker, ops-initiative-worker and
    ops-schedule-conversations instead of one for all; they need a DATABASE_URL.
    """


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(
        (
            click.option("--user", "own", is_flag=True, help="A service of your own, without root."),
            click.option("--split", is_flag=True, help="One unit for each kind of worker."),
            click.option(
                "--run-as",
                metavar="ACCOUNT",
                help=f"Who it runs as. Default: who called sudo, else {ACCOUNT}, which is made.",
            ),
            click.option(
                "--directory",
                metavar="DIR",
                type=click.Path(path_type=Path),
                help=f"Where it runs and reads .env. Default: here; for {ACCOUNT} {STATE}.",
            ),
        )
    ):
        command = option(command)
    return command


@service.command("print", short_help="show the units")
@_options
def print_units(own: bool, split: bool, run_as: str | None, directory: Path | None) -> None:
    """Show the units that install would write; nothing is changed."""
    place = _place(own, run_as, directory)
    texts = [f"# {_folder(own) / _file(one)}\n{unit(one, place)}" for one in (SPLIT if split else WHOLE)]
    sys.stdout.write("\n".join(texts))


@service.command(short_help="write the units and start them")
@_options
@click.option("--no-start", is_flag=True, help="Write the units only.")
def install(own: bool, split: bool, run_as: str | None, directory: Path | None, no_start: bool) -> None:
    """Write the units, enable them, start them. Again: they are written anew and restarted."""
    _refuse_without_rights(own)
    place = _place(own, run_as, directory)
    services = SPLIT if split else WHOLE
    _refuse_without_database(place, split)
    folder = _folder(own)
    _refuse_both(folder, WHOLE if split else SPLIT)
    _refuse_unreachable(place)
    if place.account == ACCOUNT:
        _make_account()
    folder.mkdir(parents=True, exist_ok=True)
    for one in services:
        (folder / _file(one)).write_text(unit(one, place), encoding="utf-8")
        say(f"written: {folder / _file(one)}")
    names = [_file(one) for one in services]
    if no_start or not BOOTED.is_dir():
        why = "" if no_start else "systemd does not manage this machine; "
        scope = ["--user"] if own else []
        todo = shlex.join(["systemctl", *scope, "enable", "--now", *names])
        say(f"{why}start with: systemctl {'--user ' if own else ''}daemon-reload && {todo}")
        return
    _systemctl(own, "daemon-reload")
    _systemctl(own, "enable", *names)
    _systemctl(own, "restart", *names)
    say(f"started: {', '.join(names)}")
    if own and not Path("/var/lib/systemd/linger", pwd.getpwuid(os.getuid()).pw_name).exists():
        say("it stops when you log out, unless you say once: loginctl enable-linger")


def _refuse_without_database(place: Place, split: bool) -> None:
    """Raise when the services would not find the database that they need, or that the caller means."""
    if place.environment_file is not None and place.environment_file.exists():
        return
    if Settings.load({}, place.directory).database_url is not None:
        return
    other = f" or {place.environment_file}" if place.environment_file else ""
    where = f"{place.directory / '.env'}{other}"
    if Settings.load(cwd=place.directory).database_url is not None:
        raise ConfigurationError(
            f"a service does not see the DATABASE_URL of this shell: write it into {where}"
        )
    if split:
        raise ConfigurationError(f"several services need one database: write its DATABASE_URL into {where}")
    if place.account == "root" or (place.account is None and os.geteuid() == 0):
        raise ConfigurationError(
            "root's embedded database runs as another account, which a service may not become:"
            f" write a DATABASE_URL into {where}, or choose another --run-as"
        )


def _refuse_both(folder: Path, others: Iterable[Service]) -> None:
    """One process for everything and one a worker would do the same work twice over, and take each other's port."""
    if there := [_file(one) for one in others if (folder / _file(one)).exists()]:
        raise UsageError(
            f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} installed: take that away first"
            " with `voxyz-reactor service uninstall`"
        )


@service.command(short_help="stop and remove the units")
@click.option("--user", "own", is_flag=True, help="Those of your own.")
def uninstall(own: bool) -> None:
    """Stop, disable and remove every unit of ours; the database, settings and account stay."""
    _refuse_without_rights(own)
    present = [
        path for one in (*WHOLE, *SPLIT) if (path := _folder(own) / _file(one)).exists() or path.is_symlink()
    ]
    if not present:
        say("nothing to do: no unit of ours is installed")
        return
    if BOOTED.is_dir():
        _systemctl(own, "disable", "--now", *(path.name for path in present))
    for path in present:
        path.unlink()
        say(f"removed: {path}")
    if BOOTED.is_dir():
        _systemctl(own, "daemon-reload")


def _place(own: bool, run_as: str | None, directory: Path | None) -> Place:
    if own and run_as:
        raise UsageError("a service of your own runs as you: leave out --run-as")
    account = None if own else run_as or _who_called_sudo() or ACCOUNT
    where = (directory or (STATE if account == ACCOUNT else Path.cwd())).absolute()
    settings = Settings.load(cwd=where) if where.is_dir() else Settings.load()
    home = where / ".voxyz" if account == ACCOUNT and settings.voxyz_home is None else home_of(settings)
    return Place(
        program=_program(),
        directory=where,
        home=home.absolute(),
        account=account,
        environment_file=None if own else ENVIRONMENT_FILE,
        grace_s=settings.grace_s,
        python=Path(sys.executable),
    )


def _program() -> Path:
    """The program that was called, by a path that will still be right after the next login."""
    called = Path(sys.argv[0])
    if called.name == "voxyz-reactor" and called.is_file():
        return called.absolute()
    checkout = Path(__file__).resolve().parents[2] / "bin" / "voxyz-reactor"
    if checkout.is_file():
        return checkout
    if found := shutil.which("voxyz-reactor"):
        return Path(found)
    raise ConfigurationError(
        "the program voxyz-reactor is not found: install it (pipx install voxyz-reactor), or call it by its path"
    )


def _who_called_sudo() -> str | None:
    name = os.environ.get("SUDO_USER", "")
    return name if name and name != "root" else None


def _folder(own: bool) -> Path:
    if not own:
        return SYSTEM_UNITS
    config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(config).expanduser() / "systemd" / "user"


def _file(one: Service) -> str:
    return f"{one.name}.service"


def _refuse_without_rights(own: bool) -> None:
    if not own and os.geteuid() != 0:
        raise UsageError("a service of the machine needs root: use sudo, or --user for one of your own")


def _make_account() -> None:
    """The account exists: without a password, a shell, or anything of its own but its directory."""
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        _call(
            ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", str(STATE),
             "--shell", "/usr/sbin/nologin", ACCOUNT]
        )  # fmt: skip
        say(f"made: the account {ACCOUNT}")


def _refuse_unreachable(place: Place) -> None:
    """Raise when the account cannot be had, or may not enter where program, directory and Python are.

    Our own account may still be to be made: then it is a stranger everywhere.
    """
    if place.account is None:
        return
    try:
        account = pwd.getpwnam(place.account)
    except KeyError:
        if place.account != ACCOUNT:
            raise UsageError(
                f"there is no account {place.account}: make it, or choose another --run-as"
            ) from None
        account = None
    if account is not None and account.pw_uid == 0:
        return
    for path in (place.program.resolve(), place.directory.resolve(), Path(sys.executable).resolve()):
        for parent in path.parents:
            if parent.exists() and not _may_enter(parent, account):
                raise ConfigurationError(
                    f"{place.account} may not enter {parent}, and {path} is in there:"
                    " install it elsewhere (under /opt), or choose another --run-as"
                )


def _may_enter(directory: Path, account: pwd.struct_passwd | None) -> bool:
    found = directory.stat()
    if account is None:
        return bool(found.st_mode & stat.S_IXOTH)
    if found.st_uid == account.pw_uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid in os.getgrouplist(account.pw_name, account.pw_gid):
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)


def _systemctl(own: bool, *words: str) -> None:
    _call(["systemctl", *(["--user"] if own else []), *words])


def _call(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_WITHIN_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceFailed(f"{shlex.join(command)} could not be run: {error}") from None
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise ServiceFailed(f"{shlex.join(command)}: {last[0]}")
