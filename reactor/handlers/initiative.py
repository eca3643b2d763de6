"""An agent asked to propose something of its own.

Who remembers too little has nothing to go by: the row is cancelled and says how much there is. Otherwise one call, over
what the agent remembers (by the influence rule), what happened of late and what became of its last proposals, and what it
answers goes through the same door as everybody's proposals. Nothing worth doing is an answer; so is a proposal that the
door turns down. The proposal carries the initiative's name, so an attempt that was interrupted after it is not paid twice.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reactor.errors import LLMReplyRefused, ReactorError
from reactor.handlers.context import Context
from reactor.handlers.ideas import Idea, idea_prompt, steps_of
from reactor.handlers.prompts import system_prompt
from reactor.handlers.runner import verdict_on
from reactor.llm.metering import estimate_tokens
from reactor.llm.request import LLMRequest, Material, Message, Said
from reactor.model.memory import Memory
from reactor.model.outcomes import Cancel, Done, Outcome
from reactor.model.people import Agent
from reactor.store import ideas as store
from reactor.store import memory as memory_store
from reactor.store.claimed import ClaimedInitiative, ClaimedRow
from reactor.store.ideas import KnownKind, MadeBefore, PastProposal, RecentEvent

TIMEOUT_S: Final = 120.0
SERVICE: Final = "anthropic"
PAST_PROPOSALS: Final = 10
RECENT_EVENTS: Final = 15
HEARTBEAT: Final = "heartbeat"  # how the reason of a row begins that no person asked for


@dataclass(frozen=True, slots=True)
class Desk:
    """What the agent has before it."""

    agent: Agent
    memories: Sequence[Memory]
    events: Sequence[RecentEvent]
    proposals: Sequence[PastProposal]
    kinds: Sequence[KnownKind]


class InitiativeWork:
    """The initiative queue's handler, as the engine sees it."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def kinds(self, closed_services: Collection[str]) -> Sequence[str]:
        """One kind, none while the model cannot be asked."""
        return () if SERVICE in closed_services else ("initiative",)

    def timeout_s(self, row: ClaimedRow) -> float:
        """Long enough for one call and its repair."""
        return TIMEOUT_S

    async def perform(self, row: ClaimedRow) -> Outcome:
        """Ask the agent, and put what it wants to the door.

        Done: ``proposal_id`` and what became of it, or ``nothing``; both with the ``reason`` and ``memory_influenced``.
        Cancel: the agent remembers too little. Cancellation: nothing happened, or the proposal stands and is found again.
        """
        assert isinstance(row, ClaimedInitiative)
        try:
            return await self._perform(row)
        except ReactorError as error:
            return verdict_on(error)

    async def _perform(self, row: ClaimedInitiative) -> Outcome:
        pool = self._context.pool
        async with pool.connection() as conn:
            before = await store.made_before(conn, row.id, _key(row))
            readiness = await store.readiness(conn, row.agent_id)
        if before is not None:
            return _found_again(before)
        agent = await self._context.roster.find(row.agent_id, pool)
        if readiness is not None and readiness.ready < readiness.needed:
            return Cancel(
                f"{agent.id} has {readiness.ready} {'memory' if readiness.ready == 1 else 'memories'}"
                f" of confidence {readiness.min_confidence:g} or more,"
                f" {readiness.needed} are needed"
            )
        desk = await self._desk(row, agent)
        request = self._request(row, desk)
        idea, reply = await self._context.gateway.structured(request, Idea)
        influenced = bool(desk.memories)
        if idea.nothing:
            told = {"nothing": True, "reason": idea.reason, "memory_influenced": influenced}
            return Done(told, simulated=reply.simulated)
        return await self._propose(row, desk, idea, simulated=reply.simulated)

    async def _desk(self, row: ClaimedInitiative, agent: Agent) -> Desk:
        async with self._context.pool.connection() as conn:
            return Desk(
                agent,
                await memory_store.influence(conn, agent.id, "initiative", row.id),
                await store.recent_events(conn, RECENT_EVENTS),
                await store.past_proposals(conn, agent.id, PAST_PROPOSALS),
                await store.kinds(conn),
            )

    def _request(self, row: ClaimedInitiative, desk: Desk) -> LLMRequest:
        roster, agent = self._context.roster, desk.agent
        system = system_prompt(roster.company, agent)
        prompt = idea_prompt(
            row.trigger_reason,
            memories=desk.memories,
            events=desk.events,
            proposals=desk.proposals,
            kinds=desk.kinds,
            room_tokens=roster.limits.input_tokens - estimate_tokens(system),
        )
        goals = roster.company.goals
        return LLMRequest(
            purpose="initiative",
            system=system,
            messages=(Message("user", prompt),),
            material=Material(
                company=roster.company,
                agent=agent,
                topic=goals[row.id % len(goals)] if goals else f"what {roster.company.called} should do next",
                earlier=tuple(Said(agent.id, memory.content) for memory in desk.memories),
            ),
            max_tokens=roster.limits.answer_tokens("initiative"),
            timeout_s=roster.limits.timeout_s,
            model=agent.model,
            agent_id=agent.id,
            idempotency_key=_key(row),
            by_human=not (row.trigger_reason or "").startswith(HEARTBEAT),
        )

    async def _propose(self, row: ClaimedInitiative, desk: Desk, idea: Idea, *, simulated: bool) -> Done:
        known = {kind.kind for kind in desk.kinds}
        if unknown := sorted({step.kind for step in idea.steps} - known):
            raise LLMReplyRefused(f"the idea wants steps of the unknown kind {unknown[0]!r}")
        if not idea.title or not idea.steps:
            raise LLMReplyRefused("the idea has no title, or no steps")
        async with self._context.pool.connection() as conn:
            made = await store.propose(
                conn,
                row.agent_id,
                idea.title,
                json.dumps(steps_of(idea), ensure_ascii=False),
                description="\n\n".join(filter(None, (idea.description, idea.reason))),
                key=_key(row),
                simulated=simulated or any(memory.simulated for memory in desk.memories),
            )
        told: dict[str, Any] = {
            "proposal_id": made.proposal_id,
            "status": made.status,
            "mission_id": made.mission_id,
            "rejection_reason": made.rejection_reason,
            "title": idea.title,
            "reason": idea.reason,
            "memory_influenced": bool(desk.memories),
        }
        return Done({key: value for key, value in told.items() if value is not None}, simulated=simulated)


def _key(row: ClaimedInitiative) -> str:
    return f"initiative:{row.id}"


def _found_again(before: MadeBefore) -> Done:
    told: dict[str, Any] = {
        "proposal_id": before.proposal_id,
        "status": before.status,
        "mission_id": before.mission_id,
        "rejection_reason": before.rejection_reason,
        "title": before.title,
        "memory_influenced": before.influenced,
    }
    return Done({key: value for key, value in told.items() if value is not None}, simulated=before.simulated)
