import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import trio
import trio.testing
from pydantic import BaseModel
from trio.testing import MockClock

from reactor.errors import (
    CallsPaused,
    ConnectionLost,
    DatabaseUnavailable,
    LLMReplyRefused,
    LLMRequestRefused,
    LLMUnavailable,
    NotNow,
    RateLimited,
    ReactorError,
    ServiceClosed,
)
from reactor.llm.gateway import Gateway
from reactor.llm.limits import Limits
from reactor.llm.metering import Price, Reservation, Tally
from reactor.llm.mock import MockProvider
from reactor.llm.request import Answer, LLMRequest, Message, Usage

PRICES = {"cheap": Price(1.0, 10.0, 0.1, 1.25), "dear": Price(5.0, 50.0, 0.5, 6.0)}


class Door:
    """A guard that answers as told and remembers what it heard."""

    def __init__(self, *, allows: bool = True, deaf: bool = False) -> None:
        self.allows, self.deaf = allows, deaf
        self.asked = 0
        self.reports: list[bool] = []

    async def allow(self, service: str) -> bool:
        self.asked += 1
        return self.allows

    async def record(self, service: str, success: bool) -> None:
        await trio.lowlevel.checkpoint()
        if self.deaf:
            raise ConnectionLost("gone")
        self.reports.append(success)


class Provider:
    """Takes its time, then answers or raises."""

    name = "fake"
    service = "anthropic"

    def __init__(
        self,
        text: str = "hello",
        *,
        takes_s: float = 0.0,
        error: ReactorError | None = None,
        simulated: bool = False,
    ) -> None:
        self.text, self.takes_s, self.error, self.simulated = text, takes_s, error, simulated
        self.running = self.most_running = self.calls = 0
        self.stopped: Any = "end"

    async def answer(self, request: LLMRequest, model: str, schema: Mapping[str, Any] | None) -> Answer:
        self.calls += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await trio.sleep(self.takes_s)
        finally:
            self.running -= 1
        if self.error:
            raise self.error
        return Answer(self.text, model, Usage(100, 20, 10, 5), self.stopped)


def ask(text: str = "hi", **more: Any) -> LLMRequest:
    return LLMRequest(purpose="step:plan", messages=(Message("user", text),), **more)


def gateway(provider: Any, door: Door | None = None, **more: Any) -> tuple[Gateway, Tally]:
    tally = Tally()
    made = Gateway(
        provider, door or Door(), meter=tally, prices=lambda: PRICES, default_model="cheap", **more
    )
    return made, tally


async def test_a_call_is_answered_priced_and_settled() -> None:
    door = Door()
    opened, tally = gateway(Provider(), door)
    reply = await opened.complete(ask())
    cost = (100 * 1.0 + 20 * 10.0 + 10 * 0.1 + 5 * 1.25) / 1e6
    assert (reply.text, reply.model, reply.provider, reply.simulated) == ("hello", "cheap", "fake", False)
    assert reply.cost_usd == reply.would_cost_usd == pytest.approx(cost)
    assert tally.calls == {("step:plan", "ok"): 1}
    assert tally.cost_usd == pytest.approx(cost)
    assert tally.reserved_usd == pytest.approx(0)
    assert door.reports == [True]


async def test_a_simulated_call_costs_nothing_and_says_what_it_would_have_cost() -> None:
    opened, tally = gateway(Provider(simulated=True))
    reply = await opened.complete(ask(model="dear"))
    assert reply.cost_usd == 0
    assert reply.would_cost_usd > 0
    assert (tally.cost_usd, tally.would_cost_usd) == (0, reply.would_cost_usd)
    assert (tally.input_tokens, tally.output_tokens) == (100, 20)


async def test_a_model_without_a_price_is_never_free() -> None:
    opened, _ = gateway(Provider())
    dear = await opened.complete(ask(model="dear"))
    assert (await opened.complete(ask(model="unheard-of"))).cost_usd == dear.cost_usd


