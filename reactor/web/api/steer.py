"""Steering: pause and resume, policies, rules, breakers, the timetable."""

from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import StringConstraints

from reactor.handlers.foresight import foresee
from reactor.model.schedule import NotUnderstood, next_after
from reactor.pg import Connection
from reactor.store import breakers, control, lists, overview
from reactor.store import schedule as schedule_store
from reactor.store.breakers import BreakerRow
from reactor.store.control import Policy
from reactor.store.lists import Firing, PolicyVersion, Rule
from reactor.store.overview import Pause
from reactor.web.api.operation import (
    BY,
    Asked,
    Asking,
    Changed,
    Id,
    Listed,
    Page,
    PageQuery,
    Reply,
    Text,
    Topic,
)
from reactor.web.api.paging import page_by_id, page_of_all
from reactor.web.api.pieces import Who
from reactor.web.frames import as_json
from reactor.web.problems import Refused
from reactor.web.unshown import meant, shown, shown_value

TOPIC = Topic("control")
QueueName = Literal["mission", "roundtable", "initiative", "all"]


class PauseIn(Asked):
    """What to stop, why, and who wants it."""

    queue: QueueName = "all"
    by: Who = BY
    reason: Annotated[Text, StringConstraints(max_length=500)] | None = None


class ResumeIn(Asked):
    """What goes on, and who wants it."""

    queue: QueueName = "all"
    by: Who = BY


class ControlOut(NamedTuple):
    """The queues that take no row now."""

    paused: list[Pause]


class RuleIn(Asked):
    """Whether a rule does anything."""

    enabled: bool


class FiringQuery(PageQuery):
    """Of which rule."""

    rule: Id | None = None


class SlotOut(NamedTuple):
    """A slot of the timetable. ``problem``: what keeps its next time from being told."""

    id: int
    name: str
    cron: str
    timezone: str
    format: str
    probability: float
    enabled: bool
    next_at: datetime | None
    problem: str | None
    last_due_at: datetime | None
    last_outcome: str | None
    last_roundtable_id: int | None


class DueOut(NamedTuple):
    """A conversation that will be due."""

    due_at: datetime
    slot: str
    format: str
    probability: float


@TOPIC.get("/control", "What is paused", ControlOut)
async def paused(conn: Connection, asking: Asking) -> ControlOut:
    return ControlOut(await overview.pauses(conn))


@TOPIC.post(
    "/control/pause", "Stop taking work, on every reactor", ControlOut, body=PauseIn, body_needed=False
)
async def pause(conn: Connection, asking: Asking) -> ControlOut:
    await control.pause(conn, asking.body.queue, asking.body.reason, asking.body.by)
    return await paused(conn, asking)


@TOPIC.post("/control/resume", "Take work again", ControlOut, body=ResumeIn, body_needed=False)
async def resume(conn: Connection, asking: Asking) -> ControlOut:
    await control.resume(conn, asking.body.queue, asking.body.by)
    return await paused(conn, asking)


@TOPIC.get("/policy", "Every policy, by key", Listed(Policy), query=PageQuery)
async def list_policies(conn: Connection, asking: Asking) -> Page:
    return page_of_all(asking.query, list(map(shown, await control.policies(conn))), lambda one: one.key)


@TOPIC.get(
    "/policy/{key}",
    "One policy; its ETag is its version",
    Policy,
    headers={"If-None-Match": "answered with 304 while the version is this"},
    may=(304,),
)
async def get_policy(conn: Connection, asking: Asking) -> Reply:
    found = await _policy(conn, asking.path["key"])
    tag = _tag(found)
    if _matches(asking.headers.get("if-none-match"), tag, weak=True):
        return Reply(None, {"etag": tag}, 304)
    return Reply(shown(found), {"etag": tag})


@TOPIC.patch(
    "/policy/{key}",
    "Merge this JSON into a policy, in force everywhere at once",
    Policy,
    body=Any,
    headers={"If-Match": "the version it was read at; another one since is 412"},
    may=(412,),
)
async def change_policy(conn: Connection, asking: Asking) -> Reply:
    key = asking.path["key"]
    if asking.body is None:
        raise Refused(422, "a policy's value is JSON, not null")
    found = await control.policy(conn, key, lock=True)
    if found is None:
        raise Refused(404, f"there is no policy {key[:100]!r}")
    wanted = asking.headers.get("if-match")
    if wanted is not None and not _matches(wanted, _tag(found)):
        raise Refused(
            412, f"policy {key} has been changed meanwhile, it is at version {found.version}: read it again"
        )
    await control.set_policy(conn, key, meant(key, as_json(asking.body).decode()))
    changed = await _policy(conn, key)
    return Reply(shown(changed), {"etag": _tag(changed)})


