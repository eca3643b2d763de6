"""The provider that asks Anthropic's Messages API, or whatever speaks it at another address.

Its client never tries again by itself: one layer of retries is enough, and it is the queue's. The text of an answer is taken
by the type of its blocks, for thoughts may come first. What a model takes is a table (`models`); a parameter that is refused
all the same is left out, now and from then on, by this process.
"""

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from time import time
from typing import Any, Final

import anthropic
import structlog
from anthropic import AsyncAnthropic, transform_schema
from httpx2 import Response

from reactor import tracing
from reactor.errors import KeyRefused, LLMRequestRefused, LLMUnavailable, RateLimited, ReactorError
from reactor.llm.metering import estimate_tokens
from reactor.llm.models import Model, model_named
from reactor.llm.request import Answer, LLMRequest, Usage
from reactor.llm.transport import http_client

log = structlog.get_logger()

_BASE_URL: Final = "https://api.anthropic.com"
_CONNECT_WITHIN_S: Final = 10.0
_LONGEST_PAUSE_S: Final = 3600.0
_KEY_PAUSE_S: Final = 600.0
_SAID_CHARS: Final = 300
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_MOST_TOKENS: Final = 10**8  # whoever counts more counts wrongly; the books could not hold it

# Parameters that are better left out than insisted on, by the word a complaint about them has in it.
_OPTIONAL: Final = {
    "temperature": "temperature",
    "thinking": "thinking",
    "effort": "output_config",
    "output_config": "output_config",
    "json_schema": "output_config",
    "cache_control": "cache_control",
}
# Looser, drier: what a temperature says where it is no parameter. At most and at least so much.
_DRY: Final = (0.5, "Be dry and exact: facts before flourishes.")
_LOOSE: Final = (0.8, "Speak loosely: play with the thought, take a chance, surprise.")


def key_print(key: str) -> str:
    """A fingerprint of ``key`` that does not give it away; the same for the same key."""
    return hashlib.blake2b(key.encode(), digest_size=6, person=b"voxyz-llm-key").hexdigest()


class AnthropicProvider:
    """Answers by `AsyncAnthropic`; close it with `aclose`."""

    name = "anthropic"
    service = "anthropic"
    simulated = False

    def __init__(self, key: str, *, base_url: str | None = None) -> None:
        # The SDK writes whole requests to its log at level debug; prompts do not belong there.
        for library in ("anthropic", "httpx2", "httpcore2"):
            logging.getLogger(library).setLevel(logging.WARNING)
        self.key_print = key_print(key)
        self._client = AsyncAnthropic(
            api_key=key,
            base_url=base_url or _BASE_URL,
            max_retries=0,
            http_client=http_client(),
            open_telemetry=None if tracing.enabled() else False,
        )
        self._messages = f"{str(self._client.base_url).rstrip('/')}/v1/messages"
        self._left_out: dict[str, set[str]] = {}  # by model: parameters it has refused

    async def aclose(self) -> None:
        """Its connections are closed."""
        await self._client.close()

    async def look_up(self, model: str) -> None:
        """The provider takes the key and knows ``model``; costs nothing.

        Raises: KeyRefused, LLMRequestRefused, LLMUnavailable, RateLimited: as for an answer.
        """
        try:
            await self._client.models.retrieve(model)
        except anthropic.AnthropicError as error:
            raise _translated(error, model) from None
        except ValueError as error:
            raise _no_message(type(error).__name__) from None

    async def answer(self, request: LLMRequest, model: str, schema: Mapping[str, Any] | None) -> Answer:
        """See `reactor.llm.gateway.Provider`."""
        while True:
            given = _parameters(request, model, schema, self._left_out.get(model, frozenset()))
            try:
                # Not by ``messages.create``: its check of what goes out and its model of what comes back are most of the
                # work of a call, and are done again here.
                response = await self._client.post(
                    self._messages,
                    cast_to=Response,
                    body=given,
                    options={
                        "timeout": anthropic.Timeout(request.timeout_s, connect=_CONNECT_WITHIN_S),
                        "headers": (
                            {"Idempotency-Key": request.idempotency_key} if request.idempotency_key else {}
                        ),
                    },
                )
                message = json.loads(response.content)
            except anthropic.BadRequestError as error:
                refused = None if _is_without_credit(error) else self._refused_parameter(error, given)
                if refused is None:
                    raise _translated(error, model) from None
                self._left_out.setdefault(model, set()).add(refused)
                log.info("parameter_left_out", model=model, parameter=refused, reason=_said(error))
            except anthropic.AnthropicError as error:
                raise _translated(error, model) from None
            except (ValueError, RecursionError) as error:
                raise _no_message(type(error).__name__) from None
            else:
                return _read(message, model)

    def _refused_parameter(self, error: anthropic.BadRequestError, given: Mapping[str, Any]) -> str | None:
        """Which of the parameters the complaint is about, if one that can be left out."""
        said = _said(error)
        for word, parameter in _OPTIONAL.items():
            if word in said and _is_given(parameter, given):
                return parameter
        return None


