"""What ``/metrics`` says, held against what happened."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from reactor import __version__
from reactor.engine import metrics as engine_metrics
from reactor.engine.metrics import CountedMeter, Metrics
from reactor.engine.supervisor import Reactor
from reactor.engine.tally import MOST_KINDS, OTHER, Tally
from reactor.llm.metering import Reservation, Settlement
from reactor.llm.request import LLMRequest, Message, Usage
from reactor.model.outcomes import Cancel, Done, Fail, GiveBack, Outcome, Snooze
from reactor.model.queues import Queue
from reactor.pg import Connection
from reactor.store.claimed import ClaimedRow
from reactor.store.queues import Success
from tests.engine.support import Memory, reactor_on, settled
from tests.support.waiting import until

Session = psycopg.Connection[tuple[Any, ...]]
Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]

KINDS: dict[str, Outcome] = {
    "good": Done(),
    "bad": Fail("no", retry=False),
    "again": Fail("not yet"),
    "later": Snooze(3600.0),
    "unwanted": Cancel("no longer"),
    "shut": GiveBack("closed"),
}
CONTRACTED = {
    "voxyz_queue_rows",
    "voxyz_queue_oldest_seconds",
    "voxyz_rows_finished",
    "voxyz_handler_seconds",
    "voxyz_wake_seconds",
    "voxyz_rings",
    "voxyz_missed_wakes",
    "voxyz_rescues",
    "voxyz_breaker_state",
    "voxyz_llm_calls",
    "voxyz_llm_tokens",
    "voxyz_llm_cost_usd",
    "voxyz_budget_remaining_usd",
    "voxyz_paused",
    "voxyz_listener_up",
    "voxyz_build_info",
}


async def by_kind(row: ClaimedRow) -> Outcome:
    return KINDS[row.kind]


@asynccontextmanager
async def scraping(database: str, **options: Any) -> AsyncIterator[tuple[Reactor, Metrics]]:
    """A reactor that does every kind of `KINDS`, and its metrics, read from the database at every scrape."""
    memory = Memory(by_kind, known=tuple(KINDS))
    # No second attempt while it is scraped.
    async with reactor_on(database, memory, queues=tuple(Queue), chance=lambda: 0.999) as reactor:
        yield reactor, Metrics(lambda: reactor, **options)


async def scrape(metrics: Metrics) -> Samples:
    text, content_type = await metrics.exposition()
    assert content_type.startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def never(samples: Samples, prefix: str) -> bool:
    """Whether nothing of that name is said."""
    return not [name for name, _ in samples if name.startswith(prefix)]


async def test_before_there_is_a_reactor_the_version_is_known() -> None:
    samples = await scrape(Metrics(lambda: None))
    assert value(samples, "voxyz_build_info", version=__version__) == 1
    assert never(samples, "voxyz_queue")
    assert value(samples, "process_open_fds") > 0


async def test_every_promised_name_is_there(database: str) -> None:
    async with scraping(database, calls=CountedMeter()) as (_, metrics):
        text, _ = await metrics.exposition()
    names = {family.name for family in text_string_to_metric_families(text.decode())}
    assert names >= CONTRACTED


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text; version=1.0.0", "text/plain;version=0.0.4", "*/*"]
)
async def test_it_speaks_the_form_that_was_asked_for(database: str, accept: str) -> None:
    async with scraping(database) as (_, metrics):
        text, content_type = await metrics.exposition(accept)
    openmetrics = accept.startswith("application")
    assert content_type.startswith("application/openmetrics-text" if openmetrics else "text/plain")
    assert text.rstrip().endswith(b"# EOF") is openmetrics
    assert b"voxyz_rings_total" in text


async def test_rows_are_counted_by_what_became_of_them(database: str, sql: Session) -> None:
    async with scraping(database) as (reactor, metrics):
        for kind in ("good", "good", "bad", "again", "later", "unwanted"):
            sql.execute("insert into ops_mission_steps (kind) values (%s)", (kind,))
        await until(lambda: reactor.lines[Queue.MISSION].executor.tally.ended() >= 6)
        samples = await scrape(metrics)
    for kind, outcome in (("good", "succeeded"), ("bad", "failed"), ("unwanted", "cancelled")):
        times = 2 if kind == "good" else 1
        labels = {"queue": "mission", "kind": kind}
        assert value(samples, "voxyz_rows_finished_total", **labels, outcome=outcome) == times
        assert value(samples, "voxyz_handler_seconds_count", **labels) == times
        assert value(samples, "voxyz_handler_seconds_bucket", **labels, le="+Inf") == times
    assert value(samples, "voxyz_rows_requeued_total", queue="mission", kind="again", why="retried") == 1
    assert value(samples, "voxyz_rows_requeued_total", queue="mission", kind="later", why="returned") == 1


async def test_a_ring_and_how_soon_it_was_followed_are_counted(database: str, sql: Session) -> None:
    async with scraping(database) as (reactor, metrics):
        before = await scrape(metrics)
        sql.execute("insert into ops_mission_steps (kind) values ('good')")
        await until(lambda: reactor.lines[Queue.MISSION].executor.tally.ended() == 1)
        await settled(reactor)
        after = await scrape(metrics)
    mission = {"queue": "mission"}
    assert value(after, "voxyz_rings_total", **mission) == value(before, "voxyz_rings_total", **mission) + 1
    assert value(after, "voxyz_wakes_total", **mission, via="bell") == 1
    assert value(after, "voxyz_wake_seconds_count", via="bell") == 1
    assert 0 <= value(after, "voxyz_wake_seconds_sum", via="bell") < 5
    assert value(after, "voxyz_wake_seconds_count", via="due") == 0
    assert value(after, "voxyz_missed_wakes_total", **mission) == 0
    assert value(after, "voxyz_claims_total", **mission, rows="some") >= 1
    assert value(after, "voxyz_listener_up") == 1


async def test_gauges_say_what_the_whole_database_holds(database: str, sql: Session) -> None:
    sql.execute("select ops_pause('mission')")
    sql.execute("insert into ops_mission_steps (kind, run_at) values ('good', now() - interval '90 seconds')")
    sql.execute("insert into ops_mission_steps (kind, run_at) values ('good', now() + interval '1 day')")
    sql.execute("insert into ops_roundtable_queue (format, status) values ('standup', 'cancelled')")
    sql.execute("update ops_circuit_breaker set state = 'open', opened_at = now()")

    async def budget(_conn: Connection) -> Mapping[str, float]:
        return {"day": 1.25}

    async with scraping(database, budget=budget) as (_, metrics):
        samples = await scrape(metrics)
    assert value(samples, "voxyz_queue_rows", queue="mission", status="queued") == 2
    assert value(samples, "voxyz_queue_rows", queue="mission", status="running") == 0
    assert value(samples, "voxyz_queue_rows", queue="roundtable", status="cancelled") == 1
    assert 90 <= value(samples, "voxyz_queue_oldest_seconds", queue="mission") < 150
    assert value(samples, "voxyz_queue_oldest_seconds", queue="initiative") == 0
    assert value(samples, "voxyz_paused", queue="mission") == 1
    assert value(samples, "voxyz_paused", queue="roundtable") == 0
    assert {v for (name, _), v in samples.items() if name == "voxyz_breaker_state"} == {2}
    assert value(samples, "voxyz_budget_remaining_usd", scope="day") == 1.25
    assert value(samples, "voxyz_database_up") == 1


async def test_the_database_is_read_for_the_first_scrape_of_fifteen_seconds_only(
    database: str, sql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scraping(database) as (_, metrics):
        first = await scrape(metrics)
        sql.execute("insert into ops_mission_steps (kind, run_at) values ('good', now() + interval '1 day')")
        assert engine_metrics.READ_EVERY_S == 15.0
        second = await scrape(metrics)
        monkeypatch.setattr(metrics, "_read_due", 0.0)
        third = await scrape(metrics)
    queued = {"queue": "mission", "status": "queued"}
    counts = [value(samples, "voxyz_queue_rows", **queued) for samples in (first, second, third)]
    assert counts == [0, 0, 1]


async def test_rows_are_counted_anew_only_when_that_costs_little(
    database: str, sql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_metrics, "READ_EVERY_S", 0.0)
    monkeypatch.setattr(engine_metrics, "SHARE_OF_TIME", 1e-9)
    cancelled = "insert into ops_mission_steps (kind, status) values ('good', 'cancelled')"
    queued = "insert into ops_mission_steps (kind, run_at) values ('good', now() + interval '1 day')"
    seen = []
    async with scraping(database) as (_, metrics):
        for _ in range(2):
            sql.execute(cancelled)
            sql.execute(queued)
            samples = await scrape(metrics)
            seen.append(
                [
                    value(samples, "voxyz_queue_rows", queue="mission", status=s)
                    for s in ("queued", "cancelled")
                ]
            )
    assert seen == [[1, 1], [2, 1]]


async def test_a_database_that_does_not_answer_in_time_holds_up_no_scrape(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_metrics, "READ_WITHIN_S", 0.3)
    async with scraping(database) as (_, metrics):
        with psycopg.connect(database) as somebody:
            somebody.execute("lock table ops_initiative_queue in access exclusive mode")
            began_at = trio.current_time()
            samples = await scrape(metrics)
            assert trio.current_time() - began_at < 3
        assert value(samples, "voxyz_database_up") == 0
        assert never(samples, "voxyz_queue_rows")
        assert value(samples, "voxyz_listener_up") == 1


async def test_calls_of_the_language_model_are_counted_and_written_to_the_books() -> None:
    class Books:
        settled = 0
        reserved = 0

        async def reserve(self, reservation: Reservation) -> None:
            self.reserved += 1

        async def settle(self, reservation: Reservation, settlement: Settlement) -> None:
            self.settled += 1

    books = Books()
    meter = CountedMeter(books)
    request = LLMRequest(purpose="step:analyze", messages=(Message("user", "hello"),))
    reservation = Reservation(request, "some-model", 0.5)
    usage = Usage(input_tokens=100, output_tokens=20, cache_read_tokens=7)
    for _ in range(2):
        await meter.reserve(reservation)
        await meter.settle(reservation, Settlement("ok", False, usage, 0.25, 0.25, 1.0))
    samples = await scrape(Metrics(lambda: None, calls=meter))
    called = {"model": "some-model", "purpose": "step:analyze", "outcome": "ok"}
    assert value(samples, "voxyz_llm_calls_total", **called) == 2
    assert value(samples, "voxyz_llm_tokens_total", model="some-model", direction="input") == 200
    assert value(samples, "voxyz_llm_tokens_total", model="some-model", direction="cache_read") == 14
    assert value(samples, "voxyz_llm_cost_usd_total", model="some-model") == 0.5
    assert (books.reserved, books.settled) == (2, 2)


def test_kinds_without_number_share_one_name_in_the_end() -> None:
    tally = Tally()
    success = Success(1, uuid4(), None, 0.0, False, "{}")
    for number in range(MOST_KINDS + 50):
        tally.note(f"kind {number}", success, 0.001)
    kinds = dict(tally.kinds())
    assert len(kinds) == MOST_KINDS + 1
    assert kinds[OTHER].ends["succeeded"] == 50
    assert tally.ended() == MOST_KINDS + 50
