"""The real SDK against a server that speaks the Messages API, well or badly."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import trio
from pydantic import BaseModel, Field

from reactor.errors import (
    AnswerMisshapen,
    KeyRefused,
    LLMReplyRefused,
    LLMRequestRefused,
    LLMUnavailable,
    RateLimited,
)
from reactor.llm.anthropic import AnthropicProvider, key_print
from reactor.llm.gateway import Gateway
from reactor.llm.metering import Tally
from reactor.llm.request import LLMRequest, Message
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

KEY = "sk-test-0123456789"


class Door:
    """A guard that lets everything through and remembers what it heard."""

    def __init__(self) -> None:
        self.reports: list[bool] = []

    async def allow(self, service: str) -> bool:
        return True

    async def record(self, service: str, success: bool) -> None:
        self.reports.append(success)


class House:
    """A gateway to the server, with its door and its books."""

    def __init__(self, api: MessagesAPI) -> None:
        self.api, self.door, self.books = api, Door(), Tally()
        self.provider = AnthropicProvider(KEY, base_url=api.url)
        self.gateway = Gateway(self.provider, self.door, meter=self.books)

    async def says(self, behave: Behaviour, **request: Any) -> str:
        self.api.behave = behave
        return (await self.gateway.complete(ask(**request))).text

    @property
    def sent(self) -> dict[str, Any]:
        """The body of the last request."""
        return self.api.asked[-1].body


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with messages_api() as api:
        made = House(api)
        yield made
        await made.provider.aclose()


def ask(text: str = "What now?", **more: Any) -> LLMRequest:
    given: dict[str, Any] = {"purpose": "turn", "messages": (Message("user", text),), "max_tokens": 160}
    return LLMRequest(**{**given, **more})


class Pair(BaseModel):
    a: int = Field(ge=0, le=10)
    b: str = Field(min_length=1, max_length=100)


# -- what is sent


async def test_the_default_model_is_asked_without_thinking_and_without_sampling_parameters(
    house: House,
) -> None:
    await house.says(well, system="You are Sage.", temperature=0.9, idempotency_key="roundtable:1:turn:2")
    sent = house.sent
    assert sent["model"] == "claude-haiku-5-5"
    assert sent["thinking"] == {"type": "disabled"}
    assert sent["max_tokens"] == 160
    assert not {"temperature", "top_p", "top_k", "output_config", "stream"} & {
        key for key, value in sent.items() if value
    }
    assert sent["system"].startswith("You are Sage.\n\nSpeak loosely")
    headers = house.api.asked[-1].headers
    assert headers["idempotency-key"] == "roundtable:1:turn:2"
    assert headers["authorization"] == f"Bearer {KEY}"


async def test_a_temperature_shapes_the_words_where_it_is_no_parameter(house: House) -> None:
    for temperature, word in ((0.3, "dry"), (0.7, None), (0.9, "loosely")):
        await house.says(well, system="You are Sage.", temperature=temperature)
        assert (word in house.sent["system"]) if word else house.sent["system"] == "You are Sage."


async def test_an_older_model_gets_its_temperature_as_a_parameter(house: House) -> None:
    await house.says(well, model="claude-sonnet-4-6", temperature=0.9, system="You are Sage.")
    assert house.sent["temperature"] == 0.9
    assert house.sent["system"] == "You are Sage."
    assert "thinking" not in house.sent


async def test_a_model_that_always_thinks_is_given_room_for_it_and_asked_to_think_little(
    house: House,
) -> None:
    await house.says(well, model="claude-opus-5-5")
    assert house.sent["max_tokens"] > 1000
    assert house.sent["output_config"] == {"effort": "low"}
    assert "thinking" not in house.sent


async def test_whoever_asks_for_thoughts_gets_them_and_the_room(house: House) -> None:
    await house.says(well, thinking=True)
    assert house.sent["thinking"] == {"type": "adaptive"}
    assert house.sent["max_tokens"] > 1000


async def test_a_shape_is_sent_as_a_schema_the_provider_takes(house: House) -> None:
    house.api.behave = saying('{"a": 3, "b": "x"}')
    pair, _ = await house.gateway.structured(ask(), Pair)
    assert pair == Pair(a=3, b="x")
    shape = house.sent["output_config"]["format"]
    assert shape["type"] == "json_schema"
    assert shape["schema"]["additionalProperties"] is False
    assert not {"minimum", "maximum", "minLength", "maxLength"} & {
        key for field in shape["schema"]["properties"].values() for key in field
    }


async def test_a_stranger_is_asked_for_the_shape_in_words(house: House) -> None:
    house.api.behave = saying('{"a": 3, "b": "x"}')
    await house.gateway.structured(ask(model="llama-local"), Pair)
    assert "output_config" not in house.sent
    assert '"maxLength"' in house.sent["messages"][-1]["content"]


async def test_only_a_long_system_prompt_is_marked_to_be_kept(house: House) -> None:
    await house.says(well, system="short")
    assert house.sent["system"] == "short"
    await house.says(well, system="long " * 800)
    [block] = house.sent["system"]
    assert block["cache_control"] == {"type": "ephemeral"}


async def test_a_refused_temperature_is_left_out_now_and_from_then_on(house: House) -> None:
    def picky(asked: Asked) -> Say:
        if "temperature" in asked.body:
            return failing(400, "invalid_request_error", "temperature: not supported")(asked)
        return well(asked)

    for _ in range(2):
        assert await house.says(picky, model="llama-local", temperature=0.9)
    assert ["temperature" in asked.body for asked in house.api.asked] == [True, False, False]
    assert house.door.reports == [True, True]


async def test_another_refusal_of_a_request_is_final_and_says_why(house: House) -> None:
    with pytest.raises(LLMRequestRefused, match="400: messages: too many") as caught:
        await house.says(failing(400, "invalid_request_error", "messages: too many"))
    assert not caught.value.transient
    assert house.door.reports == [True]
    assert house.books.cost_usd == 0
    with pytest.raises(LLMRequestRefused, match="knows no model 'nobody'"):
        await house.says(failing(404, "not_found_error", "model: nobody"), model="nobody")


# -- what comes back


async def test_the_text_is_taken_by_type_though_a_thinking_block_comes_first(house: House) -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "x"},
        {"type": "something_new", "text": 7},
        {"type": "text", "text": "Two "},
        {"type": "text", "text": "parts."},
    ]
    usage = {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 100,
    }
    house.api.behave = lambda asked: Say(body=message(asked, content=blocks, usage=usage))
    reply = await house.gateway.complete(ask())
    assert reply.text == "Two parts."
    assert reply.cost_usd == pytest.approx((10 * 0.1 + 5 * 0.5 + 1000 * 0.01 + 100 * 0.125) / 1e6)
    assert not reply.simulated


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"input_tokens": 5},
        {"output_tokens": "9", "input_tokens": 5},
        {"output_tokens": 9, "input_tokens": -5},
    ],
)
async def test_an_answer_that_does_not_say_what_it_used_has_used_what_was_reserved(
    house: House, usage: Any
) -> None:
    house.api.behave = saying("Words.", usage=usage)
    reply = await house.gateway.complete(ask(max_tokens=1200))
    assert reply.text == "Words."
    assert house.books.cost_usd == reply.cost_usd >= 1200 * 0.5 / 1e6
    assert house.books.reserved_usd == pytest.approx(0)


async def test_a_refusal_fails_the_attempt_with_its_reason_and_costs_what_it_used(house: House) -> None:
    said = {
        "stop_reason": "refusal",
        "content": [],
        "usage": {"input_tokens": 50, "output_tokens": 1},
        "stop_details": {"type": "refusal", "category": "cyber", "explanation": "not this"},
    }
    with pytest.raises(LLMReplyRefused, match=r"declined to answer \(cyber: not this\)") as caught:
        await house.says(saying("", **said))
    assert caught.value.transient
    assert house.door.reports == [True]
    assert house.books.cost_usd == pytest.approx((50 * 0.1 + 0.5) / 1e6)
    with pytest.raises(LLMReplyRefused, match=r"declined to answer$"):
        await house.says(saying("", stop_reason="refusal", usage=None))


async def test_an_answer_cut_short_says_so_and_is_no_shape(house: House) -> None:
    house.api.behave = saying('{"a": 1, "b": "un', stop_reason="max_tokens")
    reply = await house.gateway.complete(ask())
    assert reply.stopped == "max_tokens"
    with pytest.raises(LLMReplyRefused, match="cut short"):
        await house.gateway.structured(ask(), Pair)


async def test_a_wrong_shape_is_asked_for_once_more_with_what_was_wrong(house: House) -> None:
    house.api.behave = in_turn(saying('{"a": 99, "b": ""}'), saying('{"a": 9, "b": "y"}'))
    pair, _ = await house.gateway.structured(ask(idempotency_key="step:1"), Pair)
    assert pair == Pair(a=9, b="y")
    first, second = house.api.asked
    assert [message["role"] for message in second.body["messages"]] == ["user", "assistant", "user"]
    assert "a: Input should be less than or equal to 10" in second.prompt
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]


async def test_empty_content_is_an_empty_answer_and_no_shape(house: House) -> None:
    house.api.behave = saying("", content=[])
    assert (await house.gateway.complete(ask())).text == ""
    with pytest.raises(AnswerMisshapen, match="shape of Pair: it was empty"):
        await house.gateway.structured(ask(), Pair)
    assert all(message["content"] for message in house.sent["messages"])


# -- what goes wrong


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_a_refused_key_is_a_matter_for_a_person(house: House, status: int) -> None:
    with pytest.raises(KeyRefused, match=f"key refused .{status}: no") as caught:
        await house.says(failing(status, "authentication_error"))
    assert caught.value.delay_s is None
    assert house.door.reports == []
    assert house.books.cost_usd == 0


async def test_an_account_without_credit_is_no_fault_of_the_request(house: House) -> None:
    said = (
        "Your credit balance is too low to access the API. Please go to Plans & Billing to purchase credits."
    )
    with pytest.raises(KeyRefused, match=r"400: Your credit balance is too low"):
        await house.says(failing(400, "invalid_request_error", said))
    with pytest.raises(KeyRefused, match=r"400: no credit"):
        await house.says(failing(400, "billing_error", "no credit"))
    assert house.door.reports == []
    assert house.books.cost_usd == 0


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("7", 7.0),
        ("0.25", 0.25),
        ("0", 0.1),
        ("999999999", 3600.0),
        ("soon", None),
        ("", None),
        ("-5", None),
    ],
)
async def test_too_many_requests_say_how_long_to_wait(
    house: House, said: str, expected: float | None
) -> None:
    with pytest.raises(RateLimited) as caught:
        await house.says(failing(429, "rate_limit_error", retry_after=said))
    assert caught.value.delay_s == expected
    assert house.door.reports == []
    assert house.books.cost_usd == 0


async def test_a_retry_after_may_be_a_date_and_may_be_missing(house: House) -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    with pytest.raises(RateLimited) as caught:
        await house.says(failing(429, "rate_limit_error", retry_after=then))
    assert caught.value.delay_s == pytest.approx(30, abs=2)
    with pytest.raises(RateLimited) as caught:
        await house.says(failing(429, "rate_limit_error"))
    assert caught.value.delay_s is None


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 529, 599])
async def test_trouble_of_the_provider_counts_for_the_breaker_and_costs_nothing(
    house: House, status: int
) -> None:
    with pytest.raises(LLMUnavailable, match=f"{status}: no"):
        await house.says(failing(status, "overloaded_error"))
    assert house.door.reports == [False]
    assert house.books.cost_usd == 0
    assert len(house.api.asked) == 1, "the SDK must not try again by itself"


async def test_an_error_that_is_no_json_is_still_said_on_one_line(house: House) -> None:
    with pytest.raises(LLMUnavailable) as caught:
        await house.says(lambda asked: Say(502, b"<html>\n<h1>Bad\x1b gateway</h1>" * 500))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "say",
    [
        Say(cut_at=0),
        Say(body=b'{"id": "msg_01", "content": [', cut_at=20),
        Say(body=b'{"id": "msg_01", "content": [{"ty'),
        Say(body=b"[]"),
        Say(body=b'"words"'),
        Say(body=b"{}"),
        Say(body=b'{"content": "words"}'),
        Say(body=b""),
        Say(body=b"\xff\xfe", headers={"content-type": "text/html"}),
        Say(204, b""),
        Say(301, b"", {"location": "/elsewhere"}),
    ],
    ids=lambda say: f"{say.status} {say.body[:20]!r} {say.cut_at}",
)
async def test_what_is_no_message_is_trouble_of_the_provider(house: House, say: Say) -> None:
    with pytest.raises(LLMUnavailable):
        await house.says(lambda asked: say)
    assert house.door.reports == [False]


async def test_slow_bytes_do_not_keep_a_call_beyond_its_time(house: House) -> None:
    began = trio.current_time()
    with pytest.raises(LLMUnavailable, match=r"did not answer within 0\.3 s"):
        await house.says(lambda asked: Say(body=message(asked), gap_s=0.05), timeout_s=0.3)
    assert trio.current_time() - began < 1.5
    assert house.door.reports == [False]
    assert house.books.cost_usd > 0, "it may have been charged"


async def test_nobody_at_the_address_is_trouble_of_the_provider() -> None:
    async with messages_api() as api:
        pass
    house = House(api)
    with pytest.raises(LLMUnavailable, match="could not be reached"):
        await house.gateway.complete(ask())
    await house.provider.aclose()


async def test_a_cancelled_call_leaves_the_client_usable(house: House) -> None:
    house.api.behave = lambda asked: Say(body=message(asked), after_s=60)
    with trio.move_on_after(0.2) as scope:
        await house.gateway.complete(ask())
    assert scope.cancelled_caught
    assert house.door.reports == []
    assert await house.says(well)


async def test_many_calls_run_at_once_on_trio(house: House) -> None:
    house.api.behave = lambda asked: Say(body=message(asked), after_s=0.2)
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(house.gateway.complete, ask())
    assert house.api.most_at_once == 4


def test_a_fingerprint_tells_keys_apart_and_gives_none_away() -> None:
    assert key_print(KEY) == key_print(KEY) != key_print(KEY + "0")
    assert key_print(KEY) not in KEY
    assert len(key_print(KEY)) == 12


async def test_neither_the_key_nor_the_prompt_is_in_an_error(house: House) -> None:
    for status in (400, 401, 429, 500):
        with pytest.raises(Exception) as caught:
            await house.says(failing(status), system="a secret plan")
        assert KEY not in repr(caught.value)
        assert "secret plan" not in repr(caught.value)


def test_what_the_server_says_by_default_is_what_the_provider_would() -> None:
    asked = Asked({}, {"model": "m", "messages": [{"role": "user", "content": "hi"}]}, 0.0)
    assert json.loads(message(asked))["type"] == "message"
