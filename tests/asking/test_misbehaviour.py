"""What each way of a provider to misbehave does to the row, the breaker, the key and the books, on whole reactors."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from reactor.model.queues import Queue
from tests.asking.house import KEY, Sql, asking_reactor
from tests.engine.support import columns, insert, scalar, until_status
from tests.support.messages_api import (
    Asked,
    Behaviour,
    MessagesAPI,
    Say,
    failing,
    in_turn,
    message,
    messages_api,
    saying,
    well,
)
from tests.support.waiting import until

WITHIN_S = 30.0
SHAPE = json.dumps(
    {
        "summary": "Weekends are quiet.",
        "findings": [],
        "recommendation": "Open later.",
        "confidence": 0.7,
        "unknowns": [],
        "sources": [],
    }
)


class Case(NamedTuple):
    """One way to misbehave, and what is to be seen afterwards.

    ``calls``: the outcomes in the books, a second attempt included. ``reason``: why the first attempt failed, None when it
    did not. ``failures``: of the breaker after it. ``costs``: whether the calls that failed cost anything.
    """

    name: str
    behave: Behaviour
    calls: Sequence[str]
    reason: str | None = None
    failures: int = 0
    costs: bool = False


def once(behave: Behaviour, times: int = 1) -> Behaviour:
    """So, and well from then on."""
    return in_turn(*[behave] * times, well)


def broken(text: str, cut_at: int | None = None) -> Behaviour:
    return lambda asked: Say(body=text.encode(), cut_at=cut_at)


def thinking_first(asked: Asked) -> Say:
    blocks = [{"type": "thinking", "thinking": "hm", "signature": "x"}, {"type": "text", "text": SHAPE}]
    return Say(body=message(asked, content=blocks))


def without_schema(asked: Asked) -> Say:
    """Takes no shape, and answers well without one."""
    if "output_config" in asked.body:
        return failing(400, "invalid_request_error", "output_config: not supported")(asked)
    return saying(SHAPE)(asked)


REFUSAL = saying("", stop_reason="refusal", content=[], usage={"input_tokens": 90, "output_tokens": 1})
CUT_SHORT = saying(SHAPE[:20], stop_reason="max_tokens")
EMPTY = saying("", content=[])
DOWN = ["LLMUnavailable", "ok"]

CASES = [
    Case("500", once(failing(500)), DOWN, "anthropic failed (500: no)", 1),
    Case("529", once(failing(529, "overloaded_error")), DOWN, "(529: no)", 1),
    Case("slow", once(lambda asked: Say(body=b" " * 999, gap_s=0.1)), DOWN, "did not answer within", 1, True),
    Case("hung up", once(broken("{}", 0)), DOWN, "hung up", 1, True),
    Case("half a body", once(broken('{"id": "msg_01", "con', 9)), DOWN, "hung up", 1, True),
    Case("half JSON", once(broken('{"id": "ms')), DOWN, "no message", 1, True),
    Case("a refusal", once(REFUSAL), ["LLMReplyRefused", "ok"], "declined to answer", 0, True),
    Case("cut short twice", once(CUT_SHORT, 2), ["ok", "ok", "ok"], "cut short"),
    Case("cut short once", once(CUT_SHORT), ["ok", "ok"]),
    Case("empty twice", once(EMPTY, 2), ["ok", "ok", "ok"], "has not the shape"),
    Case("empty once", once(EMPTY), ["ok", "ok"]),
    Case("wrong shape, then right", once(saying('{"summary": 7}')), ["ok", "ok"]),
    Case("thinking first", once(thinking_first), ["ok"]),
    Case("the shape refused", without_schema, ["ok"]),
]


class Room:
    """One reactor's server and database."""

    def __init__(self, api: MessagesAPI, sql: Sql) -> None:
        self.api, self.sql = api, sql

    def ask(self, behave: Behaviour, **columns: Any) -> int:
        """A step that asks, under way."""
        self.api.behave = behave
        return insert(self.sql, "analyze", '{"topic": "weekends"}', **columns)

    def step(self, id: int) -> tuple[Any, ...]:
        return columns(self.sql, id, "status, attempt, failure_reason")

    def calls(self, id: int) -> list[tuple[str, float]]:
        """Outcome and cost of each call for that step, oldest first."""
        return self.sql.execute(
            "select outcome, cost_usd::float8 from ops_llm_calls where work like %s order by id",
            (f"step:{id}%",),
        ).fetchall()

    @property
    def breaker(self) -> tuple[Any, ...]:
        row = self.sql.execute(
            "select state, failure_count from ops_circuit_breaker where service = 'anthropic'"
        ).fetchone()
        assert row is not None
        return row

    @property
    def key(self) -> tuple[Any, ...]:
        """Why the key is paused, and for how many seconds."""
        row = self.sql.execute(
            "select reason, extract(epoch from paused_until - now())::float8 from ops_llm_keys"
        ).fetchone()
        assert row is not None
        return row

    @property
    def spent_as_on_the_books(self) -> bool:
        """Whether the day's spending is what its calls cost."""
        return bool(
            scalar(
                self.sql,
                "select usd = (select sum(cost_usd) from ops_llm_calls) from ops_llm_spending where scope = 'day'",
            )
        )


