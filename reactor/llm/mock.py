"""A provider that makes its answers up: no network, no cost, the same answer to the same question.

It works from the request's material, not from the prompt; the prompt only seeds its dice. So what a handler puts into
a prompt and forgets in the material does not show here, and what it shows was meant to be known.
"""

import json
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

import trio

from reactor.errors import (
    ConfigurationError,
    KeyRefused,
    LLMReplyRefused,
    LLMRequestRefused,
    LLMUnavailable,
    RateLimited,
    ReactorError,
)
from reactor.llm.metering import estimate_input, estimate_tokens
from reactor.llm.mock_shapes import Fitter
from reactor.llm.mock_talk import compose_distillate, compose_turn
from reactor.llm.mock_text import Dice, dice_of
from reactor.llm.mock_work import compose_initiative, compose_work
from reactor.llm.request import Answer, LLMRequest, Usage

_KEY_PAUSE_S: Final = 60.0
_RATE_PAUSE_S: Final = 2.0

FAILURES: Final[Mapping[str, Callable[[], ReactorError]]] = {
    "400": lambda: LLMRequestRefused("mock: 400, the request was refused"),
    "401": lambda: KeyRefused("mock: 401, key refused", _KEY_PAUSE_S),
    "403": lambda: KeyRefused("mock: 403, key refused", _KEY_PAUSE_S),
    "429": lambda: RateLimited("mock: 429, too many requests", _RATE_PAUSE_S),
    "500": lambda: LLMUnavailable("mock: 500, internal error"),
    "529": lambda: LLMUnavailable("mock: 529, overloaded"),
    "timeout": lambda: LLMUnavailable("mock: timed out"),
    "refusal": lambda: LLMReplyRefused("mock: the model declined to answer"),
}


class MockProvider:
    """Stands in for the real one, behind the same breaker.

    ``latency_s``: how long each answer takes. ``failures``: what goes wrong how often, such as ``{"429": 0.1}``;
    the names are those of `FAILURES`, the shares add up to at most 1; each call rolls ``chance`` once.
    Raises: ConfigurationError: an unknown failure, or shares that make no sense.
    """

    name = "mock"
    service = "anthropic"
    simulated = True

    def __init__(
        self,
        *,
        latency_s: float = 0.0,
        failures: Mapping[str, float] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._latency_s = latency_s
        self._failures = dict(failures or {})
        self._chance = chance
        unknown = sorted(set(self._failures) - set(FAILURES))
        if unknown:
            raise ConfigurationError(
                f"VOXYZ_MOCK_FAIL: unknown failure {unknown[0]!r}; known are {', '.join(FAILURES)}"
            )
        if any(not 0 <= share <= 1 for share in self._failures.values()) or sum(self._failures.values()) > 1:
            raise ConfigurationError("VOXYZ_MOCK_FAIL: shares are between 0 and 1, and so is their sum")

    async def answer(self, request: LLMRequest, model: str, schema: Mapping[str, Any] | None) -> Answer:
        """The made-up answer, or the failure the dice want. Cancellation: nothing happened."""
        await trio.sleep(self._latency_s)
        self._fail_perhaps()
        text = compose(request, schema)
        return Answer(
            text=text,
            model=model,
            usage=Usage(input_tokens=estimate_input(request), output_tokens=estimate_tokens(text)),
        )

    def _fail_perhaps(self) -> None:
        if not self._failures:
            return
        rolled = self._chance()
        for failure, share in self._failures.items():
            rolled -= share
            if rolled < 0:
                raise FAILURES[failure]()


def compose(request: LLMRequest, schema: Mapping[str, Any] | None) -> str:
    """The mock's words for ``request``: JSON of the shape ``schema``, or plain text without one. Pure."""
    dice = dice_of(request)
    if schema is None and request.purpose == "turn":
        return compose_turn(request, dice)
    fields = _fields(request, dice)
    if schema is None:
        return str(fields.get("text") or fields.get("summary") or fields.get("description"))
    line = str(fields.get("recommendation") or fields.get("summary") or fields.get("reason"))
    return json.dumps(Fitter(schema, dice, line).fit(fields), ensure_ascii=False)


def _fields(request: LLMRequest, dice: Dice) -> dict[str, Any]:
    match request.purpose:
        case "distil":
            return compose_distillate(request, dice)
        case "initiative":
            return compose_initiative(request, dice)
        case "turn":
            line = compose_turn(request, dice)
            return {"dialogue": line, "line": line, "text": line, "summary": line}
        case _:
            return compose_work(request, dice)
