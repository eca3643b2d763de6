"""What the operations on work share: words of a request, answers to it, and what is done to any kind of work."""

import json
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from reactor.handlers.fitting import steps_fit
from reactor.model.queues import Thing, What
from reactor.pg import Connection
from reactor.store import agents, control, proposals, show
from reactor.web.api.operation import BY, Asked, Changed, Document, Made, Name, PageQuery, Reply, Text, Words
from reactor.web.api.serve import PREFIX
from reactor.web.problems import FieldError, Refused

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


class StepIn(Asked):
    """A step of something larger."""

    kind: Name
    payload: Document = Field(default_factory=dict)
    agent_id: Name | None = None
    max_attempts: Annotated[int, Field(ge=1, le=100)] | None = None
    priority: Priority | None = None


class QueueQuery(PageQuery):
    """Which rows of a queue."""

    status: Status | None = None


class Thumbs(Asked):
    """What a person thinks of something: up or down, and why."""

    up: bool
    reason: Annotated[Text, StringConstraints(max_length=2000)] | None = None


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
    return await changed(conn, what, id, await control.retry(conn, what, id))


async def called_off(conn: Connection, what: Thing, id: int) -> Changed:
    """Work that has not ended is cancelled, a pending proposal rejected."""
    return await changed(conn, what, id, await control.cancel(conn, what, id))


async def changed(conn: Connection, what: Thing, id: int, done: bool) -> Changed:
    """Whether something was done to it, and how it stands now."""
    if what == "proposal":
        proposal = await proposals.proposal(conn, id)
        return Changed(done, proposal.status if proposal else "gone")
    found = await show.state(conn, what, id)
    return Changed(done, found.status if found else "gone")


async def fitting_steps(conn: Connection, steps: list[StepIn]) -> str:
    """The steps as the database takes them. Raises PayloadRefused: one does not fit its kind."""
    given = [one.model_dump(exclude_none=True) for one in steps]
    await steps_fit(conn, given)
    return json.dumps(given)


def made(path: str, id: int) -> Reply:
    """It was made, and can be looked at there."""
    return Reply(Made(id), {"location": f"{PREFIX}/{path}/{id}"})
