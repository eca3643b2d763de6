"""The panels of the page: what each looks at, and which events make it look again.

One look serves every viewer who asked before it began, and nobody else: what is shown was found out after it was asked for.
What is rendered from them differs by viewer only in whether there are buttons.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from reactor.engine.supervisor import Reactor
from reactor.handlers.foresight import foresee
from reactor.llm.metering import PRICES, price_of
from reactor.model.forecast import month_end
from reactor.model.queues import Queue
from reactor.model.schedule import NotUnderstood
from reactor.pg import Connection
from reactor.store import (
    agents,
    board,
    breakers,
    control,
    conversations,
    costs,
    doctor,
    events,
    fleet,
    kinds,
    overview,
    people,
    proposals,
    relationships,
    schedule,
    show,
    why,
)
from reactor.web.desk import Desk
from reactor.web.frames import cursor
from reactor.web.page import drafting, drawing
from reactor.web.page.render import brief
from reactor.web.unshown import shown

FEED: Final = 60
MISSIONS: Final = 14
TALKS: Final = 12
WAITING: Final = 50
DAYS: Final = 14
BUBBLES: Final = 3
BUBBLE: Final = 96  # characters
FLEET: Final = 12

Values = dict[str, Any]
Looking = Callable[[Desk, Connection], Awaitable[Values]]


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of the page. ``watches``: beginnings of the kinds of events after which it looks again."""

    name: str
    title: str
    watches: str
    look: Looking


async def seen(desk: Desk, panel: Panel) -> Values:
    """What the panel shows, no older than the question.

    Raises: NotReady: the database cannot be asked now.
    """

    async def look() -> Values:
        async with desk.reading() as conn:
            return {"now": await show.now(conn), **await panel.look(desk, conn)}

    return await desk.looks.get_fresh(panel.name, look)


async def _bar(desk: Desk, conn: Connection) -> Values:
    facts = await overview.facts(conn)
    workers = await fleet.fleet(conn, FLEET)
    return {
        "report": await desk.health.report(),
        "facts": facts,
        "live": sum(one.live for one in workers),
        "queues": await overview.queues(conn),
        "pauses": await overview.pauses(conn),
        "breakers": [one for one in await breakers.breakers(conn) if one.state != "closed"],
        "llm": desk.settings.provider(),
        "model": desk.settings.model,
        "budgets": await board.budgets(conn),
        "for_you": await board.for_you(conn, WAITING),
        "horizon_s": await board.horizon_age_s(conn),
    }


async def _room(_desk: Desk, conn: Connection) -> Values:
    seated = await board.room(conn)
    affinities = await _affinities(conn)
    places = drawing.room([one.id for one in seated], affinities)
    spoken = sorted(
        ((one.said_at, one.id, one.dialogue) for one in seated if one.said_at and one.dialogue), reverse=True
    )
    said = {who: brief(text, BUBBLE) for _, who, text in spoken[:BUBBLES]}
    return {
        "seated": seated,
        "places": places,
        "lines": drawing.lines(places, affinities),
        "names": {one.id: one.display_name for one in seated},
        "said": said,
        "bubbles": drawing.bubbles(places, said),
        "digest": await board.digest(conn),
    }


async def _waiting(_desk: Desk, conn: Connection) -> Values:
    pending = await proposals.proposals(conn, "pending", WAITING)
    held = await proposals.held_steps(conn, WAITING)
    usual = await board.usual_costs(conn)
    missions = [one.mission_id for one in held if one.mission_id is not None]
    return {
        "pending": pending,
        "held": held,
        "schemas": await kinds.schemas(conn) if pending or held else {},
        "roots": {
            one.id: (await board.chain(conn, one.root_id, 1))[:1]
            for one in pending
            if one.root_id is not None
        },
        "expected": {one.id: _expected(one.steps, usual) for one in pending},
        "spent": await board.mission_costs(conn, missions) if missions else {},
        "earlier": {id: await show.steps_of_mission(conn, id) for id in dict.fromkeys(missions)},
    }


