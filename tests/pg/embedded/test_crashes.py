"""What a crash of anybody leaves, and what the next start makes of it."""
# ruff: noqa: ASYNC220 - nothing else runs on the loop while a test looks at its files

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import trio

from reactor.errors import EmbeddedServerError
from reactor.pg.embedded import ensure_running
from reactor.pg.embedded.account import server_account
from reactor.pg.embedded.processes import is_server_process, server_processes
from tests.support.embedded import User, keep_a_row, row_is_there
from tests.support.waiting import until


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
    keep_a_row(first)
    os.kill(first.pid, signal.SIGKILL)
    second = await ensure_running(made, create=False)
    assert second.was == "existing"
    assert second.pid != first.pid
    assert row_is_there(first.dsn)
    assert not await first.leave()
    assert await second.leave()


async def test_a_server_kept_running_comes_back_at_the_same_address(made: Path) -> None:
    server = await ensure_running(made, create=False)
    keep_a_row(server)
    said: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: server.keep_running(say=said.append))
        os.kill(server.pid, signal.SIGKILL)
        await until(lambda: bool(said), within_s=20)
        nursery.cancel_scope.cancel()
    assert row_is_there(server.dsn)
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
    keep_a_row(server)
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
