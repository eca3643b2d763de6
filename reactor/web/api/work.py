"""Missions, steps, initiatives: given, looked at, released, brought back, called off."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from pydantic import Field, StringConstraints

from reactor.handlers.held import request_of
from reactor.model.queues import Thing, What
from reactor.pg import Connection
from reactor.store import agents, control, enqueue, kinds, lists, outcomes, proposals, show
from reactor.store.proposals import MissionLine, ProposalRow
from reactor.store.show import InitiativeRow, StepRow
from reactor.web.api.operation import (
    BY,
    Asked,
    Asking,
    Changed,
    Document,
    Id,
    Listed,
    Made,
    Name,
    Page,
    PageQuery,
    Reply,
    Text,
    Topic,
    Words,
)
from reactor.web.api.paging import page_by_id
from reactor.web.api.serve import PREFIX
from reactor.web.problems import FieldError, Refused

TOPIC = Topic("work")
Status = Literal["waiting", "queued", "running", "succeeded", "failed", "cancelled"]
Priority = Annotated[int, Field(ge=1, le=10)]
Delay = Annotated[float, Field(ge=0, le=31_536_000)]
Who = Annotated[Words, StringConstraints(max_length=200)]


class Decided(Asked):
    """Who decides."""

    by: Who = BY


class Rejected(Decided):
    """Who says no, and why: the reason becomes a lesson of the proposer."""

    reason: Words


class Released(Decided):
    """Who lets it go, perhaps with another payload."""

    payload: Document | None = None


class StepIn(Asked):
    """A step of something larger."""

    kind: Name
    payload: Document = Field(default_factory=dict)
    agent_id: Name | None = None
    max_attempts: Annotated[int, Field(ge=1, le=100)] | None = None
    priority: Priority | None = None


class NewStep(Asked):
    """A step of its own."""

    kind: Name
    payload: Document = Field(default_factory=dict)
    agent_id: Name | None = None
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    priority: Priority = 5
    delay_s: Delay = 0.0


class NewMission(Asked):
    """Steps that run one after another."""

    title: Annotated[Words, StringConstraints(max_length=500)]
    steps: Annotated[list[StepIn], Field(min_length=1, max_length=1000)]
    created_by: Who = BY
    priority: Priority = 5


class NewProposal(Asked):
    """Work put before the gates."""

    agent_id: Name
    title: Annotated[Words, StringConstraints(max_length=500)]
    steps: Annotated[list[StepIn], Field(min_length=1, max_length=20)]
    description: Text | None = None
    dedupe_key: Annotated[Words, StringConstraints(max_length=500)] | None = None


class NewInitiative(Asked):
    """An agent asked to propose something."""

    agent_id: Name
    reason: Annotated[Text, StringConstraints(max_length=2000)] | None = None
    priority: Priority = 5
    delay_s: Delay = 0.0


class Outcome(Asked):
    """What became of finished work out there, as a figure."""

    metric: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,62}$")]
    value: Annotated[float, Field(allow_inf_nan=False)]


class ProposalQuery(PageQuery):
    """Which proposals."""

    status: Literal["pending", "accepted", "rejected"] | None = None
    agent: Name | None = None


class MissionQuery(PageQuery):
    """Which missions; active: those under way."""

    status: Literal["active", "approved", "running", "succeeded", "failed", "cancelled"] | None = None


class StepQuery(PageQuery):
    """Which steps; held: those that wait for a person's word."""

    status: Status | None = None
    kind: Name | None = None
    mission: Id | None = None
    held: Literal["true", "false"] = "false"


class QueueQuery(PageQuery):
    """Which rows of a queue."""

    status: Status | None = None


class MissionOut(NamedTuple):
    """A mission whole, with its steps in the order in which they run."""

    id: int
    title: str
    description: str | None
    status: str
    priority: int
    created_by: str | None
    proposal_id: int | None
    failure_reason: str | None
    started_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    steps: list[StepRow]


class StepOut(NamedTuple):
    """A step whole. ``request``: of a held one, the payload as it will be sent, or why it cannot be."""

    id: int
    status: str
    priority: int
    run_at: datetime
    attempt: int
    max_attempts: int
    crashes: int
    simulated: bool
    claimed_by: UUID | None
    started_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    failure_reason: str | None
    result: Any
    mission_id: int | None
    seq: int
    kind: str
    agent_id: str | None
    hold: str | None
    ended_by: int | None
    payload: dict[str, Any]
    request: Any


def nothing(what: str, id: int) -> Refused:
    """There is no such thing."""
    return Refused(404, f"there is no {what} {id}")