def _parameters(
    request: LLMRequest, model: str, schema: Mapping[str, Any] | None, left_out: set[str] | frozenset[str]
) -> dict[str, Any]:
    """What is sent: only what the model takes, and nothing it has refused before."""
    takes = model_named(model)
    system = request.system
    messages = [{"role": message.role, "content": message.text} for message in request.messages]
    given: dict[str, Any] = {"model": model, "max_tokens": takes.output_tokens(request), "messages": messages}
    if request.temperature is not None:
        if takes.sampling and "temperature" not in left_out:
            given["temperature"] = request.temperature
        elif manner := _manner(request.temperature):
            system = f"{system}\n\n{manner}" if system else manner
    if (thinking := _thinking(request, takes)) and "thinking" not in left_out:
        given["thinking"] = thinking
    output: dict[str, Any] = {}
    if takes.thinks and not request.thinking:
        output["effort"] = "low"
    if schema is not None:
        if takes.schema and "output_config" not in left_out:
            output["format"] = {"type": "json_schema", "schema": _strict(json.dumps(schema))}
        else:
            messages[-1]["content"] += f"\n\n{_in_words(schema)}"
    if output and "output_config" not in left_out:
        given["output_config"] = output
    if system:
        given["system"] = _cached(system, takes) if "cache_control" not in left_out else system
    return given


@lru_cache(maxsize=64)
def _strict(schema: str) -> dict[str, Any]:
    """The schema, given as JSON, in the shape that the provider binds answers to; not to be changed."""
    return transform_schema(json.loads(schema))


def _is_given(parameter: str, given: Mapping[str, Any]) -> bool:
    return isinstance(given.get("system"), list) if parameter == "cache_control" else parameter in given


def _thinking(request: LLMRequest, takes: Model) -> dict[str, Any] | None:
    wanted = takes.thinking if request.thinking else takes.no_thinking
    return {"type": wanted} if wanted else None


def _manner(temperature: float) -> str | None:
    if temperature <= _DRY[0]:
        return _DRY[1]
    return _LOOSE[1] if temperature >= _LOOSE[0] else None


def _in_words(schema: Mapping[str, Any]) -> str:
    return (
        "Answer with one JSON object and nothing else, no fence around it. It has this JSON schema:\n"
        f"{json.dumps(schema, ensure_ascii=False)}"
    )


def _cached(system: str, takes: Model) -> str | list[dict[str, Any]]:
    """The system prompt, marked to be kept when it is long enough to be."""
    if not takes.cached_from or estimate_tokens(system) < takes.cached_from:
        return system
    return [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]


