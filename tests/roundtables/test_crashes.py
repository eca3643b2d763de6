"""Real reactors on one conversation: killed with -9, paused, stopped. No turn is lost, made twice, or paid twice."""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from reactor.model.talk import is_spent
from tests.cli.conftest import COMMAND, environment
from tests.roundtables.conversing import Sql, one, queue
from tests.support.messages_api import Asked, Say, message, messages_api_beside
from tests.support.scratch import scratch_directory

Row = tuple[Any, ...]
LATENCY_MS = "120"
WITHIN_S = 30.0


@contextmanager
def reactor_on(dsn: str, here: Path, **model: str) -> Iterator[subprocess.Popen[str]]:
    """A reactor on the stand-in, or on the ``model`` of these variables."""
    model = model or {"VOXYZ_LLM": "mock", "VOXYZ_MOCK_LATENCY_MS": LATENCY_MS}
    with subprocess.Popen(
        [*COMMAND, "run", "roundtable"],
        cwd=here,
        env=environment(DATABASE_URL=dsn, OPS_PORT="0", **model),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("ready")
            yield process
        finally:
            process.kill()
            process.wait(timeout=10)


@pytest.fixture
def here() -> Iterator[Path]:
    with scratch_directory() as directory:
        yield directory


def until(sql: Sql, query: str, wanted: Any, within_s: float = WITHIN_S) -> None:
    deadline = time.monotonic() + within_s
    while (found := one(sql, query)) != wanted:
        assert time.monotonic() < deadline, f"{query} is {found}, not {wanted}"
        time.sleep(0.01)


def written(sql: Sql, id: int) -> list[Row]:
    return sql.execute(
        "select id, turn, speaker, dialogue from ops_roundtable_turns where conversation_id = %s order by turn",
        (id,),
    ).fetchall()


def whole(sql: Sql, id: int) -> None:
    """The conversation has ended well: every turn once, an event each, one distillate, and no turn missing."""
    until(sql, f"select status from ops_roundtable_queue where id = {id}", "succeeded")
    plan = one(sql, "select plan from ops_roundtable_queue where id = %s", id)
    said = written(sql, id)
    numbers = [row[1] for row in said]
    assert numbers == list(range(1, len(said) + 1))
    # Fewer than planned only when the mock had begun to repeat itself.
    assert len(said) == plan["turns"] or is_spent([row[3] for row in said], len(plan["participants"]))
    told = sql.execute(
        "select (metadata ->> 'turn')::int from ops_agent_events where kind = 'turn_taken' order by id"
    ).fetchall()
    assert [number for (number,) in told] == numbers
    for kind in ("roundtable_began", "roundtable_distilled", "roundtable_succeeded"):
        assert one(sql, "select count(*) from ops_agent_events where kind = %s", kind) == 1, kind


def owner(sql: Sql, id: int) -> int:
    found: int = one(
        sql,
        "select worker.pid from ops_roundtable_queue as talk join ops_workers as worker on worker.id = talk.claimed_by"
        " where talk.id = %s",
        id,
    )
    return found


def test_a_conversation_outlives_two_reactors_killed_in_the_middle(
    database: str, sql: Sql, here: Path
) -> None:
    with ExitStack() as stack:
        processes = {
            process.pid: process
            for process in (stack.enter_context(reactor_on(database, here)) for _ in range(3))
        }
        id = queue(sql, "deep_dive", "Why do people stay?", "sage", "xalt", "quill")
        for least in (3, 6):
            count = f"select least(count(*), {least}) from ops_roundtable_turns where conversation_id = {id}"
            until(sql, count, least)
            before = written(sql, id)
            pid = owner(sql, id)
            os.kill(processes[pid].pid, signal.SIGKILL)
            assert processes[pid].wait(timeout=10) == -signal.SIGKILL
            del processes[pid]
            assert written(sql, id)[: len(before)] == before
        whole(sql, id)
        assert sql.execute("select attempt, crashes from ops_roundtable_queue").fetchone() == (1, 2)
        assert owner(sql, id) in processes


def test_of_a_conversation_killed_in_the_middle_only_the_call_in_flight_is_paid_twice(
    database: str, sql: Sql, here: Path
) -> None:
    def line(asked: Asked) -> Say:
        if asked.body.get("output_config", {}).get("format"):
            return Say(body=message(asked))
        number = len(api.asked)
        return Say(body=message(asked, f"Number {number}: {'abcdefghij'[number % 10] * 9}."), after_s=0.12)

    with messages_api_beside(line) as api:
        model = {"ANTHROPIC_API_KEY": "sk-test", "ANTHROPIC_BASE_URL": api.url}
        with reactor_on(database, here, **model) as process:
            id = queue(sql, "deep_dive", "Why do people stay?", "sage", "xalt", "quill")
            count = f"select least(count(*), 4) from ops_roundtable_turns where conversation_id = {id}"
            until(sql, count, 4)
            process.kill()
            process.wait(timeout=10)
        before = written(sql, id)
        with reactor_on(database, here, **model):
            whole(sql, id)
        assert written(sql, id)[: len(before)] == before
        asked = Counter(one.headers["idempotency-key"] for one in api.asked)
    twice = {key for key, times in asked.items() if times > 1}
    booked = sql.execute("select work from ops_llm_calls group by work having count(*) > 1").fetchall()
    # It may have been killed between the books and the wire.
    assert twice <= {work for (work,) in booked}
    assert len(booked) <= 1, "at most the call that was in flight"
    assert all(asked[key] == 2 for key in twice)
    assert (
        one(sql, "select count(*) from ops_llm_calls where outcome not in ('ok', 'reserved', 'lapsed')") == 0
    )


def test_a_paused_conversation_goes_back_as_if_never_taken_and_goes_on_when_resumed(
    database: str, sql: Sql, here: Path
) -> None:
    with reactor_on(database, here):
        id = queue(sql, "deep_dive", "Why do people stay?", "sage", "xalt")
        until(sql, f"select least(count(*), 3) from ops_roundtable_turns where conversation_id = {id}", 3)
        sql.execute("select ops_pause('roundtable', 'lunch')")
        at_pause = len(written(sql, id))
        until(sql, f"select status from ops_roundtable_queue where id = {id}", "queued")
        assert one(sql, "select attempt from ops_roundtable_queue") == 0
        assert at_pause <= len(written(sql, id)) <= at_pause + 1
        sql.execute("select ops_resume('roundtable')")
        whole(sql, id)


def test_a_stopped_reactor_leaves_the_conversation_at_its_turn(database: str, sql: Sql, here: Path) -> None:
    with reactor_on(database, here) as process:
        id = queue(sql, "deep_dive", "Why do people stay?", "sage", "xalt")
        until(sql, f"select least(count(*), 2) from ops_roundtable_turns where conversation_id = {id}", 2)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)  # does not wait for the conversation's end
        process.wait(timeout=15)
        assert sql.execute("select status, attempt from ops_roundtable_queue").fetchone() == ("queued", 0)
        before = written(sql, id)
    with reactor_on(database, here):
        whole(sql, id)
    assert written(sql, id)[: len(before)] == before
