"""More happens than can be shown: a sum, the newest, and where the rest is."""

import pytest

from reactor.web import feed as feed_module
from reactor.web.api import stream as stream_module
from tests.web.house import API, House, house
from tests.web.watching import Message, Session, flood, tell, watching


async def test_a_flood_is_told_as_a_sum_and_the_newest_and_all_the_rest_can_be_read(
    database: str, sql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "MOST", 100)
    async with house(database) as it:
        async with watching(it) as watcher:
            tell(sql, "before")
            await watcher.event("before")
            flood(sql, 3000)
            told: list[Message] = []
            while sum(message.data.get("events", 1) for message in told) < 3000:
                message = await watcher.hear()
                if message.id is not None:
                    told.append(message)
        gaps = [message for message in told if message.name == "gap"]
        assert gaps
        assert sum(message.data.get("events", 1) for message in told) == 3000
        assert len(told) <= len(gaps) * (1 + feed_module.NEWEST) + feed_module.MOST
        assert all(gap.data["kinds"] == {"told": gap.data["events"]} for gap in gaps)
        ids = {message.data["id"] for message in told if message.name == "event"}
        for gap in gaps:
            ids |= set(await read_all(it, gap.data["url"]))
        assert len(ids) == 3000
        last = gaps[-1]
        async with watching(it, Last_Event_ID=str(last.id)) as back:
            behind = told[told.index(last) + 1 :]
            for message in behind:
                assert (await back.hear()).data["id"] == message.data["id"]


async def read_all(it: House, url: str) -> list[int]:
    """The ids of all events at the address that a gap gives."""
    path = url.removeprefix(API)
    ids: list[int] = []
    page = (await it.get(f"{path}&limit=500")).json
    while True:
        ids += [one["id"] for one in page["items"]]
        if page["next"] is None:
            return ids
        page = (await it.get(f"{path.partition('&')[0]}&limit=500&after={page['next']}")).json


async def test_who_was_away_for_very_long_is_told_how_much_happened_and_gets_the_newest(
    database: str, sql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "MOST_BEHIND", 500)
    flood(sql, 2000)
    async with house(database) as it, watching(it, after="0-0") as watcher:
        seen = [await watcher.hear() for _ in range(500)]
        assert [message.name for message in seen] == ["event"] * 500
        gap = await watcher.hear()
        assert (gap.name, gap.data["events"]) == ("gap", 1500 - feed_module.NEWEST)
        assert gap.data["since"] == seen[-1].id
        newest = [await watcher.hear() for _ in range(feed_module.NEWEST)]
        assert newest[-1].data["title"] == "flood 2000"
