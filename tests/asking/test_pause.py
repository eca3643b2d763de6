"""Pause means pause: what runs, what waits and what talks when everything is stopped."""

import re
from collections import Counter

import psycopg
import pytest
import trio

from reactor.model.queues import Queue
from tests.asking.house import Sql, asking_reactor
from tests.cli.conftest import COMMAND, environment
from tests.engine.support import columns, insert, scalar, settled, until_none_unfinished, until_status
from tests.support.messages_api import Asked, Say, message, messages_api
from tests.support.waiting import until

WITHIN_S = 30.0
ALL = ("mission", "roundtable", "initiative")


def slowly(asked: Asked) -> Say:
    return Say(body=message(asked), after_s=0.3)


async def command(database: str, *words: str) -> str:
    done = await trio.run_process(
        [*COMMAND, *words],
        env=environment(DATABASE_URL=database),
        cwd="/",
        capture_stdout=True,
        stdin=b"",
    )
    return done.stdout.decode()


async def test_no_call_begins_after_a_pause_and_what_waited_for_one_goes_back_unharmed(
    database: str, sql: Sql
) -> None:
    async with (
        messages_api(slowly) as api,
        asking_reactor(database, api.url, parts=ALL),
        asking_reactor(database, api.url, parts=ALL),
    ):
        talk = scalar(
            sql,
            "insert into ops_roundtable_queue (format, topic, participants)"
            " values ('debate', 'tea or coffee', '{sage,xalt}') returning id",
        )
        await until(lambda: scalar(sql, "select count(*) from ops_roundtable_turns") >= 2, within_s=WITHIN_S)
        steps = [insert(sql, "summarize", '{"text": "Much was said."}') for _ in range(14)]
        await until(lambda: api.open >= 1, within_s=WITHIN_S)
        sql.execute("select ops_pause('all', 'enough')")
        paused_at = trio.current_time()
        await until(lambda: scalar(sql, _RUNNING) == 0, within_s=WITHIN_S)
        # How soon exactly, `python -m bench pause` measures.
        assert not [asked for asked in api.asked if asked.at > paused_at + 1.0]
        status, attempt, turns = columns(
            sql, talk, "status, attempt, (select count(*) from ops_roundtable_turns)", Queue.ROUNDTABLE
        )
        assert (status, attempt) == ("queued", 0)
        queued = scalar(sql, "select count(*) from ops_mission_steps where status = 'queued'")
        assert queued > 0
        assert scalar(sql, "select max(attempt) from ops_mission_steps where status = 'queued'") == 0
        assert scalar(sql, "select state from ops_circuit_breaker") == "closed"
        assert scalar(sql, "select count(*) from ops_llm_calls where outcome = 'reserved'") == 0

    async with messages_api() as api, asking_reactor(database, api.url, parts=ALL) as reactor:
        noop = insert(sql)
        await settled(reactor)
        assert (columns(sql, noop, "status"), api.asked) == (("queued",), []), "it outlives the processes"
        assert "all queues are resumed" in await command(database, "resume")
        await until_none_unfinished(sql, within_s=WITHIN_S)
        await until_status(sql, talk, "succeeded", Queue.ROUNDTABLE, within_s=WITHIN_S)
    said = [turn for (turn,) in sql.execute("select turn from ops_roundtable_turns order by id").fetchall()]
    assert said == list(range(1, len(said) + 1))
    assert len(said) > turns
    assert {columns(sql, id, "status, attempt") for id in steps} == {("succeeded", 1)}


_RUNNING = """
select
  (select count(*) from ops_mission_steps where status = 'running')
  + (select count(*) from ops_roundtable_queue where status = 'running')
"""


async def test_a_pause_tells_what_goes_back_and_what_is_still_in_flight(database: str, sql: Sql) -> None:
    async with (
        messages_api(lambda asked: Say(body=message(asked), after_s=12)) as api,
        asking_reactor(database, api.url, parts=ALL),
    ):
        # Four at once may ask; the others wait for their place, and that wait is over.
        steps = [insert(sql, "summarize", '{"text": "Much was said."}') for _ in range(6)]
        await until(lambda: api.open == 4 and scalar(sql, _RUNNING) == 6, within_s=WITHIN_S)
        told = await command(database, "pause")
        flying = re.search(r"^still in flight +(.*)$", told, re.MULTILINE)
        assert flying is not None
        assert flying[1].count("mission ") == 4
        back = re.search(r"^given back +(.*)$", told, re.MULTILINE)
        assert back is not None
        assert back[1].count("mission ") == 2
        assert re.search(r"^calls under way +4$", told, re.MULTILINE)
        await until(lambda: scalar(sql, _RUNNING) == 0, within_s=WITHIN_S)
        ended = Counter(columns(sql, id, "status, attempt") for id in steps)
        assert ended == {("succeeded", 1): 4, ("queued", 0): 2}
        assert len(api.asked) == 4


def test_nobody_who_works_here_can_resume(sql: Sql) -> None:
    sql.execute("select ops_pause('all')")
    kinds = [kind for (kind,) in sql.execute("select kind from ops_step_kinds").fetchall()]
    assert not [kind for kind in kinds if "resume" in kind or "pause" in kind]
    for steps in ('[{"kind": "resume"}]', '[{"kind": "psql", "payload": {"sql": "select ops_resume()"}}]'):
        with pytest.raises(psycopg.errors.Error, match="kind"):
            sql.execute("select ops_propose('minion', 'Wake up', %s::jsonb, source => 'agent')", (steps,))
    assert scalar(sql, "select count(*) from ops_pauses") == 3
