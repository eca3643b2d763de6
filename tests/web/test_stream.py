"""The stream: what happens, as it happens, in order, once, to whoever watches."""

import psycopg
import pytest
import trio

from reactor.model.outcomes import Done, Outcome
from reactor.store.claimed import ClaimedRow
from reactor.web import feed as feed_module
from reactor.web.frames import place_of
from tests.engine.support import Memory, insert, reactor_on
from tests.support.waiting import until
from tests.web.house import house
from tests.web.watching import Session, tell, watching


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


async def test_in_a_flood_words_come_ever_further_apart_and_after_it_at_once_again(
    database: str, sql: Session
) -> None:
    async with reactor_on(database, Memory()) as worker:
        worker.announcer.watched = True
        with psycopg.connect(database, autocommit=True) as hearer, trio.move_on_after(30):
            hearer.execute("listen ops_events")
            began_at = trio.current_time()
            while worker.announcer.sent < 7:  # 50, 100, 200, and then 400 ms apart
                worker.announcer.written()
                await trio.sleep(0.005)
            assert trio.current_time() - began_at >= 0.05 + 0.1 + 0.2 + 2 * 0.4
            await trio.sleep(0.5)  # its last word, and the gap behind it
            calm, calm_at = worker.announcer.sent, trio.current_time()
            while worker.announcer.sent < calm + 3:
                worker.announcer.written()
                await until(lambda: not worker.announcer._news.is_set())
                await trio.sleep(0.1)  # longer than the gap: no flood
            assert trio.current_time() - calm_at >= 0.2
            heard = len(list(hearer.notifies(timeout=1)))
            assert heard == worker.announcer.sent


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
        assert worker.announcer.sent == 0
        async with watching(it) as watcher:
            await watcher.hears_of_a_beginning()  # of what ran before it was known that somebody watches
            assert len(memory.began_ids) == 1
            insert(sql)
            await watcher.hears_of_a_beginning()
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
