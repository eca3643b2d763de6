"""What is proposed, and what waits for a person's word. Twin of ``queries/proposals.sql``."""

from datetime import datetime
from typing import Any, NamedTuple

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("proposals")


class Verdict(NamedTuple):
    """What became of a proposal: ``accepted`` with its mission, ``pending``, or ``rejected`` with the reason."""

    proposal_id: int
    status: str
    mission_id: int | None
    reason: str | None


class ProposalRow(NamedTuple):
    """A proposal as it stands. ``decision``: gate, limit, count, policy and version, or the kinds to approve.

    ``asked``: title and steps as they were before a person changed them, None when nobody did.
    """

    id: int
    agent_id: str
    title: str
    description: str | None
    steps: Any
    source: str
    status: str
    rejection_reason: str | None
    decision: Any
    mission_id: int | None
    decided_by: str | None
    decided_at: datetime | None
    expires_at: datetime | None
    simulated: bool
    dedupe_key: str | None
    root_id: int | None
    depth: int
    created_at: datetime
    asked: Any
    edited_by: str | None
    edited_at: datetime | None


class HeldStep(NamedTuple):
    """A step that waits for a person's word."""

    id: int
    mission_id: int | None
    mission_title: str | None
    proposal_id: int | None
    seq: int
    kind: str
    agent_id: str | None
    payload: Any
    simulated: bool
    held_at: datetime | None
    expires_at: datetime | None


class MissionLine(NamedTuple):
    """A mission and how far it is; ``step_…`` of the one that runs now or next, None when it has ended."""

    id: int
    title: str
    status: str
    priority: int
    created_by: str | None
    proposal_id: int | None
    simulated: bool
    steps_total: int
    steps_done: int
    step_kind: str | None
    step_agent_id: str | None
    step_status: str | None
    step_hold: str | None
    failure_reason: str | None
    created_at: datetime
    completed_at: datetime | None


async def propose(
    conn: Connection,
    agent: str,
    title: str,
    steps: str,
    *,
    source: str,
    description: str | None = None,
    dedupe_key: str | None = None,
    cause: int | None = None,
    simulated: bool = False,
) -> Verdict:
    """``agent`` proposes ``steps`` (JSON text). Nobody else proposes or approves until this transaction ends: end it soon.

    ``cause``: the event that led to it. ``simulated``: the mock stands behind it. Both settings end with the transaction.

    Raises: OpsError OP001: no such event. OP003: an unknown or inactive agent, an unknown kind. OP004: a title, source,
        description or key that cannot be. OP005: malformed steps. Nothing was written then.
    """
    row = await conn.fetch_row(
        _SQL["propose"],
        {
            "agent": agent,
            "title": title,
            "steps": steps,
            "source": source,
            "description": description,
            "dedupe_key": dedupe_key,
            "cause": cause,
            "simulated": simulated,
        },
    )
    assert row is not None
    return Verdict._make(row)


async def approve(conn: Connection, id: int, by: str) -> int:
    """The pending proposal is accepted; returns its mission. Raises OpsError OP001, OP009 (decided), OP010 (gate full)."""
    mission: int = await conn.fetch_value(_SQL["approve"], {"id": id, "by": by})
    return mission


async def edit(
    conn: Connection, id: int, by: str, *, title: str | None = None, steps: str | None = None
) -> bool:
    """The pending proposal has another title or other steps (JSON text); an event tells of it. False: nothing changed.

    Raises: OpsError OP001, OP009 (decided), and as `propose` for a title or steps that cannot be.
    """
    changed: bool = await conn.fetch_value(_SQL["edit"], {"id": id, "by": by, "title": title, "steps": steps})
    return changed


async def reject(conn: Connection, id: int, by: str, reason: str) -> None:
    """The pending proposal is rejected, the reason a lesson of its agent. Raises OpsError OP001, OP004, OP009."""
    await conn.run(_SQL["reject"], {"id": id, "by": by, "reason": reason})


async def release(conn: Connection, step_id: int, by: str, payload: str | None = None) -> None:
    """The held step goes on, with ``payload`` (JSON text) if given. Raises OpsError OP001, OP004, OP008, OP009."""
    await conn.run(_SQL["release"], {"id": step_id, "by": by, "payload": payload})


async def reject_step(conn: Connection, step_id: int, by: str, reason: str) -> None:
    """The held step is cancelled with its mission. Raises OpsError OP001, OP004, OP008, OP009."""
    await conn.run(_SQL["reject_step"], {"id": step_id, "by": by, "reason": reason})


async def expire(conn: Connection) -> int:
    """What nobody decided about in time is turned down, at most 500 proposals and 500 steps; returns how many."""
    count: int = await conn.fetch_value(_SQL["expire"])
    return count


async def proposal(conn: Connection, id: int) -> ProposalRow | None:
    """The proposal, or None when there is none."""
    row = await conn.fetch_row(_SQL["proposal"], {"id": id})
    return ProposalRow._make(row) if row else None


async def proposals(
    conn: Connection, status: str | None, limit: int, *, after: int | None = None, agent: str | None = None
) -> list[ProposalRow]:
    """The last ``limit`` proposals of that status and agent, None: of any; the newest first, those before ``after``."""
    values = {"status": status, "limit": limit, "after": after, "agent": agent}
    return [ProposalRow._make(row) for row in await conn.fetch_all(_SQL["proposals"], values)]


async def held_steps(conn: Connection, limit: int) -> list[HeldStep]:
    """Steps that wait for a person's word, the longest waiting first."""
    return [HeldStep._make(row) for row in await conn.fetch_all(_SQL["held_steps"], {"limit": limit})]


async def missions(conn: Connection, limit: int, *, ended: bool = False) -> list[MissionLine]:
    """Missions under way, with ``ended`` also the others; the newest first."""
    rows = await conn.fetch_all(_SQL["all_missions" if ended else "active_missions"], {"limit": limit})
    return [MissionLine._make(row) for row in rows]
