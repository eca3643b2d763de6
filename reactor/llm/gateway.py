"""The one metered door to a language model."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final, Protocol, TypeVar

import structlog
import trio
from pydantic import BaseModel, ValidationError

from reactor import tracing
from reactor.errors import (
    AnswerMisshapen,
    CallsPaused,
    CallsQueued,
    DatabaseError,
    KeyRefused,
    LLMReplyRefused,
    LLMRequestRefused,
    LLMUnavailable,
    NotNow,
    RateLimited,
    ReactorError,
    ServiceClosed,
)
from reactor.llm.limits import Limits
from reactor.llm.metering import (
    DEFAULT_MODEL,
    PRICES,
    Meter,
    Price,
    Reservation,
    Settlement,
    Tally,
    estimate_input,
    is_priced,
    price_of,
)
from reactor.llm.models import model_named
from reactor.llm.request import Answer, LLMReply, LLMRequest, Message, Usage

S = TypeVar("S", bound=BaseModel)

# Longer than this nobody waits for a free place; the work goes back and comes again.
_PLACE_WITHIN_S: Final = 30.0
_TRY_AGAIN_IN_S: Final = 5.0
# While waiting for others' calls to make room it is asked again at least this often: clocks differ, calls end early.
_ASK_AGAIN_IN_S: Final = 1.0

# What is owed after an answer (the books, the breaker) is done even when the caller is cancelled, within this time.
_AFTERWARDS_S: Final = 2.0

_NOTHING: Final = Usage()

_REPAIR: Final = "That was not the JSON asked for: {problem}. Answer again, with the corrected JSON object and nothing else."


class Provider(Protocol):
    """Somebody who answers.

    Raises only errors of ours: RateLimited, KeyRefused, LLMUnavailable, LLMRequestRefused, LLMReplyRefused.
    """

    @property
    def name(self) -> str:
        """What it is called in replies and the ledger."""

    @property
    def service(self) -> str:
        """Whose breaker guards it."""

    @property
    def simulated(self) -> bool:
        """Whether its answers are made up and free."""

    async def answer(self, request: LLMRequest, model: str, schema: Mapping[str, Any] | None) -> Answer:
        """The model's answer; with ``schema`` a JSON object of that shape. Cancellation: the call is dropped."""


class Guard(Protocol):
    """Says whether a service may be called, and hears how it went."""

    async def allow(self, service: str) -> bool:
        """Whether a call may go ahead now; a true answer may be a permit that wants a report. Raises: CallsPaused."""

    async def record(self, service: str, success: bool) -> None:
        """The call went well, or it did not."""


