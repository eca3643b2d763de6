"""Missions, steps, initiatives: given, looked at, released, brought back, called off."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from pydantic import Field, StringConstraints

from reactor.handlers.fitting import fits, fits_kind
from reactor.handlers.held import request_of
from reactor.pg import Connection
from reactor.store import enqueue, kinds, lists, memory, outcomes, proposals, show
from reactor.store.proposals import MissionLine
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
from reactor.web.api.pieces import (
    Decided,
    Delay,
    Priority,
    QueueQuery,
    Rejected,
    Status,
    StepIn,
    Thumbs,
    Who,
    brought_back,
    called_off,
    changed,
    fitting_steps,
    known_agent,
    made,
    nothing,
)
from reactor.web.problems import FieldError, Refused

TOPIC = Topic("work")


class Released(Decided):
    """Who lets it go, perhaps with another payload."""

    payload: Document | None = None


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


class MissionQuery(PageQuery):
    """Which missions; active: those under way."""

    status: Literal["active", "approved", "running", "succeeded", "failed", "cancelled"] | None = None


class StepQuery(PageQuery):
    """Which steps; held: those that wait for a person's word."""

    status: Status | None = None
    kind: Name | None = None
    mission: Id | None = None
    held: Literal["true", "false"] = "false"


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


@TOPIC.get("/missions", "Missions, the newest first", Listed(MissionLine), query=MissionQuery)
async def list_missions(conn: Connection, asking: Asking) -> Page:
    query: MissionQuery = asking.query

    async def read(limit: int, after: int | None) -> list[MissionLine]:
        return await lists.missions(conn, limit, after, status=query.status)

    return await page_by_id(query, read)


@TOPIC.post("/missions", "Queue a mission", Made, body=NewMission, status=201)
async def add_mission(conn: Connection, asking: Asking) -> Reply:
    asked: NewMission = asking.body
    steps = await fitting_steps(conn, asked.steps)
    id = await enqueue.mission(conn, asked.title, steps, created_by=asked.created_by, priority=asked.priority)
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
    await fits_kind(conn, asked.kind, asked.payload)
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
    if asked.payload is not None:
        await fits(conn, asking.id, asked.payload)
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
    return await changed(conn, "step", asking.id, True)


@TOPIC.post("/steps/{id}/thumbs", "Say what you think of a result", Made, body=Thumbs, status=201)
async def judge_result(conn: Connection, asking: Asking) -> Reply:
    asked: Thumbs = asking.body
    return made("memory", await memory.thumbs(conn, "step", asking.id, up=asked.up, reason=asked.reason))


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