def _read(message: Any, model: str) -> Answer:
    """The answer in a message, of which nothing is taken for granted."""
    if not isinstance(message, dict) or not isinstance(blocks := message.get("content"), list):
        raise _no_message("no content")
    texts = [block.get("text") for block in blocks if isinstance(block, dict) and block.get("type") == "text"]
    text = "".join(part for part in texts if isinstance(part, str))
    answered_by = _line(found) if isinstance(found := message.get("model"), str) else model
    usage = _usage(message.get("usage"))
    stopped = message.get("stop_reason")
    if stopped == "refusal":
        return Answer(_refusal(message.get("stop_details")), answered_by, usage, "refusal")
    cut_short = stopped in ("max_tokens", "model_context_window_exceeded")
    return Answer(text, answered_by, usage, "max_tokens" if cut_short else "end")


def _usage(usage: Any) -> Usage | None:
    """The tokens it counts; None when it does not say how many went in and came out."""

    def counted(name: str) -> int | None:
        value = usage.get(name) if isinstance(usage, dict) else None
        return min(value, _MOST_TOKENS) if isinstance(value, int) and value >= 0 else None

    went_in, came_out = counted("input_tokens"), counted("output_tokens")
    if went_in is None or came_out is None:
        return None
    return Usage(
        input_tokens=went_in,
        output_tokens=came_out,
        cache_read_tokens=counted("cache_read_input_tokens") or 0,
        cache_write_tokens=counted("cache_creation_input_tokens") or 0,
    )


def _refusal(details: Any) -> str:
    parts = [details.get(part) for part in ("category", "explanation")] if isinstance(details, dict) else []
    why = ": ".join(_line(part) for part in parts if isinstance(part, str) and part)
    return f"the model declined to answer ({why})" if why else "the model declined to answer"


def _translated(error: anthropic.AnthropicError, model: str) -> ReactorError:
    """An error of ours for one of the SDK's."""
    if isinstance(error, anthropic.APITimeoutError):
        return LLMUnavailable("anthropic did not answer in time")
    if isinstance(error, anthropic.APIConnectionError):
        cause = error.__cause__
        named = type(cause).__name__ if cause is not None else "no connection"
        return LLMUnavailable(f"anthropic could not be reached, or hung up: {named}")
    if not isinstance(error, anthropic.APIStatusError):
        return _no_message(type(error).__name__)
    said = f"{error.status_code}: {_said(error)}"
    if _is_without_credit(error):
        return KeyRefused(f"key refused ({said})", _KEY_PAUSE_S)
    match error.status_code:
        case 401 | 402 | 403:
            return KeyRefused(f"key refused ({said})", _KEY_PAUSE_S)
        case 429:
            return RateLimited(
                f"anthropic asks for fewer calls ({said})", _retry_after(error.response.headers)
            )
        case 404:
            return LLMRequestRefused(f"anthropic knows no model {model[:100]!r} ({said})")
        case 408 | 409:
            return LLMUnavailable(f"anthropic failed ({said})", may_cost=False)
        case status if status >= 500 or status < 400:
            return LLMUnavailable(f"anthropic failed ({said})", may_cost=False)
    return LLMRequestRefused(f"anthropic refuses the request ({said})")


def _is_without_credit(error: anthropic.APIStatusError) -> bool:
    """Whether the account has nothing left to pay with: said with a 400, and yet no fault of the request."""
    return error.type == "billing_error" or (
        error.status_code == 400 and "credit balance" in _said(error).lower()
    )


def _no_message(what: str) -> LLMUnavailable:
    return LLMUnavailable(f"anthropic answered something that is no message ({what})")


def _said(error: anthropic.APIStatusError) -> str:
    """What the provider said, on one line of at most 300 characters; of a page, as a proxy answers with, its title."""
    said = error.api_message or error.message or "nothing"
    title = _TITLE.search(said)
    return _line(title[1] if title else said)


def _line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_SAID_CHARS]


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a ``retry-after`` header, a number or a date, between 0.1 and an hour; None without a readable one."""
    said = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,12}(\.\d+)?", said):
        seconds = float(said)
    else:
        try:
            seconds = parsedate_to_datetime(said).timestamp() - time()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.1), _LONGEST_PAUSE_S)
