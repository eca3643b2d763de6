"""Who comes back to the stream, and the places he comes back to."""

import pytest

from reactor.web.frames import cursor, place_of
from tests.web.house import house
from tests.web.watching import Session, tell, watching


async def test_who_comes_back_gets_all_that_happened_meanwhile_once_and_in_order(
    database: str, sql: Session
) -> None:
    async with house(database) as it:
        async with watching(it) as watcher:
            tell(sql, "before")
            place = (await watcher.event("before")).id
        assert place is not None
        for number in range(700):  # more than one page of the database
            tell(sql, f"meanwhile {number}")
        async with watching(it, Last_Event_ID=place) as watcher:
            tell(sql, "after")
            seen: list[str] = []
            while not seen or seen[-1] != "after":
                message = await watcher.hear()
                seen.append(message.data["title"])
    assert seen == [*(f"meanwhile {number}" for number in range(700)), "after"]


async def test_the_address_names_a_place_and_the_browsers_own_outranks_it(
    database: str, sql: Session
) -> None:
    async with house(database) as it:
        tell(sql, "one")
        tell(sql, "two")
        page = (await it.get("/events?limit=2")).json["items"]
        places = {one["title"]: f"{one['xact']}-{one['id']}" for one in page}
        async with watching(it, after="0-0") as watcher:
            assert (await watcher.hear()).data["title"] == "one"
        async with watching(it, after=places["one"]) as watcher:
            assert (await watcher.hear()).data["title"] == "two"
        async with watching(it, after="0-0", Last_Event_ID=places["one"]) as watcher:
            assert (await watcher.hear()).data["title"] == "two"


@pytest.mark.parametrize("after", ["x", "1", "1-", "-1", "1-2-3", "99999999999999999999-1", "1-x", "%00"])
async def test_what_is_no_place_is_refused(database: str, after: str) -> None:
    async with house(database) as it:
        assert (await it.get(f"/stream?after={after}")).status == 400
        assert (await it.get("/stream?colour=red")).status == 400


async def test_nothing_is_lost_when_the_readers_connection_is_cut(database: str, sql: Session) -> None:
    async with house(database) as it, watching(it) as watcher:
        for number in range(5):
            tell(sql, f"before {number}")
            await watcher.event(f"before {number}")
            sql.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'voxyz-reactor stream' and datname = current_database()"
            )
            tell(sql, f"after {number}")
            await watcher.event(f"after {number}")


def test_a_cursor_comes_back_as_the_place_it_was() -> None:
    place = place_of("17-9223372036854775807")
    assert place is not None
    assert cursor(place) == "17-9223372036854775807"
