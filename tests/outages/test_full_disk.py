"""The server's disk is full for a while: what is done meanwhile is written when there is room again, and nothing twice."""

import os

import psycopg
import pytest
import trio

from reactor.model.outcomes import Done, Outcome
from reactor.model.queues import Queue
from reactor.store.claimed import ClaimedRow
from tests.engine.support import Memory, columns, insert, mission, reactor_on, scalar, until_status
from tests.support.server import PrivateServer
from tests.support.small_disk import database_on, filled, small_disk
from tests.support.waiting import until

TWICE = "select count(*) - count(distinct metadata -> 'step_id') from ops_agent_events where kind = 'step_succeeded'"
LARGE = 400_000  # bytes of a result: room that the table does not have


async def test_outcomes_wait_for_room_and_are_written_once(
    server: PrivateServer, template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    go_on = trio.Event()

    async def until_told(row: ClaimedRow) -> Outcome:
        await go_on.wait()
        return Done({"text": os.urandom(LARGE // 2).hex()})  # does not compress away

    memory = Memory(until_told)
    with (
        small_disk(64) as disk,
        database_on(disk, server, template) as database,
        psycopg.connect(database, autocommit=True) as sql,
    ):
        async with reactor_on(database, memory) as reactor:
            completer = reactor.lines[Queue.MISSION].completer
            ids = [insert(sql) for _ in range(6)]
            behind = mission(sql, "noop", "noop")
            await until(lambda: len(memory.began_ids) == 7, within_s=20)
            said = ""
            with filled(disk):
                go_on.set()
                with trio.fail_after(20):
                    while "completions_delayed" not in said:
                        said += capsys.readouterr().out
                        await trio.sleep(0.01)
                await trio.sleep(1.0)  # some more tries, of which nobody hears
                assert completer.unwritten > 0
                assert scalar(sql, "select count(*) from ops_mission_steps where status = 'running'") > 0
            for id in ids:
                await until_status(sql, id, "succeeded", within_s=30)
            await until(
                lambda: scalar(sql, "select status from ops_missions where id = %s", behind) == "succeeded",
                within_s=30,
            )
            await until(
                lambda: completer.unwritten == 0, within_s=30
            )  # the row is seen before its writer hears of it
        said += capsys.readouterr().out
        assert said.count("completions_delayed") == said.count("completions_go_on") == 1
        assert "result_refused" not in said
        assert "outcome_refused" not in said
        assert set(memory.times.values()) == {1}
        assert scalar(sql, TWICE) == 0
        assert columns(sql, ids[0], "attempt, crashes, octet_length(result ->> 'text')") == (1, 0, LARGE)
