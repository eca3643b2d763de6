"""Limits over all reactors, exact whoever claims: rows of a queue, and calls with one API key."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from reactor.model.queues import Queue
from reactor.pg import connect
from reactor.store import queues, terms
from reactor.store.queues import Success, Taker
from tests.fleet.processes import reactor, until
from tests.support.messages_api import Say, message, messages_api_beside
from tests.support.queue_rows import new_step, scalar
from tests.support.scratch import scratch_directory

Sql = psycopg.Connection[tuple[Any, ...]]

# Counts what runs after every statement that changes steps, where claims of a limited queue come one after another.
ONLOOKER = """
create table seen (running bigint not null);
create function look() returns trigger language plpgsql as $$
begin
  insert into seen select count(*) from ops_mission_steps where status = 'running';
  return null;
end $$;
create trigger look after update on ops_mission_steps for each statement execute function look();
"""


@pytest.fixture
def here() -> Iterator[Path]:
    with scratch_directory(executable=True) as directory:
        yield directory


def limit(sql: Sql, **queues: int | None) -> None:
    sql.execute("select ops_set_policy('queue_limits', %s)", (psycopg.types.json.Jsonb(queues),))


@pytest.mark.chaos
def test_four_reactors_run_exactly_as_many_rows_as_the_limit_allows(
    here: Path, database: str, sql: Sql
) -> None:
    limit(sql, mission=3)
    sql.execute(ONLOOKER)
    rows = 200
    for _ in range(rows):
        new_step(sql, payload='{"sleep_s": 0.1}')
    with ExitStack() as fleet:
        started = [fleet.enter_context(reactor(database, here, ready=False)) for _ in range(4)]
        for one in started:
            one.await_ready()
        until(
            lambda: scalar(sql, "select count(*) from ops_mission_steps where status = 'succeeded'") == rows
        )
    assert scalar(sql, "select max(running) from seen") == 3
    assert scalar(sql, "select count(distinct claimed_by) from ops_mission_steps") > 1
    assert scalar(sql, "select count(*) from ops_mission_steps where attempt <> 1") == 0


def test_a_limit_set_while_rows_run_counts_them_and_lifting_it_lets_the_rest_go(
    here: Path, database: str, sql: Sql
) -> None:
    running = "select count(*) from ops_mission_steps where status = 'running'"
    with reactor(database, here, OPS_GRACE_S="0.1"):
        for _ in range(4):
            new_step(sql, payload='{"sleep_s": 600}')
        until(lambda: scalar(sql, running) == 4)
        # The fifth is claimed by a reactor that has not heard of the limit yet, and counts all the same.
        with sql.transaction():
            limit(sql, mission=5)
            more = [new_step(sql, payload='{"sleep_s": 600}')]
        until(lambda: scalar(sql, running) == 5)
        time.sleep(1)  # the fifth was within it anyway: by now the reactor has read the limit, too
        more += [new_step(sql, payload='{"sleep_s": 600}') for _ in range(2)]
        time.sleep(1)
        assert scalar(sql, running) == 5
        sql.execute(
            "select ops_cancel('step', id) from ops_mission_steps where status = 'running' and id < %s",
            (more[0],),
        )
        until(lambda: scalar(sql, running) == 3)  # all that are left
        limit(sql, mission=None)
        extra = [new_step(sql, payload='{"sleep_s": 600}') for _ in range(4)]
        until(lambda: scalar(sql, running) == 3 + len(extra))
        assert scalar(sql, "select count(*) from ops_queue_slots") == 0


@pytest.mark.sql
async def test_what_a_dead_claim_held_counts_no_more(database: str, sql: Sql) -> None:
    limit(sql, mission=2)
    for _ in range(5):
        new_step(sql)
    conn = await connect(database, name="test")
    taker = Taker(uuid4(), ["noop"], None)
    token = uuid4()
    try:
        first = await queues.claim_within_limit(conn, Queue.MISSION, taker, token=token, limit=10)
        assert len(first) == 2
        assert await queues.claim_within_limit(conn, Queue.MISSION, taker, token=uuid4(), limit=10) == []
        success = Success(first[0].id, token, None, 0.0, False, "{}")
        await queues.finish(conn, Queue.MISSION, [success], [])
        assert len(await queues.claim_within_limit(conn, Queue.MISSION, taker, token=uuid4(), limit=10)) == 1
        await queues.release(conn, Queue.MISSION, taker.worker)
        assert len(await queues.claim_within_limit(conn, Queue.MISSION, taker, token=uuid4(), limit=10)) == 2
        limit(sql, mission=None)
        assert len(await queues.claim_within_limit(conn, Queue.MISSION, taker, token=uuid4(), limit=10)) == 2
    finally:
        await conn.aclose()


@pytest.mark.sql
@pytest.mark.parametrize("queue", list(Queue))
async def test_every_queue_has_its_limit(queue: Queue, database: str, sql: Sql) -> None:
    limit(sql, **{queue.value: 1})
    for _ in range(3):
        sql.execute(
            {
                Queue.MISSION: "insert into ops_mission_steps (kind) values ('noop')",
                Queue.ROUNDTABLE: "insert into ops_roundtable_queue (format) values ('standup')",
                Queue.INITIATIVE: "insert into ops_initiative_queue (agent_id) values ('sage')",
            }[queue]
        )
    conn = await connect(database, name="test")
    try:
        assert (await terms.terms(conn)).limited == {queue}
        taker = Taker(uuid4(), ["noop"], None)
        claims = [
            await queues.claim_within_limit(conn, queue, taker, token=uuid4(), limit=5) for _ in range(2)
        ]
    finally:
        await conn.aclose()
    assert [len(rows) for rows in claims] == [1, 0]


@pytest.mark.sql
async def test_a_claim_that_cannot_have_the_lock_takes_nothing_and_does_not_hang(
    database: str, sql: Sql
) -> None:
    limit(sql, mission=2)
    new_step(sql)
    conn = await connect(database, name="test")
    taker = Taker(uuid4(), ["noop"], None)
    try:
        with sql.transaction():
            sql.execute("select pg_advisory_xact_lock(1987014780, %s)", (Queue.MISSION.number,))
            assert await queues.claim_within_limit(conn, Queue.MISSION, taker, token=uuid4(), limit=5) == []
        assert len(await queues.claim_within_limit(conn, Queue.MISSION, taker, token=uuid4(), limit=5)) == 1
    finally:
        await conn.aclose()


@pytest.mark.chaos
def test_calls_with_one_key_are_limited_over_four_processes(here: Path, database: str, sql: Sql) -> None:
    sql.execute(
        "select ops_set_policy('llm_limits', '{\"concurrency_per_key\": 3, \"requests_per_minute\": 10000}')"
    )
    sql.execute("""select ops_set_policy('llm_budget', '{"per_day_usd": 100, "per_month_usd": 100}')""")
    steps = 24
    for number in range(steps):
        new_step(
            sql, "summarize", payload=f'{{"text": "report {number} says that sales rose by {number} %"}}'
        )
    with (
        messages_api_beside(lambda asked: Say(body=message(asked), after_s=0.3)) as api,
        ExitStack() as fleet,
    ):
        started = [
            fleet.enter_context(
                reactor(
                    database,
                    here,
                    ready=False,
                    VOXYZ_LLM="anthropic",
                    ANTHROPIC_API_KEY="sk-test-0123456789",
                    ANTHROPIC_BASE_URL=api.url,
                )
            )
            for _ in range(4)
        ]
        for one in started:
            one.await_ready()
        until(
            lambda: scalar(sql, "select count(*) from ops_mission_steps where status = 'succeeded'") == steps
        )
        assert api.most_at_once == 3
    assert scalar(sql, "select count(*) from ops_llm_calls where outcome = 'ok'") == steps