def _expected(steps: Any, usual: Mapping[str, float]) -> float:
    """What steps of these kinds usually cost together; kinds never paid for cost nothing."""
    named = (
        [str(step.get("kind")) for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    )
    return sum((usual.get(kind, 0.0) for kind in named), 0.0)


async def _talk(_desk: Desk, conn: Connection) -> Values:
    talks = await board.conversations(conn, TALKS)
    # What is spoken now comes first; who has just asked sees that it waits, and why.
    current = next((one for one in talks if one.turns_taken or one.status in ("running", "queued")), None)
    return {
        "talks": talks,
        "current": current,
        "turns": await conversations.turns(conn, current.id) if current else [],
        "distillate": await conversations.distillate(conn, current.id) if current else None,
        "names": await _names(conn),
        "people": [one for one in await agents.roster(conn) if one.active],
        "formats": sorted(await conversations.formats(conn)),
        "why": {
            one.id: (await why.why(conn, "roundtable", one.id)).sentence
            for one in talks
            if one.status in ("waiting", "queued")
        },
    }


async def _feed(_desk: Desk, conn: Connection) -> Values:
    found, place = await events.recent(conn, FEED)
    return {"events": found[::-1], "place": cursor(place)}


async def _queues(_desk: Desk, conn: Connection) -> Values:
    return {
        "queues": await overview.queues(conn),
        "rates": await board.rates(conn),
        "pauses": {one.queue: one for one in await overview.pauses(conn)},
        "wakes": fleet.worst_wakes(await fleet.fleet(conn, FLEET)),
        "dead": await overview.dead_letters(conn, 8),
    }


async def _missions(_desk: Desk, conn: Connection) -> Values:
    found = await proposals.missions(conn, MISSIONS, ended=True)
    return {
        **drafting.shown(drafting.BLANK, await drafting.choices(conn)),
        "missions": found,
        "costs": await board.mission_costs(conn, [one.id for one in found]),
        "why": {
            one.id: (await why.why(conn, "mission", one.id)).sentence
            for one in found
            if one.status in ("approved", "running")
        },
    }


async def _agents(_desk: Desk, conn: Connection) -> Values:
    return {"agents": await people.stats(conn)}


async def _relations(_desk: Desk, conn: Connection) -> Values:
    pairs = await relationships.relationship_map(conn)
    everybody = sorted({who for one in pairs for who in (one.agent_a, one.agent_b)})
    places = drawing.circle(everybody, 150, 190)
    affinities = {(one.agent_a, one.agent_b): float(one.affinity) for one in pairs}
    return {
        "pairs": pairs,
        "places": places,
        "lines": drawing.lines(places, affinities),
        "names": await _names(conn),
        "drifts": await board.drifts(conn),
    }


async def _schedule(desk: Desk, conn: Connection) -> Values:
    price = price_of(desk.settings.model, PRICES)
    rules = await schedule.rules(conn)
    values: Values = {"past": await board.occurrences(conn), "paused": rules.paused, "problem": None}
    try:
        found = await foresee(conn, 1, (price.input_usd, price.output_usd))
    except NotUnderstood as error:
        return {**values, "problem": str(error), "coming": [], "forecast": None, "most": 0}
    coming = [(one, _local(one.at, one.slot.zone)) for one in found.due]
    return {**values, "coming": coming, "forecast": found.forecast, "most": found.most_a_day}


def _local(at: datetime, zone: str) -> str:
    return at.astimezone(ZoneInfo(zone)).strftime("%a %H:%M")


async def _costs(desk: Desk, conn: Connection) -> Values:
    rows = await board.costs(conn, DAYS)
    budgets = await board.budgets(conn)
    days = [budgets.day - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    real = any(one.cost_usd for one in rows)
    stacks = [
        [(one.agent_id or "", one.cost_usd if real else one.would_usd) for one in rows if one.day == day]
        for day in days
    ]
    totals = [sum(value for _, value in stack) for stack in stacks]
    highest = max([*totals, 0.01])
    standing = await costs.standing(conn)
    return {
        "real": real,
        "model": desk.settings.model,
        "budgets": budgets,
        "month_end": _month_end(standing, real=real),
        "days": days,
        "totals": totals,
        "highest": highest,
        "bars": drawing.columns(stacks, 700, 150, highest),
        "by_agent": await costs.sums(conn, "agent", DAYS),
        "by_purpose": await costs.sums(conn, "purpose", DAYS),
    }


def _month_end(it: costs.Standing, *, real: bool) -> float:
    spent, lately = (it.month_usd, it.week_usd) if real else (it.month_would_usd, it.week_would_usd)
    return month_end(spent, lately, days_seen=it.days_seen, days_left=it.days_left)


async def _policies(_desk: Desk, conn: Connection) -> Values:
    return {"policies": list(map(shown, await control.policies(conn)))}


async def _health(desk: Desk, conn: Connection) -> Values:
    return {
        "workers": await fleet.fleet(conn, FLEET),
        "breakers": await breakers.breakers(conn),
        "keys": await costs.paused_keys(conn),
        "facts": await overview.facts(conn),
        "transaction": next(iter(await doctor.old_transactions(conn)), None),
        "slow": await board.slow_statements(conn),
        "here": _here(desk.health.reactor),
    }


def _here(reactor: Reactor | None) -> Values | None:
    """What the process that serves this page knows of itself."""
    if reactor is None:
        return None
    some = sum(line.dispatcher.claims[0] for line in reactor.lines.values())
    none = sum(line.dispatcher.claims[1] for line in reactor.lines.values())
    return {
        "id": reactor.identity.id,
        "listener_up": reactor.listener.up,
        "deaf": reactor.listener.deaf,
        "claims": (some, none),
        "fenced_out": sum(line.completer.fenced_out for line in reactor.lines.values()),
        "unwritten": sum(line.completer.unwritten for line in reactor.lines.values()),
        "rings": {queue.value: reactor.control.rings[queue] for queue in reactor.lines},
        "rescued": {queue.value: rows for queue, rows in reactor.rescuer.rescued.items()},
        "queues": [queue.value for queue in Queue if queue in reactor.lines],
    }


async def _affinities(conn: Connection) -> dict[tuple[str, str], float]:
    return {
        (one.agent_a, one.agent_b): float(one.affinity) for one in await relationships.relationship_map(conn)
    }


async def _names(conn: Connection) -> dict[str, str]:
    return {one.id: one.display_name for one in await agents.roster(conn)}


PANELS: Final[dict[str, Panel]] = {
    panel.name: panel
    for panel in (
        Panel("bar", "How things stand", "*", _bar),
        Panel("room", "The room", "turn_ roundtable_ step_ mission_ initiative_ agent_", _room),
        Panel("waiting", "Waiting for you", "proposal_ step_ mission_", _waiting),
        Panel("talk", "Conversations", "turn_ roundtable_ distillation_", _talk),
        Panel("missions", "Missions", "mission_ step_ proposal_ budget_ queue_ breaker_", _missions),
        Panel("feed", "What happens", "", _feed),
        Panel("queues", "Queues", "*", _queues),
        Panel("agents", "Agents", "memory_ step_ proposal_ agent_ initiative_", _agents),
        Panel("relations", "Who likes whom", "roundtable_ agent_", _relations),
        Panel("schedule", "The coming day", "roundtable_ policy_", _schedule),
        Panel("costs", "Costs", "step_ turn_ initiative_ budget_", _costs),
        Panel("policies", "Policies", "policy_ queue_", _policies),
        Panel("health", "Health", "reactor_ breaker_ key_", _health),
    )
}
