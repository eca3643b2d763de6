"""Does a claimed step: payload, kind, agent, and what came back made an outcome."""

from collections.abc import Mapping
from inspect import isawaitable
from typing import Any, Final

import trio

from reactor.errors import NotNow, PayloadRefused, ReactorError
from reactor.handlers.context import Context
from reactor.handlers.kinds import StepKind
from reactor.handlers.leaving import held_back
from reactor.handlers.step import Step
from reactor.model.outcomes import Cancel, Done, Fail, GiveBack, Outcome, Snooze, of_outage
from reactor.model.templates import has_templates, resolve
from reactor.store.claimed import ClaimedStep

_OUTCOMES: Final = (Done, Snooze, Fail, Cancel, GiveBack)
_NOTHING: Final = Done()


class StepRunner:
    """Does claimed steps of the kinds in ``context.registry``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def perform(self, row: ClaimedStep) -> Outcome:
        """What became of the step: the outcome its kind returned, or the verdict on what stopped it.

        Errors of ours become an outcome; others are let through to the executor, which fails the attempt.
        Timeouts are the executor's.
        Cancellation: the handler is cancelled; a plain function's thread is left behind.
        """
        kind = self._context.registry.get(row.kind)
        if kind is None:
            return Fail(_unknown_kind(row.kind, self._context.registry.kinds()), retry=False)
        step = Step(row, self._context)
        try:
            if row.payload or kind.input_schema:
                await _prepare(step, kind)
            named = row.agent_id or self._context.default_agent
            if named is not None:
                await self._context.roster.find(named, self._context.pool)
            elif not self._context.roster.fresh:
                await self._context.roster.freshen(self._context.pool)
            if kind.external and (held := await held_back(step, kind)) is not None:
                return held
            answer = await (
                _in_thread(step, kind, self._context.threads) if kind.in_thread else kind.run(step)
            )
        except ReactorError as error:
            return verdict_on(error)
        outcome = _outcome(answer, kind)
        if step.simulated and isinstance(outcome, Done) and not outcome.simulated:
            return Done(outcome.result, simulated=True)
        return outcome


async def _prepare(step: Step, kind: StepKind) -> None:
    if not isinstance(step.payload, dict):
        raise PayloadRefused("the payload is nested deeper than can be read")
    if has_templates(step.payload):
        step.payload = resolve(
            step.payload, {earlier.seq: earlier.result for earlier in await step.earlier()}
        )
    if kind.input_schema:
        kind.check(step.payload)


async def _in_thread(step: Step, kind: StepKind, threads: trio.CapacityLimiter) -> Any:
    # In a tuple: trio would complain about a coroutine in words of its own.
    answer = await trio.to_thread.run_sync(
        lambda: (kind.run(step),), abandon_on_cancel=True, limiter=threads, thread_name=f"step {kind.kind}"
    )
    return answer[0]


def _outcome(answer: Any, kind: StepKind) -> Outcome:
    if isinstance(answer, _OUTCOMES):
        return answer
    if answer is None:
        return _NOTHING
    if isinstance(answer, Mapping):
        return Done(dict(answer))
    if isawaitable(answer) and hasattr(answer, "close"):
        answer.close()
    return Fail(
        f"kind {kind.kind} returned {type(answer).__name__}: return a mapping, nothing, or an outcome",
        retry=False,
    )


def verdict_on(error: ReactorError) -> Outcome:
    """What an error of ours means for the row: it waits, it goes back, it is tried again, or it has failed."""
    outage = of_outage(error)
    if outage is not None:
        return outage
    reason = " ".join(str(error).split())
    if isinstance(error, NotNow):
        return GiveBack(reason) if error.delay_s is None else Snooze(error.delay_s, reason)
    return Fail(reason, retry=error.transient)


def _unknown_kind(kind: str, known: list[str]) -> str:
    return f"unknown kind {kind!r}; this reactor knows {', '.join(known) or 'none'}"