class Gateway:
    """Every call of this process goes through here: guarded, limited, metered, its answer's shape checked."""

    def __init__(
        self,
        provider: Provider,
        guard: Guard,
        *,
        meter: Meter | None = None,
        limits: Callable[[], Limits] = Limits,
        default_model: str = DEFAULT_MODEL,
        prices: Callable[[], Mapping[str, Price]] = lambda: PRICES,
    ) -> None:
        self.provider = provider
        self.meter: Meter = meter or Tally()
        self.default_model = default_model
        self._guard = guard
        self._limits = limits
        self._prices = prices
        self._places = trio.CapacityLimiter(limits().concurrency)
        self._held: str | None = None
        self._waiting: set[trio.CancelScope] = set()

    @property
    def simulated(self) -> bool:
        """Whether its answers are made up."""
        return self.provider.simulated

    def hold(self, reason: str) -> None:
        """No call begins from now on; waiting for a place is over at once, what is under way goes on."""
        self._held = reason
        for waiting in self._waiting:
            waiting.cancel()

    def release(self) -> None:
        """Calls may begin again."""
        self._held = None

    async def complete(self, request: LLMRequest) -> LLMReply:
        """The answer in plain text.

        Raises: NotNow (ServiceClosed, CallsPaused, RateLimited, KeyRefused): nothing was spent, try later.
            LLMUnavailable: the provider failed. LLMRequestRefused, LLMReplyRefused: it would not.
        Cancellation: the call is dropped and settled; the breaker hears nothing.
        """
        return await self._call(request, None)

    async def structured(self, request: LLMRequest, shape: type[S]) -> tuple[S, LLMReply]:
        """The answer as a ``shape``, and the reply it was in. An answer of another shape is asked to be mended, once.

        Raises: as `complete`; AnswerMisshapen: the second answer has not the shape either.
        """
        schema = _schema_of(shape)
        reply = await self._call(request, schema)
        try:
            return _parsed(reply, shape), reply
        except _WrongShapeError as wrong:
            again = replace(
                request,
                messages=(
                    *request.messages,
                    Message("assistant", reply.text.strip() or "(nothing)"),
                    Message("user", _REPAIR.format(problem=wrong)),
                ),
                # Another question: whoever remembers the first one's key must not repeat the first answer.
                idempotency_key=request.idempotency_key and f"{request.idempotency_key}:mended",
            )
        reply = await self._call(again, schema)
        try:
            return _parsed(reply, shape), reply
        except _WrongShapeError as wrong:
            problem = f"the answer has not the shape of {shape.__name__}: {wrong}"
            raise AnswerMisshapen(problem, reply.text, simulated=reply.simulated) from None

    async def _call(self, request: LLMRequest, schema: Mapping[str, Any] | None) -> LLMReply:
        limits = self._limits()
        if self._places.total_tokens != limits.concurrency:
            self._places.total_tokens = limits.concurrency
        self._check_hold()
        place = object()
        with trio.move_on_after(_PLACE_WITHIN_S) as waiting, self._until_held(waiting):
            await self._places.acquire_on_behalf_of(place)
        if waiting.cancelled_caught:
            self._check_hold()
            raise NotNow(f"all {self._places.total_tokens:g} places for LLM calls are busy", _TRY_AGAIN_IN_S)
        try:
            self._check_hold()
            return await self._spanned(request, schema)
        finally:
            self._places.release_on_behalf_of(place)

    async def _spanned(self, request: LLMRequest, schema: Mapping[str, Any] | None) -> LLMReply:
        model = request.model or self.default_model
        with tracing.model_call(
            model, request.purpose, provider=self.provider.name, most_tokens=request.max_tokens
        ) as span:
            reply = await self._metered(request, schema)
            tracing.answered(
                span,
                reply.model,
                input_tokens=reply.usage.input_tokens,
                output_tokens=reply.usage.output_tokens,
                cost_usd=reply.cost_usd,
                simulated=reply.simulated,
            )
        return reply

    def _check_hold(self) -> None:
        if self._held is not None:
            raise CallsPaused(self._held)

    async def _metered(self, request: LLMRequest, schema: Mapping[str, Any] | None) -> LLMReply:
        model = request.model or self.default_model
        prices = self._prices()
        most = price_of(model, prices).at_most(
            estimate_input(request, schema), model_named(model).output_tokens(request)
        )
        reservation = Reservation(
            request, model, 0.0 if self.simulated else most, unpriced=not is_priced(model, prices)
        )
        await self._reserve(reservation)
        # Until it is known what the call used, it used what was reserved.
        ending = _Ending("cancelled", made=False)
        began = trio.current_time()
        try:
            await self._check_service()
            ending = _Ending("cancelled", cost_usd=reservation.most_usd, would_cost_usd=most)
            answer = await self._guarded(request, model, schema)
            cost = price_of(answer.model, prices).of(answer.usage) if answer.usage else most
            ending = _Ending(
                "LLMReplyRefused" if answer.stopped == "refusal" else "ok",
                answer.usage or _NOTHING,
                0.0 if self.simulated else cost,
                cost,
                model=answer.model,
            )
        except KeyRefused as error:
            ending = ending.after(error)
            # Without a time of its own: with another key the row is due at once.
            raise KeyRefused(str(error)) from None
        except ReactorError as error:
            ending = ending.after(error)
            raise
        finally:
            latency_s = trio.current_time() - began
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _AFTERWARDS_S):
                await self.meter.settle(reservation, ending.settled(self.simulated, latency_s))
        if answer.stopped == "refusal":
            raise LLMReplyRefused(answer.text)
        return LLMReply(
            text=answer.text,
            model=answer.model,
            provider=self.provider.name,
            simulated=self.simulated,
            usage=ending.usage,
            cost_usd=ending.cost_usd,
            would_cost_usd=ending.would_cost_usd,
            latency_s=latency_s,
            stopped=answer.stopped,
        )

    async def _reserve(self, reservation: Reservation) -> None:
        """The amount is set aside; where there is room soon, that is waited for."""
        give_up_at = trio.current_time() + _PLACE_WITHIN_S
        while True:
            try:
                await self.meter.reserve(reservation)
                return
            except CallsQueued as queued:
                pause_s = min(queued.delay_s or _ASK_AGAIN_IN_S, _ASK_AGAIN_IN_S)
                if trio.current_time() + pause_s > give_up_at:
                    # Without a time of its own: the row is due when the service takes calls again.
                    raise NotNow(str(queued)) from None
            with trio.move_on_after(pause_s) as waiting, self._until_held(waiting):
                await trio.sleep_forever()
            self._check_hold()

    @contextmanager
    def _until_held(self, waiting: trio.CancelScope) -> Iterator[None]:
        """A hold ends this wait."""
        self._waiting.add(waiting)
        try:
            yield
        finally:
            self._waiting.discard(waiting)

    async def _check_service(self) -> None:
        if not await self._guard.allow(self.provider.service):
            raise ServiceClosed(self.provider.service)
        self._check_hold()

    async def _guarded(self, request: LLMRequest, model: str, schema: Mapping[str, Any] | None) -> Answer:
        service = self.provider.service
        try:
            with trio.move_on_after(request.timeout_s) as calling:
                answer = await self.provider.answer(request, model, schema)
            if calling.cancelled_caught:
                raise LLMUnavailable(f"{self.provider.name} did not answer within {request.timeout_s:g} s")
        except LLMUnavailable:
            await self._report(service, success=False)
            raise
        except (LLMRequestRefused, LLMReplyRefused):
            # It answered, if not to our liking: the service is well.
            await self._report(service, success=True)
            raise
        await self._report(service, success=True)
        return answer

    async def _report(self, service: str, *, success: bool) -> None:
        """The breaker has heard it, or a warning says that it could not: an answer paid for is not thrown away."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _AFTERWARDS_S):
            try:
                await self._guard.record(service, success)
            except DatabaseError as error:
                structlog.get_logger().warning("breaker_not_told", service=service, reason=str(error))


@dataclass(frozen=True, slots=True)
class _Ending:
    outcome: str
    usage: Usage = _NOTHING
    cost_usd: float = 0.0
    would_cost_usd: float = 0.0
    made: bool = True
    model: str | None = None
    pause: str | None = None
    pause_s: float | None = None

    def after(self, error: ReactorError) -> "_Ending":
        """What it is when the call ended in ``error``: what may have been charged stays as reserved, all else is free."""
        free = not self.made or isinstance(error, NotNow | DatabaseError | LLMRequestRefused)
        if free or (isinstance(error, LLMUnavailable) and not error.may_cost):
            ending = _Ending(type(error).__name__, made=self.made)
            if isinstance(error, RateLimited):
                return replace(ending, pause="rate_limited", pause_s=error.delay_s)
            if isinstance(error, KeyRefused):
                return replace(ending, pause="key_refused", pause_s=error.delay_s)
            return ending
        return replace(self, outcome=type(error).__name__)

    def settled(self, simulated: bool, latency_s: float) -> Settlement:
        return Settlement(
            self.outcome,
            simulated,
            self.usage,
            self.cost_usd,
            self.would_cost_usd,
            latency_s,
            self.made,
            self.model,
            self.pause,
            self.pause_s,
        )


@cache
def _schema_of(shape: type[BaseModel]) -> Mapping[str, Any]:
    """The JSON schema of ``shape``, worked out once; not to be changed."""
    return shape.model_json_schema()


class _WrongShapeError(Exception):
    """An answer that is not what was asked for; the message says how."""


def _parsed(reply: LLMReply, shape: type[S]) -> S:
    text = reply.text.strip()
    if reply.stopped == "max_tokens":
        raise _WrongShapeError("it was cut short; be briefer")
    if not text:
        raise _WrongShapeError("it was empty")
    if text.startswith("```"):
        text = text.strip("`").removeprefix("json").strip()
    try:
        return shape.model_validate_json(text)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, problem['loc'])) or 'the answer'}: {problem['msg']}"
            for problem in error.errors()[:5]
        ]
        raise _WrongShapeError("; ".join(problems)) from None
