"""One thing whole, or only how it stands. Twin of ``queries/show.sql``."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from reactor.model.queues import What
from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("show")


class StepRow(NamedTuple):
    """A step as it stands."""

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


class RoundtableRow(NamedTuple):
    """A conversation as it stands."""

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
    format: str
    topic: str | None
    participants: list[str] | None


class InitiativeRow(NamedTuple):
    """An initiative as it stands."""

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
    agent_id: str
    trigger_reason: str | None
    memory_influenced: bool
    proposal_id: int | None


class MissionRow(NamedTuple):
    """A mission as it stands."""

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


class State(NamedTuple):
    """How a thing stands; of a mission the result is that of its last finished step."""

    status: str
    result: Any
    failure_reason: str | None


async def now(conn: Connection) -> datetime:
    """The database's clock."""
    moment: datetime = await conn.fetch_value(_SQL["now"])
    return moment


async def step(conn: Connection, id: int) -> StepRow | None:
    """The step, or None when there is none."""
    row = await conn.fetch_row(_SQL["step"], {"id": id})
    return StepRow._make(row) if row else None


async def mission(conn: Connection, id: int) -> MissionRow | None:
    """The mission, or None when there is none."""
    row = await conn.fetch_row(_SQL["mission"], {"id": id})
    return MissionRow._make(row) if row else None


async def steps_of_mission(conn: Connection, id: int) -> list[StepRow]:
    """Its steps in the order in which they run."""
    return [StepRow._make(row) for row in await conn.fetch_all(_SQL["steps_of_mission"], {"id": id})]


async def roundtable(conn: Connection, id: int) -> RoundtableRow | None:
    """The conversation, or None when there is none."""
    row = await conn.fetch_row(_SQL["roundtable"], {"id": id})
    return RoundtableRow._make(row) if row else None


async def initiative(conn: Connection, id: int) -> InitiativeRow | None:
    """The initiative, or None when there is none."""
    row = await conn.fetch_row(_SQL["initiative"], {"id": id})
    return InitiativeRow._make(row) if row else None


async def root_of(conn: Connection, what: What, id: int) -> int | None:
    """The event its chain of causes began with, or None when nothing led to it."""
    root: int | None = await conn.fetch_value(_SQL["root_of"], {"what": what, "id": id})
    return root


async def state(conn: Connection, what: What, id: int) -> State | None:
    """How the thing stands, or None when there is none. One row by its key: cheap enough to poll."""
    row = await conn.fetch_row(_SQL[f"state_of_{what}"], {"id": id})
    return State._make(row) if row else None


async def ahead_of_mission(conn: Connection, id: int) -> tuple[str, str | None] | None:
    """Kind and agent of the mission's step that runs now or next; None when all are finished."""
    row = await conn.fetch_row(_SQL["ahead_of_mission"], {"id": id})
    return (row[0], row[1]) if row else None