async def test_a_closed_breaker_lets_nothing_through_and_costs_nothing() -> None:
    provider, door = Provider(), Door(allows=False)
    opened, tally = gateway(provider, door)
    with pytest.raises(ServiceClosed, match="the breaker of anthropic is open"):
        await opened.complete(ask())
    assert provider.calls == 0
    assert door.reports == []
    assert tally.calls == {("step:plan", "ServiceClosed"): 1}
    assert tally.cost_usd == tally.reserved_usd == 0


@pytest.mark.parametrize(
    ("error", "reports"),
    [
        (LLMUnavailable("529"), [False]),
        (LLMRequestRefused("400"), [True]),
        (LLMReplyRefused("no"), [True]),
        (RateLimited("429", 3.0), []),
    ],
)
async def test_only_trouble_of_the_provider_counts_for_the_breaker(
    error: ReactorError, reports: list[bool]
) -> None:
    door = Door()
    opened, tally = gateway(Provider(error=error), door)
    with pytest.raises(type(error)):
        await opened.complete(ask())
    assert door.reports == reports
    assert tally.calls == {("step:plan", type(error).__name__): 1}
    assert tally.reserved_usd == pytest.approx(0)


async def test_an_answer_that_does_not_come_in_time_is_trouble_and_is_charged_as_reserved(
    autojump_clock: MockClock,
) -> None:
    door = Door()
    opened, tally = gateway(Provider(takes_s=100), door)
    with pytest.raises(LLMUnavailable, match="did not answer within 30 s"):
        await opened.complete(ask(timeout_s=30, max_tokens=1000))
    assert door.reports == [False]
    assert tally.cost_usd == pytest.approx(0.01, rel=0.01)


async def test_a_cancelled_call_is_settled_and_the_breaker_hears_nothing(autojump_clock: MockClock) -> None:
    door, provider = Door(), Provider(takes_s=100)
    opened, tally = gateway(provider, door)
    with trio.move_on_after(1):
        await opened.complete(ask())
    assert door.reports == []
    assert tally.calls == {("step:plan", "cancelled"): 1}
    assert tally.reserved_usd == pytest.approx(0)
    provider.takes_s = 0
    await opened.complete(ask())


async def test_an_answer_paid_for_is_reported_and_settled_though_the_caller_is_cancelled() -> None:
    door = Door()
    opened, tally = gateway(Provider(), door)
    with trio.CancelScope() as scope:

        class Last(Provider):
            async def answer(
                self, request: LLMRequest, model: str, schema: Mapping[str, Any] | None
            ) -> Answer:
                scope.cancel()
                return Answer("done", model, Usage(1, 1))

        opened.provider = Last()
        await opened.complete(ask())
    assert door.reports == [True]
    assert tally.calls == {("step:plan", "ok"): 1}


async def test_a_breaker_that_cannot_be_told_costs_no_answer() -> None:
    opened, _ = gateway(Provider(), Door(deaf=True))
    assert (await opened.complete(ask())).text == "hello"


async def test_a_breaker_that_cannot_be_asked_stops_the_call() -> None:
    class Away(Door):
        async def allow(self, service: str) -> bool:
            raise DatabaseUnavailable("no server")

    provider = Provider()
    opened, tally = gateway(provider, Away())
    with pytest.raises(DatabaseUnavailable):
        await opened.complete(ask())
    assert provider.calls == 0
    assert tally.cost_usd == 0


async def test_a_meter_that_has_nothing_left_stops_the_call_before_the_breaker_is_asked() -> None:
    class Spent(Tally):
        async def reserve(self, reservation: Reservation) -> None:
            raise NotNow("the budget of today is spent", 60.0)

    provider, door = Provider(), Door()
    opened = Gateway(provider, door, meter=Spent(), prices=lambda: PRICES)
    with pytest.raises(NotNow, match="budget"):
        await opened.complete(ask())
    assert (provider.calls, door.asked) == (0, 0)


async def test_no_more_calls_run_at_once_than_the_limits_say_even_when_they_change(
    autojump_clock: MockClock,
) -> None:
    limits = Limits(concurrency=3)
    provider = Provider(takes_s=1)
    opened, _ = gateway(provider, limits=lambda: limits)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(9):
            nursery.start_soon(opened.complete, ask())
    assert provider.most_running == 3
    assert trio.current_time() - began == pytest.approx(3)
    limits = Limits(concurrency=5)
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(opened.complete, ask())
    assert provider.most_running == 5