@TOPIC.get("/policy/{key}/history", "The values a policy has had", Listed(PolicyVersion), query=PageQuery)
async def policy_history(conn: Connection, asking: Asking) -> Page:
    key = (await _policy(conn, asking.path["key"])).key

    async def read(limit: int, after: int | None) -> list[PolicyVersion]:
        found = await lists.policy_history(conn, key, limit, after)
        return [one._replace(value=shown_value(key, one.value)) for one in found]

    return await page_by_id(asking.query, read, "version")


async def _policy(conn: Connection, key: str) -> Policy:
    found = await control.policy(conn, key)
    if found is None:
        raise Refused(404, f"there is no policy {key[:100]!r}")
    return found


def _tag(policy: Policy) -> str:
    return f'"{policy.version}"'


def _matches(header: str | None, tag: str, *, weak: bool = False) -> bool:
    """Whether the header names the version; only for reading, weak ones count too."""
    if header is None:
        return False
    named = [one.strip() for one in header.split(",")]
    return "*" in named or tag in named or (weak and f"W/{tag}" in named)


@TOPIC.get("/triggers", "The rules that lead to proposals by themselves", Listed(Rule), query=PageQuery)
async def list_rules(conn: Connection, asking: Asking) -> Page:
    async def read(limit: int, after: int | None) -> list[Rule]:
        return await lists.rules(conn, limit, after)

    return await page_by_id(asking.query, read)


@TOPIC.patch("/triggers/{id}", "Switch a rule on or off", Changed, body=RuleIn)
async def switch_rule(conn: Connection, asking: Asking) -> Changed:
    if not await lists.switch_rule(conn, asking.id, enabled=asking.body.enabled):
        raise Refused(404, f"there is no rule {asking.id}")
    return Changed(True, "enabled" if asking.body.enabled else "disabled")


@TOPIC.get(
    "/triggers/firings", "When rules were looked at, and what came of it", Listed(Firing), query=FiringQuery
)
async def list_firings(conn: Connection, asking: Asking) -> Page:
    query: FiringQuery = asking.query

    async def read(limit: int, after: int | None) -> list[Firing]:
        return await lists.firings(conn, limit, after, rule=query.rule)

    return await page_by_id(query, read)


@TOPIC.get("/circuit-breaker", "Every breaker", Listed(BreakerRow), query=PageQuery)
async def list_breakers(conn: Connection, asking: Asking) -> Page:
    return page_of_all(asking.query, await breakers.breakers(conn), lambda one: one.service)


@TOPIC.post("/circuit-breaker/{service}/reset", "Close a breaker by hand", Changed)
async def reset_breaker(conn: Connection, asking: Asking) -> Changed:
    service = asking.path["service"]
    if service not in [one.service for one in await breakers.breakers(conn)]:
        raise Refused(404, f"there is no breaker for {service[:100]!r}")
    return Changed(await breakers.reset(conn, service), "closed")


@TOPIC.get("/schedule", "The conversations due in the coming day", Listed(DueOut), query=PageQuery)
async def coming_day(conn: Connection, asking: Asking) -> Page:
    found = await foresee(conn, 1, (0.0, 0.0))
    due = [DueOut(one.at, one.slot.name, one.slot.format, one.slot.probability) for one in found.due]
    return page_of_all(asking.query, due, lambda one: f"{one.due_at.timestamp():.0f}.{one.slot}")


@TOPIC.get("/schedule/slots", "The timetable", Listed(SlotOut), query=PageQuery)
async def list_slots(conn: Connection, asking: Asking) -> Page:
    last = await schedule_store.last(conn)
    now = (await schedule_store.rules(conn)).now
    told = []
    for slot in await schedule_store.slots(conn):
        coming, problem = None, None
        try:
            coming = next_after(slot, now) if slot.enabled else None
        except NotUnderstood as error:
            problem = str(error)
        had = last.get(slot.id)
        told.append(
            SlotOut(
                slot.id,
                slot.name,
                slot.cron,
                slot.zone,
                slot.format,
                slot.probability,
                slot.enabled,
                coming,
                problem,
                had.due_at if had else None,
                had.outcome if had else None,
                had.roundtable_id if had else None,
            )
        )
    return page_of_all(asking.query, told, lambda one: str(one.id))
