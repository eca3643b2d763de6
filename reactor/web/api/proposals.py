"""Proposals: put before the gates, looked at, decided about."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from reactor.pg import Connection
from reactor.store import proposals
from reactor.store.proposals import ProposalRow
from reactor.web.api.operation import (
    Asked,
    Asking,
    Changed,
    Listed,
    Name,
    Page,
    PageQuery,
    Reply,
    Text,
    Topic,
    Words,
)
from reactor.web.api.paging import page_by_id
from reactor.web.api.pieces import Decided, Rejected, StepIn, called_off, fitting_steps, nothing
from reactor.web.api.serve import PREFIX

TOPIC = Topic("proposals")
Title = Annotated[Words, StringConstraints(max_length=500)]
Steps = Annotated[list[StepIn], Field(min_length=1, max_length=20)]


class NewProposal(Asked):
    """Work put before the gates."""

    agent_id: Name
    title: Title
    steps: Steps
    description: Text | None = None
    dedupe_key: Annotated[Words, StringConstraints(max_length=500)] | None = None


class EditedProposal(Decided):
    """Who changes a pending proposal, and what it asks for now; what is left out stays."""

    title: Title | None = None
    steps: Steps | None = None


class ProposalQuery(PageQuery):
    """Which proposals."""

    status: Literal["pending", "accepted", "rejected"] | None = None
    agent: Name | None = None


@TOPIC.get("/proposals", "Proposals, the newest first", Listed(ProposalRow), query=ProposalQuery)
async def list_proposals(conn: Connection, asking: Asking) -> Page:
    query: ProposalQuery = asking.query

    async def read(limit: int, after: int | None) -> list[ProposalRow]:
        return await proposals.proposals(conn, query.status, limit, after=after, agent=query.agent)

    return await page_by_id(query, read)


@TOPIC.post("/proposals", "Put work before the gates", ProposalRow, body=NewProposal, status=201)
async def propose(conn: Connection, asking: Asking) -> Reply:
    asked: NewProposal = asking.body
    verdict = await proposals.propose(
        conn,
        asked.agent_id,
        asked.title,
        await fitting_steps(conn, asked.steps),
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


@TOPIC.patch("/proposals/{id}", "Change what a pending proposal asks for", ProposalRow, body=EditedProposal)
async def edit(conn: Connection, asking: Asking) -> ProposalRow:
    asked: EditedProposal = asking.body
    if asked.title is not None or asked.steps is not None:
        steps = None if asked.steps is None else await fitting_steps(conn, asked.steps)
        await proposals.edit(conn, asking.id, asked.by, title=asked.title, steps=steps)
    return await get_proposal(conn, asking)


@TOPIC.post(
    "/proposals/{id}/approve",
    "Say yes, perhaps to other steps",
    ProposalRow,
    body=EditedProposal,
    body_needed=False,
)
async def approve(conn: Connection, asking: Asking) -> ProposalRow:
    await edit(conn, asking)
    await proposals.approve(conn, asking.id, asking.body.by)
    return await get_proposal(conn, asking)


@TOPIC.post("/proposals/{id}/reject", "Say no, and why", ProposalRow, body=Rejected)
async def reject(conn: Connection, asking: Asking) -> ProposalRow:
    await proposals.reject(conn, asking.id, asking.body.by, asking.body.reason)
    return await get_proposal(conn, asking)


@TOPIC.post("/proposals/{id}/cancel", "Withdraw a pending proposal", Changed)
async def cancel_proposal(conn: Connection, asking: Asking) -> Changed:
    return await called_off(conn, "proposal", asking.id)
