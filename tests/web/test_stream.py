"""The stream: what happens, as it happens, in order, once, to whoever watches."""

import http.client
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
import pytest
import trio

from reactor.model.outcomes import Done, Outcome
from reactor.store.claimed import ClaimedRow
from reactor.web import feed as feed_module
from reactor.web.api import stream as stream_module
from reactor.web.frames import cursor, place_of
from tests.engine.support import Memory, insert, reactor_on
from tests.support.waiting import until
from tests.web.client import PATIENCE_S
from tests.web.house import API, House, house

Session = psycopg.Connection[tuple[Any, ...]]


class Message(NamedTuple):
    """One server-sent event."""

    name: str
    id: str | None
    data: Any


class Ear:
    """Somebody who watches, in a thread."""

    def __init__(self, url: str, **given: str) -> None:
        where = urlsplit(url)
        assert where.hostname is not None
        self._connection = http.client.HTTPConnection(where.hostname, where.port, timeout=PATIENCE_S)
        headers = {name.replace("_", "-"): value for name, value in given.items()}
        self._connection.request(
            "GET", where.path + (f"?{where.query}" if where.query else ""), headers=headers
        )
        self.response = self._connection.getresponse()
        self.last_id: str | None = None

    def hear(self) -> Message:
        """The next message, comments left out."""
        fields: dict[str, str] = {}
        while True:
            raw = self.response.readline()
            assert raw, "the stream has ended"
            line = raw.decode().rstrip("\n")
            if not line:
                if "data" in fields:
                    self.last_id = fields.get("id", self.last_id)
                    return Message(fields["event"], fields.get("id"), json.loads(fields["data"]))
                continue
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value

    def close(self) -> None:
        self._connection.close()


class Watcher:
    """An `Ear` on the event loop."""

    def __init__(self, ear: Ear) -> None:
        self.ear = ear

    async def hear(self) -> Message:
        with trio.fail_after(PATIENCE_S * 3):
            return await trio.to_thread.run_sync(self.ear.hear, abandon_on_cancel=True)

    async def event(self, title: str) -> Message:
        """The next message about the event of that title."""
        while True:
            message = await self.hear()
            if message.name == "event" and message.data["title"] == title:
                return message


@asynccontextmanager
async def watching(it: House, after: str | None = None, **headers: str) -> AsyncIterator[Watcher]:
    path = f"{it.url}{API}/stream" + (f"?after={after}" if after else "")
    with trio.fail_after(PATIENCE_S):
        ear = await trio.to_thread.run_sync(lambda: Ear(path, **headers), abandon_on_cancel=True)
    try:
        assert ear.response.status == 200
        watcher = Watcher(ear)
        assert (await watcher.hear()).name == "hello"
        yield watcher
    finally:
        ear.close()


def tell(session: Session, title: str) -> None:
    session.execute("insert into ops_agent_events (kind, title) values ('told', %s)", (title,))


async def test_what_happens_is_seen_at_once_with_the_place_to_come_back_to(
    database: str, sql: Session
) -> None:
    async with house(database) as it, watching(it) as watcher:
        assert watcher.ear.response.headers["content-type"].startswith("text/event-stream")
        tell(sql, "first")
        first = await watcher.event("first")
        assert first.data["final"] is True
        assert first.id is not None
        assert place_of(first.id) is not None


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


async def test_an_event_above_the_horizon_is_shown_at_once_and_gets_its_place_later(
    database: str, sql: Session
) -> None:
    async with house(database) as it, watching(it) as watcher:
        with psycopg.connect(database) as lagging:
            tell(lagging, "late")  # in a transaction that stays open
            tell(sql, "early")
            early = await watcher.event("early")
            assert (early.data["final"], early.id) == (False, None)
            async with watching(it) as latecomer:  # also who comes only now is shown it
                assert (await latecomer.event("early")).data["final"] is False
            lagging.commit()
            late = await watcher.event("late")
            again = await watcher.event("early")
        assert late.data["final"] is True
        assert again.data["final"] is True
        assert late.id is not None
        assert again.id is not None
        before, behind = place_of(late.id), place_of(again.id)
        assert before is not None
        assert behind is not None
        assert int(before.xact) < int(behind.xact)


async def test_a_horizon_that_stands_still_is_named(
    database: str, sql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "HORIZON_OLD_S", 0.3)
    async with house(database) as it, watching(it) as watcher:
        with psycopg.connect(database, application_name="a forgotten terminal") as lagging:
            tell(lagging, "late")
            tell(sql, "early")
            message = await watcher.hear()
            while message.name != "horizon":
                message = await watcher.hear()
            assert "a forgotten terminal" in message.data["held_by"]
            assert message.data["age_s"] > 0.2
            status = (await it.get("/status")).json
            assert "a forgotten terminal" in status["horizon"]["held_by"]
            lagging.rollback()
            while message.name != "horizon" or message.data["age_s"] > 0:
                message = await watcher.hear()


