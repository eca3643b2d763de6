"""The real SDK against a server that speaks the Messages API: what is sent, and what is made of answers."""

import json
from typing import Any

import pytest
import trio
from pydantic import BaseModel, Field

from reactor.errors import (
    AnswerMisshapen,
    LLMReplyRefused,
    LLMRequestRefused,
)
from reactor.llm.anthropic import key_print
from tests.llm.anthropic_house import KEY, House, ask
from tests.support.messages_api import (
    Asked,
    Say,
    failing,
    in_turn,
    message,
    saying,
    well,
)


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


def test_what_the_server_says_by_default_is_what_the_provider_would() -> None:
    asked = Asked({}, {"model": "m", "messages": [{"role": "user", "content": "hi"}]}, 0.0)
    assert json.loads(message(asked))["type"] == "message"
