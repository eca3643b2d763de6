"""Doing one step of a mission."""

from collections.abc import Mapping
from inspect import isawaitable
from typing import Any, Final

import structlog
import trio

from reactor.errors import NotNow, PayloadRefused, ReactorError
from reactor.handlers.context import Context
from reactor.handlers.kinds import StepKind
from reactor.handlers.leaving import held_back
from reactor.llm.gateway import Gateway
from reactor.model.memory import Memory
from reactor.model.outcomes import Cancel, Done, Fail, GiveBack, Outcome, Snooze, of_outage
from reactor.model.people import TEAM, Agent, Company
from reactor.model.templates import has_templates, resolve
from reactor.store import memory as memory_store
from reactor.store import steps_read
from reactor.store.claimed import ClaimedStep
from reactor.store.steps_read import EarlierResult, MissionBrief

_OUTCOMES: Final = (Done, Snooze, Fail, Cancel, GiveBack)
_NOTHING: Final = Done()


class Step:
    """The work in hand. ``payload`` has its templates filled in; ``attempt`` counts from 1, this one included.

    ``idempotency_key`` is the same in every attempt: send it with whatever must not happen twice.
    """

    # Made once a row: what few handlers ask for is left to the class until then.
    preferred_agents: tuple[str, ...] = ()
    _earlier: list[EarlierResult] | None = None
    _memories: list[Memory] | None = None
    _mission: MissionBrief | None = None
    _reading: trio.Lock | None = None
    _log: Any = None

    def __init__(self, row: ClaimedStep, context: Context) -> None:
        self.payload: dict[str, Any] = row.payload
        self.simulated = row.simulated
        self._row = row
        self._context = context

    @property
    def id(self) -> int:
        """The step's row."""
        return self._row.id

    @property
    def mission_id(self) -> int | None:
        """Its mission; None for a single job."""
        return self._row.mission_id

    @property
    def seq(self) -> int:
        """Its place in the mission."""
        return self._row.seq

    @property
    def kind(self) -> str:
        """What is to be done."""
        return self._row.kind

    @property
    def agent_id(self) -> str | None:
        """The agent the row names."""
        return self._row.agent_id

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self._row.attempt

    @property
    def max_attempts(self) -> int:
        """How many there may be."""
        return self._row.max_attempts

    @property
    def idempotency_key(self) -> str:
        """The name of this work, whatever the attempt."""
        return f"step:{self.id}"

    @property
    def agent(self) -> Agent:
        """Whose work it is: the row's agent, else the reactor's default one, else whom it suits best."""
        named = self.agent_id or self._context.default_agent
        return self._context.roster.who_suits(*((named,) if named else ()), *self.preferred_agents)

    @property
    def company(self) -> Company:
        """Who it is done for."""
        return self._context.roster.company

    @property
    def gateway(self) -> Gateway:
        """The way to the LLM, metered and guarded."""
        return self._context.gateway

    @property
    def context(self) -> Context:
        """What the handlers of this process share."""
        return self._context

    @property
    def log(self) -> Any:
        """A logger that names the step. It must not be told prompts or payloads."""
        if self._log is None:
            self._log = structlog.get_logger().bind(
                queue="mission",
                id=self.id,
                mission_id=self.mission_id,
                kind=self.kind,
                agent=self.agent_id,
                attempt=self.attempt,
            )
        return self._log

    async def earlier(self) -> list[EarlierResult]:
        """The mission's steps that succeeded before this one, first to last; read once, on the first call.

        Once read, a simulated one among them makes this step's result simulated, too.
        Raises: DatabaseError: they could not be read; the next call tries again.
        """
        if self._earlier is None:
            await self._read_mission()
        assert self._earlier is not None
        return self._earlier

    async def mission(self) -> MissionBrief | None:
        """Title and description of the mission, None for a single job. Read together with `earlier`."""
        if self._earlier is None:
            await self._read_mission()
        return self._mission

    async def memories(self) -> list[Memory]:
        """What `agent` may bring into this mission of what it remembers: rolled once a mission, the same in all its steps.

        Nothing for a single job: that is no context.
        Raises: DatabaseError: it could not be read.
        """
        if self.mission_id is None or self.agent is TEAM:
            return []
        if self._memories is None:
            async with self._context.pool.connection() as conn:
                self._memories = await memory_store.influence(conn, self.agent.id, "mission", self.mission_id)
        return self._memories

    def earlier_from_thread(self) -> list[EarlierResult]:
        """`earlier` for a plain function in its worker thread."""
        return trio.from_thread.run(self.earlier)

    async def _read_mission(self) -> None:
        if self.mission_id is None:
            self._earlier = []
            return
        if self._reading is None:
            self._reading = trio.Lock()
        async with self._reading:
            if self._earlier is not None:
                return
            async with self._context.pool.connection() as conn:
                self._mission = await steps_read.mission_brief(conn, self.mission_id)
                earlier = await steps_read.earlier_results(conn, self.mission_id, self.seq, self.id)
            self.simulated = self.simulated or any(result.simulated for result in earlier)
            self._earlier = earlier


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
