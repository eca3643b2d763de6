"""What a handler of a step is given: the work in hand, and the way to whatever else it may want."""

from typing import Any

import structlog
import trio

from reactor.handlers.context import Context
from reactor.llm.gateway import Gateway
from reactor.model.memory import Memory
from reactor.model.people import TEAM, Agent, Company
from reactor.store import memory as memory_store
from reactor.store import steps_read
from reactor.store.claimed import ClaimedStep
from reactor.store.steps_read import EarlierResult, MissionBrief


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
