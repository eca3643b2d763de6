"""Looking: how things stand, what happened, why, who works, what it costs."""

from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, Field, StringConstraints

from reactor import __version__
from reactor.handlers.foresight import foresee
from reactor.llm.metering import price_of, prices_of
from reactor.model.forecast import month_end
from reactor.pg import Connection
from reactor.store import agents as agent_store
from reactor.store import breakers, costs, fleet, lists, overview, viewers
from reactor.store import events as event_store
from reactor.store import proposals as proposal_store
from reactor.store import why as why_store
from reactor.store.breakers import BreakerRow
from reactor.store.costs import Budget, PausedKey, Standing, Sum
from reactor.store.events import Event, Place
from reactor.store.fleet import Worker
from reactor.store.lists import Call, Part, Run
from reactor.store.overview import DeadLetter, Facts, Pause, QueueCounts
from reactor.store.viewers import Horizon
from reactor.store.why import Why
from reactor.web.api.operation import Asking, Listed, Name, NoQuery, Page, PageQuery, Topic
from reactor.web.api.paging import BadCursor, cut, page_by_id, page_of_all
from reactor.web.frames import cursor, place_of
from reactor.web.problems import FieldError, Refused

TOPIC = Topic("look")
MOST_DEAD = 10
SHARED_S = 1.0  # what counts whole tables
MOST_HELD = 1000


class Waiting(NamedTuple):
    """How much waits for a person's word."""

    proposals: int
    held_steps: int


class StatusOut(NamedTuple):
    """How everything stands. ``horizon``: the oldest transaction that has written, while one is open."""

    ready: str
    reason: str | None
    version: str
    llm: str
    facts: Facts
    queues: list[QueueCounts]
    pauses: list[Pause]
    breakers: list[BreakerRow]
    budgets: list[Budget]
    paused_keys: list[PausedKey]
    spent_today_usd: float
    would_have_spent_today_usd: float
    workers_live: int
    waiting_for_a_person: Waiting
    dead_letters: list[DeadLetter]
    horizon: Horizon | None
    place: str


class EventQuery(PageQuery):
    """Which events; about: one thing, such as step:7. since: only those behind that place of the stream."""

    kind: Annotated[str, StringConstraints(min_length=1, max_length=63)] | None = None
    agent: Name | None = None
    about: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,30}:[0-9]{1,19}$")] | None = None
    since: Annotated[str, StringConstraints(max_length=41)] | None = None


class RunQuery(PageQuery):
    """Of which part."""

    part: Name | None = None


class CallQuery(PageQuery):
    """Of which agent."""

    agent: Name | None = None


def _days(value: object) -> object:
    if isinstance(value, str) and not (value.isascii() and value.isdecimal() and len(value) < 5):
        raise ValueError("a whole number is wanted")
    return value


class CostQuery(NoQuery):
    """How many days back."""

    days: Annotated[int, BeforeValidator(_days), Field(ge=1, le=400)] = 30


class ForecastOut(NamedTuple):
    """What the next 30 days are expected to take, what they lead to aside."""

    days: int
    conversations: float
    calls: float
    usd: float
    model: str


class CostsOut(NamedTuple):
    """What the language model costs. ``month_end_usd``: what the month comes to at the pace of the last seven days."""

    standing: Standing
    month_end_usd: float
    month_end_would_usd: float
    budgets: list[Budget]
    paused_keys: list[PausedKey]
    days: list[Sum]
    agents: list[Sum]
    purposes: list[Sum]
    models: list[Sum]
    missions: list[Sum]
    forecast: ForecastOut


class SessionOut(NamedTuple):
    """What this request may do, and the word its changes must bring when a cookie is why."""

    grant: str
    csrf: str


@TOPIC.get("/status", "How everything stands, in one look", StatusOut, shared_s=SHARED_S)
async def status(conn: Connection, asking: Asking) -> StatusOut:
    report = await asking.desk.health.report()
    standing = await costs.standing(conn)
    pending = await proposal_store.proposals(conn, "pending", MOST_HELD)
    held = await proposal_store.held_steps(conn, MOST_HELD)
    return StatusOut(
        ready=report.status.value,
        reason=report.reason,
        version=__version__,
        llm=_llm(asking),
        facts=await overview.facts(conn),
        queues=await overview.queues(conn),
        pauses=await overview.pauses(conn),
        breakers=await breakers.breakers(conn),
        budgets=await costs.budgets(conn),
        paused_keys=await costs.paused_keys(conn),
        spent_today_usd=standing.day_usd,
        would_have_spent_today_usd=standing.day_would_usd,
        workers_live=sum(worker.live for worker in await fleet.fleet(conn)),
        waiting_for_a_person=Waiting(len(pending), len(held)),
        dead_letters=await overview.dead_letters(conn, MOST_DEAD),
        horizon=await viewers.horizon(conn),
        place=cursor(await lists.place(conn)),
    )


