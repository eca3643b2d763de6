"""What becomes of a row, by what its handler did."""

import json
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest
import trio

from reactor.model.outcomes import Cancel, Done, Fail, GiveBack, Outcome, Snooze
from reactor.model.queues import Queue
from reactor.store.claimed import ClaimedRow, ClaimedStep
from tests.engine.support import (
    Memory,
    Session,
    columns,
    insert,
    insert_into,
    reactor_on,
    scalar,
    settled,
    status,
    until_status,
)
from tests.support.waiting import until


class Rude(Exception):
    """Cannot even be described."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Broken(Mapping[str, Any]):
    """A result that cannot be read."""

    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("no value")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no keys")

    def __len__(self) -> int:
        return 1


def looped() -> dict[str, Any]:
    ring: dict[str, Any] = {}
    ring["again"] = ring
    return ring


def deep() -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for _ in range(100_000):
        nested = {"n": nested}
    return nested


BAD_RESULTS: dict[str, Any] = {
    "not JSON": {"a": object()},
    "a set": {"a": {1, 2}},
    "not a number": {"a": math.nan},
    "infinite": {"a": math.inf},
    "a key that is no string": {(1, 2): "a"},
    "no mapping": 5,
    "no mapping but a list": [1, 2],
    "unreadable": Broken(),
    "endless": looped(),
    "too deep": deep(),
    "a number with too many digits": {"a": 10**5000},
    "NUL": {"a": "x\x00y"},
    "NUL in a key": {"x\x00y": 1},
    "half a surrogate pair": {"a": "\ud800"},
    "half a surrogate pair in a key": {"\udfff": 1},
    "half a million small numbers": {"a": [1] * 500_000},
}

BAD_ENDS: dict[str, Any] = {
    "nothing": None,
    "a string": "done",
    "an outcome's class": Done,
    "a snooze of text": Snooze(cast("float", "soon")),
    "a failure without reason": Fail(cast("str", None)),
    "a cancellation for a number": Cancel(cast("str", 7)),
}

ERRORS: dict[str, BaseException] = {
    "ValueError": ValueError("boom"),
    "an error of two lines": RuntimeError("one\n two"),
    "an error with NUL and half a pair": RuntimeError("x\x00y\ud800"),
    "an error that cannot be described": Rude(),
    "an error of 2 MB": RuntimeError("x" * 2_000_000),
    "a group": ExceptionGroup("several", [KeyError("a"), OSError(5, "b")]),
    "a deadline of its own": trio.TooSlowError(),
    "StopIteration": StopIteration(),
    "a recursion": RecursionError("too deep"),
    "memory": MemoryError(),
}


async def _beside_good_ones(database: str, sql: Session, deed: Any) -> tuple[int, Memory]:
    """One bad row between good ones, claimed together; the good ones have succeeded. Returns the bad one's id."""
    ids = [insert(sql, max_attempts=1, payload=json.dumps({"bad": place == 2})) for place in range(5)]

    async def perform(row: ClaimedRow) -> Outcome:
        assert isinstance(row, ClaimedStep)
        return cast("Outcome", await deed(row)) if row.payload["bad"] else Done({"ok": True})

    memory = Memory(perform)
    async with reactor_on(database, memory, asleep=False) as reactor:
        for id in ids:
            wanted = "failed" if id == ids[2] else "succeeded"
            await until_status(sql, id, wanted)
        after = insert(sql, payload='{"bad": false}')  # and life goes on
        await until_status(sql, after, "succeeded")
        await settled(reactor)
    return ids[2], memory


@pytest.mark.parametrize("name", BAD_RESULTS)
async def test_a_result_that_cannot_be_stored_fails_only_its_row(
    database: str, sql: Session, name: str
) -> None:
    async def deed(row: ClaimedRow) -> Outcome:
        return Done(BAD_RESULTS[name])

    bad, _ = await _beside_good_ones(database, sql, deed)
    reason, result = columns(sql, bad, "failure_reason, result")
    assert reason.startswith("the result")
    assert result is None


