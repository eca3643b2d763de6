"""The primary dies under load and its replica takes over: nothing acknowledged is lost, everything ends once."""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event

import psycopg
import pytest
import trio

from reactor.model.outcomes import Done, Outcome
from reactor.pg.migrations import migrate
from reactor.store.claimed import ClaimedRow
from tests.engine.support import Memory, reactor_on, settled
from tests.support.replica import Pair, replicated_pair
from tests.support.server import chosen_binaries
from tests.support.waiting import until

pytestmark = pytest.mark.chaos

WRITERS = 3
LOAD_S = 1.5  # before the primary dies, and after the replica was promoted
DOWN_S = 3.0  # long enough for everybody's patience to have grown
KEYS = "select payload ->> 'key' from ops_mission_steps where payload ? 'key'"
FINISHED_TWICE = (
    "select count(*) - count(distinct metadata -> 'step_id') from ops_agent_events"
    " where kind in ('step_succeeded', 'step_failed')"
)


@dataclass
class Load:
    """What writers were told: acknowledged, or nothing (a commit in doubt, which may be there or not)."""

    acknowledged: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    enough: Event = field(default_factory=Event)

    def write(self, name: str, dsn: str) -> None:
        """Insert rows one by one, each a commit, and missions between them, until it is enough; reconnect when need be."""
        number = 0
        while not self.enough.is_set():
            try:
                with psycopg.connect(dsn, autocommit=True, connect_timeout=2) as sql:
                    while not self.enough.is_set():
                        number += 1
                        key = f"{name}-{number}"
                        self.doubtful.add(key)
                        if number % 5:
                            sql.execute(
                                "insert into ops_mission_steps (kind, payload)"
                                " values ('noop', jsonb_build_object('key', %s::text))",
                                (key,),
                            )
                        else:
                            sql.execute(
                                "select ops_enqueue_mission('under load', jsonb_build_array("
                                "jsonb_build_object('kind', 'noop', 'payload', jsonb_build_object('key', %s::text)),"
                                ' \'{"kind": "noop"}\'::jsonb))',
                                (key,),
                            )
                        self.acknowledged.add(key)
                        self.doubtful.discard(key)
                        time.sleep(0.002)
            except psycopg.Error:
                time.sleep(0.05)


@pytest.fixture
def pair() -> Iterator[Pair]:
    with replicated_pair(chosen_binaries()) as running:
        yield running


async def test_a_primary_killed_under_load_loses_nothing_that_was_acknowledged(pair: Pair) -> None:
    await migrate(pair.dsn)
    first, second, load = Memory(_takes_a_little), Memory(_takes_a_little), Load()
    async with reactor_on(pair.dsn, first) as one, reactor_on(pair.dsn, second) as two:
        with ThreadPoolExecutor(WRITERS) as threads:
            writers = [threads.submit(load.write, f"w{n}", pair.dsn) for n in range(WRITERS)]
            try:
                await trio.sleep(LOAD_S)
                pair.kill_primary()
                await trio.sleep(DOWN_S)
                await trio.to_thread.run_sync(pair.promote)
                promoted_at = trio.current_time()
                await until(lambda: one.listener.up and two.listener.up, within_s=60)
                back_s = trio.current_time() - promoted_at
                begun = len(first.began_ids) + len(second.began_ids)
                await until(lambda: len(first.began_ids) + len(second.began_ids) > begun, within_s=60)
                working_s = trio.current_time() - promoted_at
                await trio.sleep(LOAD_S)
            finally:
                load.enough.set()
            for writer in writers:
                await trio.to_thread.run_sync(writer.result, 30)
        with psycopg.connect(pair.dsn, autocommit=True) as sql:
            await until(lambda: _all_ended(sql), within_s=60)
            await settled(one, two, within_s=60)
            there = {key for (key,) in sql.execute(KEYS).fetchall()}
            assert load.acknowledged - there == set()
            assert there <= load.acknowledged | load.doubtful
            assert sql.execute("select distinct status from ops_mission_steps").fetchall() == [("succeeded",)]
            assert sql.execute("select distinct status from ops_missions").fetchall() == [("succeeded",)]
            assert sql.execute(FINISHED_TWICE.encode()).fetchone() == (0,)
            [(steps, ended)] = sql.execute(
                "select (select count(*) from ops_mission_steps),"
                " (select count(*) from ops_agent_events where kind = 'step_succeeded')"
            ).fetchall()
            assert steps == ended
            rescued = sql.execute("select count(*) from ops_mission_steps where crashes > 0").fetchone()
            assert rescued == (0,)  # nobody died but the server
    sys.stdout.write(
        f"{len(load.acknowledged)} inserts acknowledged, {len(load.doubtful)} in doubt, {steps} steps: none lost, none ended"
        f" twice; heard again {back_s:.2f} s and at work {working_s:.2f} s after the promotion\n"
    )


def _all_ended(sql: psycopg.Connection[tuple[object, ...]]) -> bool:
    left = "select count(*) from ops_mission_steps where status in ('waiting', 'queued', 'running')"
    return sql.execute(left.encode()).fetchone() == (0,)


async def _takes_a_little(row: ClaimedRow) -> Outcome:
    await trio.sleep(0.001 * (row.id % 30))
    return Done()
