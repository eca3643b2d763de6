"""Joined, shared, left; the last one out stops it."""
# ruff: noqa: ASYNC240 - nothing else runs on the loop while a test looks at its files

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import trio

from reactor.errors import EmbeddedServerError
from reactor.pg.embedded import connect_if_running, ensure_running
from reactor.pg.embedded.account import server_account
from reactor.pg.embedded.lease import FileLock
from reactor.pg.embedded.processes import is_server_process
from tests.support.embedded import User, keep_a_row, mode, row_is_there
from tests.support.waiting import until


async def test_it_is_new_then_existing_and_running_for_a_second_user(home: Path) -> None:
    first = await ensure_running(home, create=True)
    second = await ensure_running(home, create=False)
    third = await connect_if_running(home)
    assert third is not None
    assert (first.was, second.was, third.was) == ("new", "running", "running")
    keep_a_row(third)
    assert [await each.leave() for each in (first, second, third)] == [False, False, True]
    assert await connect_if_running(home) is None
    again = await ensure_running(home, create=False)
    assert (again.was, again.dsn) == ("existing", first.dsn)
    assert row_is_there(again.dsn)
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
        assert mode(Path(address)) == 0o700
        assert mode(made / "postgres" / "data") == 0o700
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