@pytest.mark.parametrize("name", BAD_ENDS)
async def test_a_handler_that_returns_no_outcome_fails_only_its_row(
    database: str, sql: Session, name: str
) -> None:
    async def deed(row: ClaimedRow) -> Any:
        return BAD_ENDS[name]

    bad, _ = await _beside_good_ones(database, sql, deed)
    assert columns(sql, bad, "failure_reason")[0]


@pytest.mark.parametrize("name", ERRORS)
async def test_a_handler_that_raises_fails_only_its_row_and_says_why(
    database: str, sql: Session, name: str
) -> None:
    async def deed(row: ClaimedRow) -> Outcome:
        raise ERRORS[name]

    bad, _ = await _beside_good_ones(database, sql, deed)
    reason = columns(sql, bad, "failure_reason")[0]
    assert "\n" not in reason
    assert 0 < len(reason) <= 4000


async def test_a_result_over_one_mebibyte_is_cut_and_says_so(database: str, sql: Session) -> None:
    async def deed(row: ClaimedRow) -> Outcome:
        return Done({"text": 'ab"\\\u00e4\U0001f600' * 300_000})

    async with reactor_on(database, Memory(deed)):
        id = insert(sql)
        await until_status(sql, id, "succeeded", within_s=10.0)
    result = columns(sql, id, "result")[0]
    assert result["truncated"] is True
    assert result["bytes"] > 2 * 1024**2
    assert result["text"].startswith('{"text":"ab')


async def test_a_handler_over_its_time_is_cancelled_and_the_reason_says_so(
    database: str, sql: Session
) -> None:
    memory = Memory(_for_ever, limit_s=0.1)
    async with reactor_on(database, memory):
        id = insert(sql, max_attempts=1)
        await until_status(sql, id, "failed", within_s=20.0)
    assert memory.cancelled == [id]
    assert columns(sql, id, "failure_reason, attempt") == ("timed out after 0.1 s", 1)


async def test_a_handler_over_its_time_takes_no_other_row_with_it(database: str, sql: Session) -> None:
    async def deed(row: ClaimedRow) -> Outcome:
        assert isinstance(row, ClaimedStep)
        await trio.sleep(10 if row.payload.get("slow") else 0.001)
        return Done()

    memory = Memory(deed, limit_s=3.0)
    ids = [insert(sql, payload='{"slow": true}' if n == 10 else "{}", max_attempts=1) for n in range(40)]
    async with reactor_on(database, memory, concurrency=2, asleep=False):
        for id in ids:
            await until_status(sql, id, "failed" if id == ids[10] else "succeeded")
    assert memory.cancelled == [ids[10]]
    assert set(memory.times.values()) == {1}


async def test_a_failure_is_tried_again_later_and_then_is_final(database: str, sql: Session) -> None:
    memory = Memory(_fails)
    async with reactor_on(database, memory, queues=tuple(Queue), chance=lambda: 0.05):
        for queue in Queue:
            id = insert_into(sql, queue)
            await until_status(sql, id, "failed", queue)
            attempt, reason, ended = columns(sql, id, "attempt, failure_reason, completed_at", queue)
            assert (attempt, reason) == (3, "it would not")
            assert ended is not None
    kinds = scalar(
        sql, "select array_agg(kind order by id) from ops_agent_events where starts_with(kind, 'step_')"
    )
    assert kinds == ["step_retried", "step_retried", "step_failed"]


async def test_a_retry_waits_for_its_backoff(database: str, sql: Session) -> None:
    async with reactor_on(database, Memory(_fails)):
        id = insert(sql, max_attempts=100)
        await until(lambda: columns(sql, id, "attempt")[0] >= 2)
    gap = "extract(epoch from run_at - created_at)::float8"
    assert columns(sql, id, gap)[0] > 0.0