def _llm(asking: Asking) -> str:
    settings = asking.desk.settings
    return "mock" if settings.provider() == "mock" else settings.model


@TOPIC.get("/events", "What happened, the latest first", Listed(Event), query=EventQuery)
async def list_events(conn: Connection, asking: Asking) -> Page:
    query: EventQuery = asking.query
    after = place_of(query.after) if query.after is not None else None
    if query.after is not None and after is None:
        raise BadCursor
    since = place_of(query.since) if query.since is not None else None
    if query.since is not None and since is None:
        told = "since must be a place that came as the id of a message of the stream"
        raise Refused(400, told, [FieldError("since", told)])
    about = None
    if query.about is not None:
        what, _, id = query.about.partition(":")
        about = (f"{what}_id", int(id))
    found = await event_store.last(
        conn, query.limit + 1, after, since=since, kind=query.kind, agent=query.agent, about=about
    )
    return cut(found, query.limit, lambda one: cursor(Place(one.xact, one.id)))


@TOPIC.get("/events/{id}", "One event", Event)
async def get_event(conn: Connection, asking: Asking) -> Event:
    found = await event_store.one(conn, asking.id)
    if found is None:
        raise Refused(404, f"there is no event {asking.id}")
    return found


@TOPIC.get("/why/{what}/{id}", "Why a thing is where it is", Why)
async def why(conn: Connection, asking: Asking) -> Why:
    if asking.path["what"] not in ("step", "mission", "roundtable", "initiative", "proposal"):
        raise Refused(404, "why is told of step, mission, roundtable, initiative, proposal")
    return await why_store.why(conn, asking.path["what"], asking.id)


@TOPIC.get("/workers", "The reactors there are and were, the living first", Listed(Worker), query=PageQuery)
async def list_workers(conn: Connection, asking: Asking) -> Page:
    return page_of_all(asking.query, await fleet.fleet(conn, 1000), lambda one: str(one.id))


@TOPIC.get("/heartbeat", "The parts of the heartbeat", Listed(Part), query=PageQuery)
async def list_parts(conn: Connection, asking: Asking) -> Page:
    return page_of_all(asking.query, await lists.parts(conn), lambda one: one.part)


@TOPIC.get("/heartbeat/runs", "What the heartbeat did, or failed at", Listed(Run), query=RunQuery)
async def list_runs(conn: Connection, asking: Asking) -> Page:
    query: RunQuery = asking.query

    async def read(limit: int, after: int | None) -> list[Run]:
        return await lists.runs(conn, limit, after, part=query.part)

    return await page_by_id(query, read)


@TOPIC.get("/costs", "What the language model costs, and will", CostsOut, query=CostQuery, shared_s=SHARED_S)
async def get_costs(conn: Connection, asking: Asking) -> CostsOut:
    days = asking.query.days
    it = await costs.standing(conn)
    pace = {"days_seen": it.days_seen, "days_left": it.days_left}
    return CostsOut(
        standing=it,
        month_end_usd=month_end(it.month_usd, it.week_usd, **pace),
        month_end_would_usd=month_end(it.month_would_usd, it.week_would_usd, **pace),
        budgets=await costs.budgets(conn),
        paused_keys=await costs.paused_keys(conn),
        days=await costs.sums(conn, "day", days),
        agents=await costs.sums(conn, "agent", days),
        purposes=await costs.sums(conn, "purpose", days),
        models=await costs.sums(conn, "model", days),
        missions=await costs.sums(conn, "mission", days),
        forecast=await _forecast(conn, asking.desk.settings.model),
    )


async def _forecast(conn: Connection, model: str) -> ForecastOut:
    policies = await agent_store.policies(conn, ["llm_prices"])
    price = price_of(model, prices_of(policies.get("llm_prices")))
    it = (await foresee(conn, 30, (price.input_usd, price.output_usd))).forecast
    return ForecastOut(30, round(it.conversations, 1), round(it.calls, 1), round(it.usd, 4), model)


@TOPIC.get("/costs/calls", "The ledger, the latest call first", Listed(Call), query=CallQuery)
async def list_calls(conn: Connection, asking: Asking) -> Page:
    query: CallQuery = asking.query

    async def read(limit: int, after: int | None) -> list[Call]:
        return await lists.calls(conn, limit, after, agent=query.agent)

    return await page_by_id(query, read)


@TOPIC.get("/session", "What this request may do", SessionOut)
async def session(conn: Connection, asking: Asking) -> SessionOut:
    return SessionOut(asking.grant, asking.csrf)
