"""Long lists, a page at a time, the newest first unless said. Twin of ``queries/lists.sql``.

A page begins behind the key of the last row of the one before, so rows that come and go meanwhile shift nothing. Each
function returns up to ``limit`` rows; ``after`` is a key, None for the first page.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from reactor.model.memory import Memory
from reactor.pg import Connection
from reactor.store import events as events_store
from reactor.store.events import Place
from reactor.store.named import statements
from reactor.store.proposals import MissionLine
from reactor.store.show import InitiativeRow, RoundtableRow, StepRow

_SQL = statements("lists")


class Rule(NamedTuple):
    """A trigger rule; ``mode``: event, absence or timed."""

    id: int
    name: str
    description: str
    enabled: bool
    mode: str
    event_kind: str | None
    tags_all: list[str]
    tags_any: list[str]
    min_count: int
    window_s: float
    every_s: float | None
    probability: float
    cooldown_s: float
    agent_id: str
    title: str
    steps: Any
    topics: list[str]
    topics_from: str
    next_due_at: datetime | None
    last_fired_at: datetime | None
    fire_count: int
    created_at: datetime


class Firing(NamedTuple):
    """An occasion on which a rule was looked at, and what came of it."""

    id: int
    rule_id: int
    rule: str
    event_id: int | None
    due_at: datetime | None
    subject: str
    rolled: float
    probability: float
    outcome: str
    reason: str | None
    proposal_id: int | None
    created_at: datetime


class Run(NamedTuple):
    """What a part of the heartbeat did, or failed at."""

    id: int
    part: str
    status: str
    result: Any
    failure_reason: str | None
    started_at: datetime
    completed_at: datetime


class Part(NamedTuple):
    """A part of the heartbeat; ``last_…`` of its last run that did or failed something."""

    part: str
    next_at: datetime
    last_status: str | None
    last_failure_reason: str | None
    last_completed_at: datetime | None


class Call(NamedTuple):
    """A call to a language model, as the ledger has it."""

    id: int
    created_at: datetime
    settled_at: datetime | None
    service: str
    model: str
    purpose: str
    agent_id: str | None
    mission_id: int | None
    work: str | None
    by_human: bool
    simulated: bool
    outcome: str
    cost_usd: Decimal
    would_cost_usd: Decimal
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    latency_ms: int | None


class Hour(NamedTuple):
    """How likely an agent joins at that hour of the company's day, and what it likes then."""

    hour: int
    activity_weight: Decimal
    preferred_formats: list[str]


class PolicyVersion(NamedTuple):
    """A value that a policy has or had."""

    version: int
    value: Any
    changed_by: str
    changed_at: datetime


async def missions(
    conn: Connection, limit: int, after: int | None, *, status: str | None = None
) -> list[MissionLine]:
    """Missions, of one status if given; ``active`` are those under way."""
    values = {"limit": limit, "after": after, "status": status}
    return [MissionLine._make(row) for row in await conn.fetch_all(_SQL["missions"], values)]


async def steps(
    conn: Connection,
    limit: int,
    after: int | None,
    *,
    status: str | None = None,
    kind: str | None = None,
    mission: int | None = None,
    held: bool = False,
) -> list[StepRow]:
    """Steps, of one status, kind and mission if given; ``held``: only those that wait for a person's word."""
    values = {
        "limit": limit,
        "after": after,
        "status": status,
        "kind": kind,
        "mission": mission,
        "held": held,
    }
    return [StepRow._make(row) for row in await conn.fetch_all(_SQL["steps"], values)]


async def roundtables(
    conn: Connection, limit: int, after: int | None, *, status: str | None = None
) -> list[RoundtableRow]:
    """Conversations, of one status if given."""
    values = {"limit": limit, "after": after, "status": status}
    return [RoundtableRow._make(row) for row in await conn.fetch_all(_SQL["roundtables"], values)]


async def initiatives(
    conn: Connection, limit: int, after: int | None, *, status: str | None = None
) -> list[InitiativeRow]:
    """Initiatives, of one status if given."""
    values = {"limit": limit, "after": after, "status": status}
    return [InitiativeRow._make(row) for row in await conn.fetch_all(_SQL["initiatives"], values)]


async def memories(
    conn: Connection,
    limit: int,
    after: int | None,
    *,
    agent: str | None = None,
    type: str | None = None,
    superseded: bool = False,
) -> list[Memory]:
    """Memories, of one agent and type if given; ``superseded``: those that are not active any more, too."""
    values = {"limit": limit, "after": after, "agent": agent, "type": type, "all": superseded}
    return [Memory(*row) for row in await conn.fetch_all(_SQL["memories"], values)]


async def rules(conn: Connection, limit: int, after: int | None) -> list[Rule]:
    """Trigger rules, by id."""
    return [Rule._make(row) for row in await conn.fetch_all(_SQL["rules"], {"limit": limit, "after": after})]


async def switch_rule(conn: Connection, id: int, *, enabled: bool) -> bool:
    """The rule is enabled or not; False: there is none of that id."""
    return await conn.fetch_value(_SQL["switch_rule"], {"id": id, "enabled": enabled}) is not None


async def firings(
    conn: Connection, limit: int, after: int | None, *, rule: int | None = None
) -> list[Firing]:
    """Occasions on which rules were looked at, of one rule if given."""
    values = {"limit": limit, "after": after, "rule": rule}
    return [Firing._make(row) for row in await conn.fetch_all(_SQL["firings"], values)]


async def runs(conn: Connection, limit: int, after: int | None, *, part: str | None = None) -> list[Run]:
    """Runs of the heartbeat's parts, of one part if given."""
    values = {"limit": limit, "after": after, "part": part}
    return [Run._make(row) for row in await conn.fetch_all(_SQL["runs"], values)]


async def parts(conn: Connection) -> list[Part]:
    """Every part of the heartbeat, by name."""
    return [Part._make(row) for row in await conn.fetch_all(_SQL["parts"])]


async def calls(conn: Connection, limit: int, after: int | None, *, agent: str | None = None) -> list[Call]:
    """Calls to a language model, of one agent if given."""
    values = {"limit": limit, "after": after, "agent": agent}
    return [Call._make(row) for row in await conn.fetch_all(_SQL["calls"], values)]


async def hours(conn: Connection, agent: str) -> list[Hour]:
    """The hours of the agent's day, those there are."""
    return [Hour._make(row) for row in await conn.fetch_all(_SQL["hours"], {"agent": agent})]


async def policy_history(conn: Connection, key: str, limit: int, after: int | None) -> list[PolicyVersion]:
    """The values a policy has had; none when there is no such policy."""
    values = {"key": key, "limit": limit, "after": after}
    return [PolicyVersion._make(row) for row in await conn.fetch_all(_SQL["policy_history"], values)]


async def drift_log(conn: Connection, one: str, other: str) -> Sequence[dict[str, Any]] | None:
    """The last drifts between the two, oldest first; None when they have never met."""
    log: Sequence[dict[str, Any]] | None = await conn.fetch_value(
        _SQL["drift_log"], {"one": one, "other": other}
    )
    return log


async def place(conn: Connection) -> Place:
    """The place behind everything that is final now: where who watches from now on begins."""
    return await events_store.now(conn)
