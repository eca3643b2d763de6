"""The real SDK against a server that speaks the Messages API badly, or not at all."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import trio

from reactor.errors import (
    KeyRefused,
    LLMUnavailable,
    RateLimited,
)
from tests.llm.anthropic_house import KEY, House, ask
from tests.support.messages_api import (
    Say,
    failing,
    message,
    messages_api,
    well,
)


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


async def test_of_an_error_page_the_title_is_said(house: House) -> None:
    page = (
        b"<!DOCTYPE HTML>\n<html><head><title>504 Gateway\nTime-out</title></head><body>nginx</body></html>"
    )
    with pytest.raises(LLMUnavailable, match=r"^anthropic failed \(504: 504 Gateway Time-out\)$"):
        await house.says(lambda asked: Say(504, page, headers={"content-type": "text/html"}))


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


async def test_neither_the_key_nor_the_prompt_is_in_an_error(house: House) -> None:
    for status in (400, 401, 429, 500):
        with pytest.raises(Exception) as caught:
            await house.says(failing(status), system="a secret plan")
        assert KEY not in repr(caught.value)
        assert "secret plan" not in repr(caught.value)
