"""What the handlers of one process share: the pool, the gateway, the kinds, and who works here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import trio

from reactor.errors import UnknownAgent
from reactor.handlers.kinds import KindRegistry
from reactor.llm.gateway import Gateway
from reactor.llm.limits import Limits
from reactor.llm.metering import PRICES, Price, prices_of
from reactor.model.people import TEAM, Agent, Company
from reactor.pg import Connection, Pool
from reactor.store import agents as store

# Plain functions a process runs at once; one that hangs past its timeout keeps its place until it returns.
THREADS = 40

# An agent not found is looked for again, but the table is read at most this often for it.
_LOOK_AGAIN_AFTER_S = 1.0


class Roster:
    """The company, the agents, the LLM limits and prices as last read; read again after `invalidate`."""

    def __init__(
        self,
        agents: Iterable[Agent] | None = None,
        company: Company | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.agents: Mapping[str, Agent] = MappingProxyType({agent.id: agent for agent in agents or ()})
        self.company = company or Company()
        self.limits = limits or Limits()
        self.prices: Mapping[str, Price] = PRICES
        self.stale = agents is None
        self._read_at = float("-inf")
        self._being_read: trio.Event | None = None

    @property
    def fresh(self) -> bool:
        """Whether what is here may be used: it is not stale, and nobody is reading it right now."""
        return not self.stale and self._being_read is None

    def invalidate(self) -> None:
        """Whoever asks next gets it read anew. Cheap, and safe to call at any time."""
        self.stale = True

    async def refresh(self, conn: Connection) -> None:
        """Agents, company, limits and prices are as ``conn`` sees them now."""
        # Cleared before the look: a change that arrives during it makes us look once more.
        self.stale = False
        try:
            agents = await store.roster(conn)
            policies = await store.policies(conn, ["company", "llm_limits", "llm_prices"])
        except BaseException:
            self.stale = True
            raise
        self.agents = MappingProxyType({agent.id: agent for agent in agents})
        self.company = Company.from_policy(policies.get("company"))
        self.limits = Limits.from_policy(policies.get("llm_limits"))
        self.prices = prices_of(policies.get("llm_prices"))
        self._read_at = trio.current_time()

    async def freshen(self, pool: Pool) -> None:
        """It is read anew if it was stale; of many who ask at once one reads, and the others wait for what it finds."""
        # No lock: it would be handed from one who waited to the next, and every row that came meanwhile would queue too.
        while self._being_read is not None:
            await self._being_read.wait()
        if not self.stale:
            return
        read = self._being_read = trio.Event()
        try:
            async with pool.connection() as conn:
                await self.refresh(conn)
        finally:
            self._being_read = None
            read.set()

    async def find(self, agent_id: str, pool: Pool) -> Agent:
        """The active agent of that id; the table is looked at again before an unknown or inactive one is refused.

        Raises: UnknownAgent: names the active ones.
        """
        await self.freshen(pool)
        agent = self.agents.get(agent_id)
        if (agent is None or not agent.active) and trio.current_time() - self._read_at > _LOOK_AGAIN_AFTER_S:
            self.stale = True
            await self.freshen(pool)
            agent = self.agents.get(agent_id)
        known = ", ".join(self.active()) or "none"
        if agent is None:
            raise UnknownAgent(f"unknown agent {agent_id[:100]!r}; active are {known}")
        if not agent.active:
            raise UnknownAgent(f"agent {agent_id!r} is not active; active are {known}")
        return agent

    def active(self) -> list[str]:
        """The ids of the active agents, sorted."""
        return sorted(agent.id for agent in self.agents.values() if agent.active)

    def who_suits(self, *preferred: str) -> Agent:
        """The first of ``preferred`` who is active, else the first active one by id, else the team as such."""
        for agent_id in (*preferred, *self.active()):
            agent = self.agents.get(agent_id)
            if agent is not None and agent.active:
                return agent
        return TEAM


@dataclass(slots=True)
class Context:
    """Handed to every handler's runner; one a process. ``default_agent``: who does what nobody is named for."""

    pool: Pool
    gateway: Gateway
    registry: KindRegistry
    roster: Roster
    default_agent: str | None = None
    threads: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(THREADS))