async def test_who_waits_too_long_for_a_place_comes_again_later(autojump_clock: MockClock) -> None:
    provider = Provider(takes_s=50)
    opened, _ = gateway(provider, limits=lambda: Limits(concurrency=1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(opened.complete, ask())
        await trio.sleep(1)
        with pytest.raises(NotNow, match="all 1 places for LLM calls are busy") as caught:
            await opened.complete(ask())
        assert caught.value.delay_s == 5
    assert provider.calls == 1
    await opened.complete(ask())


async def test_held_no_call_begins_not_even_one_that_waits_for_its_place(autojump_clock: MockClock) -> None:
    provider = Provider(takes_s=2)
    opened, _ = gateway(provider, limits=lambda: Limits(concurrency=1))
    ended: list[str] = []

    async def call() -> None:
        try:
            await opened.complete(ask())
        except CallsPaused as paused:
            ended.append(str(paused))
        else:
            ended.append("answered")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await trio.sleep(0.5)
        nursery.start_soon(call)
        await trio.sleep(0.5)
        opened.hold("paused by ada")
        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        assert ended == ["paused by ada"] * 2, "their wait is over at once"
    assert sorted(ended) == ["answered", "paused by ada", "paused by ada"]
    assert provider.calls == 1
    opened.release()
    await call()
    assert ended[-1] == "answered"


class Pair(BaseModel):
    a: int
    b: str


@pytest.mark.parametrize(
    "text", ['{"a": 1, "b": "x"}', '```json\n{"a": 1, "b": "x"}\n```', ' \n{"a": 1, "b": "x", "c": 2}\n']
)
async def test_a_structured_answer_comes_as_its_shape(text: str) -> None:
    provider = Provider(text)
    opened, _ = gateway(provider)
    shaped, reply = await opened.structured(ask(), Pair)
    assert shaped == Pair(a=1, b="x")
    assert reply.text == text
    assert provider.calls == 1


@pytest.mark.parametrize("text", ["", "no", "{", "[]", '{"a": "x", "b": 1}', '{"a": 1}'])
async def test_an_answer_of_another_shape_is_asked_for_once_more_and_then_refused(text: str) -> None:
    provider = Provider(text)
    opened, tally = gateway(provider)
    with pytest.raises(LLMReplyRefused, match="has not the shape of Pair"):
        await opened.structured(ask(), Pair)
    assert provider.calls == 2
    assert tally.calls == {("step:plan", "ok"): 2}


async def test_an_answer_cut_short_is_no_answer() -> None:
    provider = Provider('{"a": 1, "b": "x"}')
    provider.stopped = "max_tokens"
    opened, _ = gateway(provider)
    with pytest.raises(LLMReplyRefused, match="cut short"):
        await opened.structured(ask(), Pair)


@pytest.mark.parametrize(
    "failing", [lambda: MockProvider(failures={"529": 1.0}), lambda: MockProvider(failures={"timeout": 1.0})]
)
async def test_the_mock_can_fail_like_the_real_one(failing: Callable[[], MockProvider]) -> None:
    door = Door()
    opened, _ = gateway(failing(), door)
    with pytest.raises(LLMUnavailable):
        await opened.complete(ask())
    assert door.reports == [False]


def test_limits_of_a_policy_keep_their_defaults_where_it_makes_no_sense() -> None:
    limits = Limits.from_policy(
        {"turn": 99, "step": -5, "input": "many", "review": 50, "concurrency": 2, "timeout_s": True}
    )
    assert limits.answer_tokens("turn") == 99
    assert limits.answer_tokens("step:review") == 50
    assert limits.answer_tokens("step:plan") == 1200
    assert limits.answer_tokens("step:write_content") == 2000
    assert limits.answer_tokens("unheard-of") == 1200
    assert (limits.input_tokens, limits.concurrency, limits.timeout_s) == (12_000, 2, 60.0)
    assert Limits.from_policy(json.loads("null")) == Limits()