async def known_agent(conn: Connection, agent: str | None, field: str = "agent_id") -> None:
    """Returns when an active agent of that id works here, or none is named. Raises Refused."""
    active = [one.id for one in await agents.roster(conn) if one.active]
    if agent is not None and agent not in active:
        told = f"unknown agent {agent[:60]!r}; known are {', '.join(active) or 'none'}"
        raise Refused(422, told, [FieldError(field, told)])


async def brought_back(conn: Connection, what: What, id: int) -> Changed:
    """Failed or cancelled work is due again."""
    return await _changed(conn, what, id, await control.retry(conn, what, id))


async def called_off(conn: Connection, what: Thing, id: int) -> Changed:
    """Work that has not ended is cancelled, a pending proposal rejected."""
    return await _changed(conn, what, id, await control.cancel(conn, what, id))


async def _changed(conn: Connection, what: Thing, id: int, changed: bool) -> Changed:
    if what == "proposal":
        proposal = await proposals.proposal(conn, id)
        return Changed(changed, proposal.status if proposal else "gone")
    found = await show.state(conn, what, id)
    return Changed(changed, found.status if found else "gone")


def _steps(steps: list[StepIn]) -> str:
    return json.dumps([one.model_dump(exclude_none=True) for one in steps])


def made(path: str, id: int) -> Reply:
    """It was made, and can be looked at there."""
    return Reply(Made(id), {"location": f"{PREFIX}/{path}/{id}"})


@TOPIC.get("/proposals", "Proposals, the newest first", Listed(ProposalRow), query=ProposalQuery)
async def list_proposals(conn: Connection, asking: Asking) -> Page:
    query: ProposalQuery = asking.query

    async def read(limit: int, after: int | None) -> list[ProposalRow]:
        return await lists.proposals(conn, limit, after, status=query.status, agent=query.agent)

    return await page_by_id(query, read)


@TOPIC.post("/proposals", "Put work before the gates", ProposalRow, body=NewProposal, status=201)
async def propose(conn: Connection, asking: Asking) -> Reply:
    asked: NewProposal = asking.body
    verdict = await proposals.propose(
        conn,
        asked.agent_id,
        asked.title,
        _steps(asked.steps),
        source="human",
        description=asked.description,
        dedupe_key=asked.dedupe_key,
    )
    found = await proposals.proposal(conn, verdict.proposal_id)
    return Reply(found, {"location": f"{PREFIX}/proposals/{verdict.proposal_id}"})


@TOPIC.get("/proposals/{id}", "One proposal", ProposalRow)
async def get_proposal(conn: Connection, asking: Asking) -> ProposalRow:
    found = await proposals.proposal(conn, asking.id)
    if found is None:
        raise nothing("proposal", asking.id)
    return found


@TOPIC.post("/proposals/{id}/approve", "Say yes", ProposalRow, body=Decided, body_needed=False)
async def approve(conn: Connection, asking: Asking) -> ProposalRow:
    await proposals.approve(conn, asking.id, asking.body.by)
    return await get_proposal(conn, asking)


@TOPIC.post("/proposals/{id}/reject", "Say no, and why", ProposalRow, body=Rejected)
async def reject(conn: Connection, asking: Asking) -> ProposalRow:
    await proposals.reject(conn, asking.id, asking.body.by, asking.body.reason)
    return await get_proposal(conn, asking)


@TOPIC.post("/proposals/{id}/cancel", "Withdraw a pending proposal", Changed)
async def cancel_proposal(conn: Connection, asking: Asking) -> Changed:
    return await called_off(conn, "proposal", asking.id)


@TOPIC.get("/missions", "Missions, the newest first", Listed(MissionLine), query=MissionQuery)
async def list_missions(conn: Connection, asking: Asking) -> Page:
    query: MissionQuery = asking.query

    async def read(limit: int, after: int | None) -> list[MissionLine]:
        return await lists.missions(conn, limit, after, status=query.status)

    return await page_by_id(query, read)


@TOPIC.post("/missions", "Queue a mission", Made, body=NewMission, status=201)
async def add_mission(conn: Connection, asking: Asking) -> Reply:
    asked: NewMission = asking.body
    id = await enqueue.mission(
        conn, asked.title, _steps(asked.steps), created_by=asked.created_by, priority=asked.priority
    )
    return made("missions", id)


@TOPIC.get("/missions/{id}", "One mission with its steps", MissionOut)
async def get_mission(conn: Connection, asking: Asking) -> MissionOut:
    found = await show.mission(conn, asking.id)
    if found is None:
        raise nothing("mission", asking.id)
    return MissionOut(*found, steps=await show.steps_of_mission(conn, asking.id))


@TOPIC.post("/missions/{id}/retry", "Bring a mission back", Changed)
async def retry_mission(conn: Connection, asking: Asking) -> Changed:
    return await brought_back(conn, "mission", asking.id)