async def test_one_reader_serves_all_who_watch_and_none_reads_when_nobody_does(
    database: str, sql: Session
) -> None:
    async with house(database) as it:
        assert it.desk.feed.looks == 0
        async with watching(it) as one, watching(it) as two, watching(it) as three:
            tell(sql, "for all")
            for watcher in (one, two, three):
                await watcher.event("for all")
            await until(lambda: watchers(sql) == 3)
            streams = "select count(*) from pg_stat_activity where application_name = 'voxyz-reactor stream'"
            assert sql.execute(streams).fetchone() == (1,)
        await until(lambda: it.desk.feed.viewers == 0)
        await until(lambda: watchers(sql) == 0)


def watchers(sql: Session) -> int:
    row = sql.execute("select sum(viewers) from ops_workers").fetchone()
    assert row is not None
    return int(row[0])


async def test_writers_announce_only_while_somebody_watches_and_not_too_often(
    database: str, sql: Session
) -> None:
    memory = Memory()
    async with house(database) as it, reactor_on(database, memory) as worker:
        for _ in range(20):
            insert(sql)
        await until(lambda: len(memory.began_ids) == 20)
        assert worker.announcer.sent == 0
        async with watching(it) as watcher:
            await until(lambda: worker.announcer.watched)
            began_at = trio.current_time()
            id = insert(sql)
            while (await watcher.hear()).data.get("metadata", {}).get("step_id") != id:
                pass
            for _ in range(300):
                insert(sql)
            await until(lambda: len(memory.began_ids) == 321)
            await until(lambda: worker.announcer.sent > 1)
            assert worker.announcer.sent <= 21 * (trio.current_time() - began_at) + 3


async def test_who_watches_hears_that_work_has_begun_and_nobody_is_told_while_nobody_watches(
    database: str, sql: Session
) -> None:
    async def forever(_row: ClaimedRow) -> Outcome:
        await trio.sleep_forever()
        return Done()

    memory = Memory(forever)
    async with house(database) as it, reactor_on(database, memory) as worker:
        insert(sql)
        await until(lambda: len(memory.began_ids) == 1)
        async with watching(it) as watcher:
            await until(lambda: worker.announcer.watched)
            assert worker.announcer.sent == 0
            insert(sql)
            while (await watcher.hear()).name != "began":
                pass
            assert len(memory.began_ids) == 2


async def test_a_session_that_watches_without_a_page_is_seen_by_the_beats(
    database: str, sql: Session
) -> None:
    async with reactor_on(database, Memory()) as worker:
        with psycopg.connect(database, autocommit=True) as watching:
            watching.execute("select pg_advisory_lock_shared(1987014781, 1)")
            worker.sweeper.beat_now()
            await until(lambda: worker.announcer.watched)

        def forgotten() -> bool:
            worker.sweeper.beat_now()
            return not worker.announcer.watched

        await until(forgotten)


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


def flood(session: Session, number: int, summary: int = 0) -> None:
    session.execute(
        "insert into ops_agent_events (kind, title, summary)"
        " select 'told', 'flood ' || one, repeat('x', %s) from generate_series(1, %s) as one",
        (summary, number),
    )


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


@pytest.mark.chaos
async def test_who_reads_nothing_is_cut_off_and_finds_everything_when_he_comes_back(
    database: str, sql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "BACKLOG_BYTES", 3_000_000)
    async with house(database) as it:
        where = urlsplit(it.url)
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect((where.hostname, where.port))
            deaf.sendall(b"GET /api/ops/stream?after=0-0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await until(lambda: it.desk.feed.viewers == 1)
            async with watching(it) as watcher:
                happened = 0
                with trio.fail_after(60):
                    while it.desk.feed.cut == 0:
                        flood(sql, 100, summary=4000)
                        tell(sql, f"end {happened}")
                        await watcher.event(f"end {happened}")  # who reads is not held up
                        happened += 101
        assert happened < stream_module.MOST_BEHIND
        tell(sql, "the end")
        async with watching(it, after="0-0") as back:
            seen = 0
            while (await back.hear()).data["title"] != "the end":
                seen += 1
        assert seen == happened


async def test_more_than_may_watch_are_sent_elsewhere(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "MOST_VIEWERS", 1)
    async with house(database) as it, watching(it):
        await until(lambda: it.desk.feed.full)
        answer = await it.get("/stream")
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0


def test_a_cursor_comes_back_as_the_place_it_was() -> None:
    place = place_of("17-9223372036854775807")
    assert place is not None
    assert cursor(place) == "17-9223372036854775807"