async def test_each_misbehaviour_does_what_it_should_to_row_breaker_key_and_books(
    database: str, sql: Sql, subtests: pytest.Subtests
) -> None:
    async with messages_api() as api, asking_reactor(database, api.url):
        room = Room(api, sql)
        for case in CASES:
            with subtests.test(case.name):
                await _plays(room, case)


async def _plays(room: Room, case: Case) -> None:
    patience_s = 1 if case.name == "slow" else 60
    room.sql.execute(
        "select ops_set_policy('llm_limits', jsonb_build_object('timeout_s', %s))", (patience_s,)
    )
    id = room.ask(case.behave, max_attempts=1)
    if case.reason is not None:
        await until_status(room.sql, id, "failed", within_s=WITHIN_S)
        assert case.reason in room.step(id)[2]
        assert room.breaker == ("closed", case.failures)
        room.sql.execute("""select ops_set_policy('llm_limits', '{"timeout_s": 60}')""")
        room.sql.execute("select ops_retry('step', %s)", (id,))
    await until_status(room.sql, id, "succeeded", within_s=WITHIN_S)
    calls = room.calls(id)
    assert [outcome for outcome, _ in calls] == list(case.calls)
    for outcome, cost_usd in calls:
        assert (cost_usd > 0) == (outcome == "ok" or case.costs)
    assert room.breaker == ("closed", 0), "a call that went well ends the count"
    assert room.key == (None, None), "nothing of this pauses the key"
    assert room.spent_as_on_the_books


async def test_a_row_is_tried_again_by_itself_and_only_as_often_as_it_may(database: str, sql: Sql) -> None:
    async with messages_api() as api, asking_reactor(database, api.url):
        room = Room(api, sql)
        id = room.ask(once(failing(500), 2))
        await until_status(sql, id, "succeeded", within_s=WITHIN_S)
        assert room.step(id)[1] == 3
        id = room.ask(failing(529), max_attempts=2)
        await until_status(sql, id, "failed", within_s=WITHIN_S)
        assert [outcome for outcome, _ in room.calls(id)] == ["LLMUnavailable"] * 2


async def test_a_request_that_is_refused_fails_its_row_at_once(database: str, sql: Sql) -> None:
    async with messages_api() as api, asking_reactor(database, api.url):
        room = Room(api, sql)
        id = room.ask(failing(400, "invalid_request_error", "messages: too long"))
        await until_status(sql, id, "failed", within_s=WITHIN_S)
        assert room.step(id)[1:] == (1, "anthropic refuses the request (400: messages: too long)")
        assert room.calls(id) == [("LLMRequestRefused", 0)]
        assert (room.breaker, room.key) == (("closed", 0), (None, None))
        assert room.spent_as_on_the_books


async def test_trouble_enough_opens_the_breaker_and_rows_wait_for_it_unharmed(
    database: str, sql: Sql
) -> None:
    sql.execute("update ops_circuit_breaker set failure_threshold = 3, success_threshold = 2")
    async with messages_api() as api, asking_reactor(database, api.url):
        room = Room(api, sql)
        first = room.ask(failing(529))
        await until(lambda: room.breaker[0] == "open", within_s=WITHIN_S)
        await until_status(sql, first, "failed", within_s=WITHIN_S)
        asked = len(api.asked)
        waiting = [room.ask(well) for _ in range(5)]
        noop = insert(sql)
        await until_status(sql, noop, "succeeded", within_s=WITHIN_S)
        # One that was taken before this reactor heard of it finds the door closed, and goes back as if never taken.
        await until(lambda: {room.step(id)[:2] for id in waiting} == {("queued", 0)}, within_s=WITHIN_S)
        assert len(api.asked) == asked
        sql.execute("update ops_circuit_breaker set open_seconds = 1, opened_at = now()")
        for id in waiting:
            await until_status(sql, id, "succeeded", within_s=WITHIN_S)
            assert room.step(id)[1] == 1
        assert room.breaker == ("closed", 0)