async def test_a_failure_that_forbids_a_retry_is_final_at_once(database: str, sql: Session) -> None:
    async def deed(row: ClaimedRow) -> Outcome:
        return Fail("never again", retry=False)

    async with reactor_on(database, Memory(deed)):
        id = insert(sql)
        await until_status(sql, id, "failed")
    assert columns(sql, id, "attempt, failure_reason") == (1, "never again")


async def test_a_snooze_comes_back_in_its_time_and_counts_no_attempt(database: str, sql: Session) -> None:
    memory = Memory()

    async def deed(row: ClaimedRow) -> Outcome:
        return Snooze(0.3, "not yet") if len(memory.began_ids) < 3 else Done()

    memory.deed = deed
    async with reactor_on(database, memory):
        began_at = time.time()
        id = insert(sql, max_attempts=1)
        await until_status(sql, id, "succeeded")
    assert 0.6 <= memory.began_at[id] - began_at < 4.0
    assert memory.times[id] == 3
    assert columns(sql, id, "attempt")[0] == 1


@pytest.mark.parametrize("delay_s", [-5.0, 0.0, math.nan])
async def test_a_snooze_of_no_length_comes_back_at_once(database: str, sql: Session, delay_s: float) -> None:
    memory = Memory()

    async def deed(row: ClaimedRow) -> Outcome:
        return Snooze(delay_s) if len(memory.began_ids) < 3 else Done()

    memory.deed = deed
    async with reactor_on(database, memory):
        id = insert(sql)
        await until_status(sql, id, "succeeded")


@pytest.mark.parametrize("delay_s", [1e300, math.inf])
async def test_a_snooze_for_ever_is_a_snooze_for_long(database: str, sql: Session, delay_s: float) -> None:
    async def deed(row: ClaimedRow) -> Outcome:
        return Snooze(delay_s)

    memory = Memory(deed)
    async with reactor_on(database, memory) as reactor:
        id = insert(sql)
        while not memory.outcomes:
            await trio.sleep(0.01)
        await settled(reactor)
        assert status(sql, id) == "queued"
        assert columns(sql, id, "run_at > now() + interval '9 years'")[0]


async def test_what_a_handler_gives_back_is_as_if_never_taken(database: str, sql: Session) -> None:
    memory = Memory()

    async def deed(row: ClaimedRow) -> Outcome:
        return GiveBack("closed") if len(memory.began_ids) < 3 else Done()

    memory.deed = deed
    async with reactor_on(database, memory):
        id = insert(sql, max_attempts=1)
        await until_status(sql, id, "succeeded")
    assert memory.times[id] == 3
    assert columns(sql, id, "attempt")[0] == 1


async def test_a_handler_may_cancel_its_row(database: str, sql: Session) -> None:
    async def deed(row: ClaimedRow) -> Outcome:
        return Cancel("no longer wanted")

    async with reactor_on(database, Memory(deed)):
        id = insert(sql)
        await until_status(sql, id, "cancelled")
    assert columns(sql, id, "failure_reason")[0] == "no longer wanted"


async def test_a_result_is_kept_with_its_event_and_its_times(database: str, sql: Session) -> None:
    async with reactor_on(database, Memory(), queues=tuple(Queue)):
        for queue in Queue:
            id = insert_into(sql, queue)
            await until_status(sql, id, "succeeded", queue)
            result, in_order, token = columns(
                sql, id, "result, created_at <= started_at and started_at <= completed_at, claim_token", queue
            )
            assert result == {"id": id}
            assert in_order
            assert token is not None
    kinds = scalar(sql, "select array_agg(kind order by id) from ops_agent_events")
    assert kinds == ["step_succeeded", "roundtable_succeeded", "initiative_succeeded"]


async def _for_ever(row: ClaimedRow) -> Outcome:
    await trio.sleep_forever()


async def _fails(row: ClaimedRow) -> Outcome:
    return Fail("it would not")