@TOPIC.post("/missions/{id}/cancel", "Call a mission off", Changed)
async def cancel_mission(conn: Connection, asking: Asking) -> Changed:
    return await called_off(conn, "mission", asking.id)


@TOPIC.get("/steps", "Steps, the newest first", Listed(StepRow), query=StepQuery)
async def list_steps(conn: Connection, asking: Asking) -> Page:
    query: StepQuery = asking.query

    async def read(limit: int, after: int | None) -> list[StepRow]:
        return await lists.steps(
            conn,
            limit,
            after,
            status=query.status,
            kind=query.kind,
            mission=query.mission,
            held=query.held == "true",
        )

    return await page_by_id(query, read)


@TOPIC.post("/steps", "Queue a step of its own", Made, body=NewStep, status=201)
async def add_step(conn: Connection, asking: Asking) -> Reply:
    asked: NewStep = asking.body
    known = await kinds.known(conn)
    if asked.kind not in known:
        told = f"unknown kind {asked.kind[:60]!r}; known are {', '.join(known) or 'none'}"
        raise Refused(422, told, [FieldError("kind", told)])
    await known_agent(conn, asked.agent_id)
    id = await enqueue.step(
        conn,
        asked.kind,
        json.dumps(asked.payload),
        agent=asked.agent_id,
        priority=asked.priority,
        max_attempts=asked.max_attempts,
        delay_s=asked.delay_s,
    )
    return made("steps", id)


@TOPIC.get("/steps/{id}", "One step", StepOut)
async def get_step(conn: Connection, asking: Asking) -> StepOut:
    found = await show.step(conn, asking.id)
    if found is None:
        raise nothing("step", asking.id)
    return StepOut(*found, request=await request_of(conn, found))


@TOPIC.post("/steps/{id}/release", "Let a held step go", StepOut, body=Released, body_needed=False)
async def release(conn: Connection, asking: Asking) -> StepOut:
    asked: Released = asking.body
    payload = None if asked.payload is None else json.dumps(asked.payload)
    await proposals.release(conn, asking.id, asked.by, payload)
    return await get_step(conn, asking)


@TOPIC.post("/steps/{id}/reject", "Do not let a held step go, and why", StepOut, body=Rejected)
async def reject_step(conn: Connection, asking: Asking) -> StepOut:
    await proposals.reject_step(conn, asking.id, asking.body.by, asking.body.reason)
    return await get_step(conn, asking)


@TOPIC.post("/steps/{id}/retry", "Bring a step back", Changed)
async def retry_step(conn: Connection, asking: Asking) -> Changed:
    return await brought_back(conn, "step", asking.id)


@TOPIC.post("/steps/{id}/cancel", "Call a step off", Changed)
async def cancel_step(conn: Connection, asking: Asking) -> Changed:
    return await called_off(conn, "step", asking.id)


@TOPIC.post("/steps/{id}/outcome", "Say what became of a finished step", Changed, body=Outcome)
async def record_outcome(conn: Connection, asking: Asking) -> Changed:
    asked: Outcome = asking.body
    await outcomes.record(conn, asking.id, asked.metric, asked.value)
    return await _changed(conn, "step", asking.id, True)


@TOPIC.get("/initiative", "Initiatives, the newest first", Listed(InitiativeRow), query=QueueQuery)
async def list_initiatives(conn: Connection, asking: Asking) -> Page:
    query: QueueQuery = asking.query

    async def read(limit: int, after: int | None) -> list[InitiativeRow]:
        return await lists.initiatives(conn, limit, after, status=query.status)

    return await page_by_id(query, read)


@TOPIC.post("/initiative", "Ask an agent to propose something", Made, body=NewInitiative, status=201)
async def add_initiative(conn: Connection, asking: Asking) -> Reply:
    asked: NewInitiative = asking.body
    await known_agent(conn, asked.agent_id)
    id = await enqueue.initiative(
        conn, asked.agent_id, reason=asked.reason, priority=asked.priority, delay_s=asked.delay_s
    )
    return made("initiative", id)


@TOPIC.get("/initiative/{id}", "One initiative", InitiativeRow)
async def get_initiative(conn: Connection, asking: Asking) -> InitiativeRow:
    found = await show.initiative(conn, asking.id)
    if found is None:
        raise nothing("initiative", asking.id)
    return found


@TOPIC.post("/initiative/{id}/retry", "Bring an initiative back", Changed)
async def retry_initiative(conn: Connection, asking: Asking) -> Changed:
    return await brought_back(conn, "initiative", asking.id)


@TOPIC.post("/initiative/{id}/cancel", "Call an initiative off", Changed)
async def cancel_initiative(conn: Connection, asking: Asking) -> Changed:
    return await called_off(conn, "initiative", asking.id)