@pytest.mark.parametrize("retry_after", [True, False])
async def test_too_many_requests_pause_the_key_on_all_reactors_and_burn_no_attempt(
    database: str, sql: Sql, retry_after: bool
) -> None:
    said = {"retry_after": "2"} if retry_after else {}
    async with (
        messages_api() as api,
        asking_reactor(database, api.url),
        asking_reactor(database, api.url),
    ):
        room = Room(api, sql)
        first = room.ask(once(failing(429, "rate_limit_error", **said)))
        await until(lambda: room.key[0] is not None if room.calls(first) else False, within_s=WITHIN_S)
        reason, pause_s = room.key
        assert reason == "rate_limited"
        assert pause_s == pytest.approx(2 if retry_after else 5, abs=1.5)
        others = [room.ask(api.behave) for _ in range(6)]
        for id in [first, *others]:
            await until_status(sql, id, "succeeded", within_s=WITHIN_S)
            assert room.step(id)[1] == 1, "no attempt was burnt"
        began, again = (asked.at for asked in api.asked[:2])
        assert again - began >= (1.9 if retry_after else 4.9), "nobody called while the key was paused"
        assert api.answered.count(429) == 1
        assert room.breaker == ("closed", 0)
        assert room.key == (None, None)
        assert room.calls(first)[0] == ("RateLimited", 0)
        assert room.spent_as_on_the_books


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_said_once_and_pauses_every_reactor_that_has_it(
    database: str, sql: Sql, status: int
) -> None:
    async with messages_api() as api:

        def behave(asked: Asked) -> Say:
            bad = asked.headers["authorization"] == f"Bearer {KEY}"
            return failing(status, "authentication_error")(asked) if bad else well(asked)

        room = Room(api, sql)
        async with asking_reactor(database, api.url), asking_reactor(database, api.url):
            rows = [room.ask(behave) for _ in range(8)]
            await until(lambda: len(api.asked) > 0 and room.key[0] == "key_refused", within_s=WITHIN_S)
            noop = insert(sql)
            await until_status(sql, noop, "succeeded", within_s=WITHIN_S)
            await until(lambda: {room.step(id)[0] for id in rows} == {"queued"}, within_s=WITHIN_S)
            refused = len(api.asked)
            assert refused <= 8, "those that had begun before the first refusal was heard"
            rows.append(room.ask(behave))
            noop = insert(sql)
            await until_status(sql, noop, "succeeded", within_s=WITHIN_S)
            assert len(api.asked) == refused
            assert room.key[1] > 500
            assert {room.step(id)[1] for id in rows} == {0}
            assert room.breaker == ("closed", 0)
            assert scalar(sql, "select count(*) from ops_agent_events where kind = 'key_refused'") == 1
        async with asking_reactor(database, api.url, key="sk-test-another"):
            for id in rows:
                await until_status(sql, id, "succeeded", within_s=WITHIN_S)
        assert room.spent_as_on_the_books


async def test_work_goes_on_when_a_key_that_was_given_credit_is_tried_again(database: str, sql: Sql) -> None:
    credit = False

    def behave(asked: Asked) -> Say:
        return well(asked) if credit else failing(403, "permission_error")(asked)

    async with messages_api() as api, asking_reactor(database, api.url):
        room = Room(api, sql)
        row = room.ask(behave)
        await until(lambda: len(api.asked) > 0 and room.key[0] == "key_refused", within_s=WITHIN_S)
        await until(lambda: room.step(row)[0] == "queued", within_s=WITHIN_S)
        credit = True
        sql.execute("select ops_breaker_reset('anthropic')")
        await until_status(sql, row, "succeeded", within_s=WITHIN_S)  # of its own it would wait ten minutes
        assert room.key == (None, None)


async def test_a_turn_survives_a_temperature_the_model_does_not_take(database: str, sql: Sql) -> None:
    def behave(asked: Asked) -> Say:
        if "temperature" in asked.body:
            return failing(400, "invalid_request_error", "temperature: not supported")(asked)
        return well(asked)

    sql.execute("update ops_agents set model = 'llama-local'")
    async with messages_api(behave) as api, asking_reactor(database, api.url, parts=("roundtable",)):
        row = sql.execute(
            "insert into ops_roundtable_queue (format, topic, participants)"
            " values ('watercooler', 'the weather', '{sage,quill}') returning id"
        ).fetchone()
        assert row is not None
        await until_status(sql, row[0], "succeeded", Queue.ROUNDTABLE, within_s=WITHIN_S)
        assert ["temperature" in asked.body for asked in api.asked][:3] == [True, False, False]
        assert scalar(sql, "select count(*) from ops_llm_calls where outcome <> 'ok'") == 0
        assert scalar(sql, "select bool_and(unpriced) from ops_llm_calls where purpose = 'turn'")
