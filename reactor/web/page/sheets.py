"""One thing whole, on a sheet over the page; without scripts a page of its own."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from reactor.model.voice import modifiers
from reactor.pg import Connection
from reactor.store import (
    agents,
    board,
    control,
    conversations,
    events,
    kinds,
    lists,
    memory,
    people,
    proposals,
    relationships,
    show,
    why,
)
from reactor.web.page import drawing
from reactor.web.unshown import shown, shown_value

HISTORY: Final = 60
MEMORIES: Final = 200

Values = dict[str, Any]
# Nothing of that name: None.
Showing = Callable[[Connection, str], Awaitable[Values | None]]


def _number(name: str) -> int | None:
    return int(name) if name.isascii() and name.isdigit() and len(name) < 19 else None


async def _mission(conn: Connection, name: str) -> Values | None:
    id = _number(name)
    found = await show.mission(conn, id) if id is not None else None
    if found is None:
        return None
    proposal = await proposals.proposal(conn, found.proposal_id) if found.proposal_id else None
    steps = await show.steps_of_mission(conn, found.id)
    return {
        "about": f"mission_id:{found.id}",
        "mission": found,
        "steps": steps,
        "proposal": proposal,
        "cost": (await board.mission_costs(conn, [found.id])).get(found.id),
        "why": await why.why(conn, "mission", found.id),
        "step_why": {
            step.id: await why.why(conn, "step", step.id)
            for step in steps[:40]
            if step.status in ("waiting", "queued", "running")
        },
        "chain": await board.chain(conn, proposal.root_id) if proposal and proposal.root_id else [],
        "events": await events.about(conn, "mission_id", found.id, HISTORY),
    }


async def _step(conn: Connection, name: str) -> Values | None:
    id = _number(name)
    found = await show.step(conn, id) if id is not None else None
    if found is None:
        return None
    return {
        "about": f"step_id:{found.id}",
        "step": found,
        "schemas": await kinds.schemas(conn) if found.hold else {},
        "why": await why.why(conn, "step", found.id),
        "events": await events.about(conn, "step_id", found.id, HISTORY),
    }


async def _proposal(conn: Connection, name: str) -> Values | None:
    id = _number(name)
    found = await proposals.proposal(conn, id) if id is not None else None
    if found is None:
        return None
    return {
        "about": f"proposal_id:{found.id}",
        "proposal": found,
        "schemas": await kinds.schemas(conn) if found.status == "pending" else {},
        "why": await why.why(conn, "proposal", found.id),
        "chain": await board.chain(conn, found.root_id) if found.root_id else [],
    }


async def _roundtable(conn: Connection, name: str) -> Values | None:
    id = _number(name)
    found = await show.roundtable(conn, id) if id is not None else None
    if found is None:
        return None
    brief = await conversations.brief(conn, found.id)
    return {
        "about": f"roundtable_id:{found.id}",
        "talk": found,
        "plan": brief.plan if brief and isinstance(brief.plan, dict) else {},
        "turns": await conversations.turns(conn, found.id),
        "distillate": await conversations.distillate(conn, found.id),
        "why": await why.why(conn, "roundtable", found.id),
        "names": {one.id: one.display_name for one in await agents.roster(conn)},
    }


async def _initiative(conn: Connection, name: str) -> Values | None:
    id = _number(name)
    found = await show.initiative(conn, id) if id is not None else None
    if found is None:
        return None
    return {
        "about": f"initiative_id:{found.id}",
        "initiative": found,
        "why": await why.why(conn, "initiative", found.id),
    }


async def _agent(conn: Connection, name: str) -> Values | None:
    profile = next((one for one in await agents.roster(conn) if one.id == name), None)
    if profile is None:
        return None
    remembered = await conversations.remembered(conn, [name])
    return {
        "about": f"agent_id:{name}",
        "agent": profile,
        "stats": next(one for one in await people.stats(conn) if one.id == name),
        "memories": await memory.memories(conn, name, limit=MEMORIES),
        "voice": modifiers(remembered[name]),
        "hours": await lists.hours(conn, name),
        "pairs": [
            one for one in await relationships.relationship_map(conn) if name in (one.agent_a, one.agent_b)
        ],
    }


async def _pair(conn: Connection, name: str) -> Values | None:
    one, _, other = name.partition(":")
    found = await board.pair(conn, one, other)
    if found is None:
        return None
    first = found.drift_log[0].get("before") if found.drift_log else found.affinity
    values = [float(first or 0), *(float(entry["after"]) for entry in found.drift_log)]
    low, high = max(0.0, min(values) - 0.05), min(1.0, max(values) + 0.05)
    return {
        "about": "",
        "pair": found,
        "names": {one.id: one.display_name for one in await agents.roster(conn)},
        "points": drawing.curve(values, 640, 140, low, high),
        "low": low,
        "high": high,
    }


async def _policy(conn: Connection, name: str) -> Values | None:
    found = next((one for one in await control.policies(conn) if one.key == name), None)
    if found is None:
        return None
    history = await board.policy_history(conn, name)
    return {
        "about": "",
        "policy": shown(found),
        "history": [one._replace(value=shown_value(name, one.value)) for one in history],
    }


SHEETS: Final[dict[str, Showing]] = {
    "mission": _mission,
    "step": _step,
    "proposal": _proposal,
    "roundtable": _roundtable,
    "initiative": _initiative,
    "agent": _agent,
    "pair": _pair,
    "policy": _policy,
}
