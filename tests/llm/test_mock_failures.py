"""The stand-in takes its time and fails as it is told."""

import pytest
import trio
from trio.testing import MockClock

from reactor.errors import ConfigurationError, KeyRefused, RateLimited
from reactor.llm.mock import FAILURES, MockProvider
from reactor.llm.request import LLMRequest, Message


async def test_it_takes_its_time_and_fails_as_often_as_told(autojump_clock: MockClock) -> None:
    rolls = iter([0.05, 0.15, 0.5])
    provider = MockProvider(latency_s=2, failures={"429": 0.1, "401": 0.1}, chance=lambda: next(rolls))
    request = LLMRequest(purpose="turn", messages=(Message("user", "hi"),))
    began = trio.current_time()
    with pytest.raises(RateLimited) as limited:
        await provider.answer(request, "m", None)
    assert limited.value.delay_s
    with pytest.raises(KeyRefused):
        await provider.answer(request, "m", None)
    answer = await provider.answer(request, "m", None)
    assert trio.current_time() - began == pytest.approx(6)
    assert answer.usage is not None
    assert answer.usage.input_tokens >= 1
    assert answer.usage.output_tokens >= 1


@pytest.mark.parametrize("failure", sorted(FAILURES))
async def test_every_failure_has_a_name_and_happens(failure: str) -> None:
    provider = MockProvider(failures={failure: 1.0})
    with pytest.raises(type(FAILURES[failure]())):
        await provider.answer(LLMRequest(purpose="turn", messages=()), "m", None)


@pytest.mark.parametrize("failures", [{"418": 0.1}, {"429": 1.5}, {"429": -0.1}, {"429": 0.7, "500": 0.7}])
def test_failures_that_make_no_sense_are_refused(failures: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="VOXYZ_MOCK_FAIL"):
        MockProvider(failures=failures)
