"""What the language model was asked and what it cost, added up. Twin of ``queries/costs.sql``."""

from datetime import date
from typing import Final, Literal, NamedTuple

from reactor.model.queues import What
from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("costs")

By = Literal["day", "agent", "purpose", "model", "mission"]
BYS: Final[tuple[By, ...]] = ("day", "agent", "purpose", "model", "mission")
_DEAREST: Final = 20  # missions


class Standing(NamedTuple):
    """Today, this month and the last seven days, by the company's calendar.

    ``would_usd``: what it would have cost had nothing been simulated. ``days_seen``: how many of the seven days count.
    """

    day: date
    timezone: str
    days_seen: float
    days_left: float
    day_calls: int
    day_usd: float
    day_would_usd: float
    month_calls: int
    month_usd: float
    month_would_usd: float
    week_calls: int
    week_usd: float
    week_would_usd: float


class Sum(NamedTuple):
    """Calls that have something in common. ``failed``: those that brought no answer. ``simulated``: those that were free."""

    name: str
    title: str | None
    calls: int
    failed: int
    simulated: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    would_cost_usd: float


class Budget(NamedTuple):
    """One limit, and what is spent of it. ``for_agents_usd``: where work stops that no person asked for."""

    scope: str
    name: str
    limit_usd: float
    for_agents_usd: float
    spent_usd: float


class PausedKey(NamedTuple):
    """A key no call is made with: ``rate_limited`` or ``key_refused``, for so long."""

    service: str
    reason: str
    wait_s: float


async def standing(conn: Connection) -> Standing:
    """How it stands now."""
    row = await conn.fetch_row(_SQL["standing"])
    assert row is not None
    return Standing(*row)


async def sums(conn: Connection, by: By, days: int) -> list[Sum]:
    """The calls of the last ``days`` days, today among them: by day the newest first, by anything else the dearest."""
    rows = await conn.fetch_all(_SQL[f"by_{by}"], {"days": days, "limit": _DEAREST})
    return [Sum(*row) for row in rows]


async def budgets(conn: Connection) -> list[Budget]:
    """The budgets that have a limit: the day's, the month's, those of agents who asked today."""
    return [Budget(*row) for row in await conn.fetch_all(_SQL["budgets"])]


async def paused_keys(conn: Connection) -> list[PausedKey]:
    """Keys that are paused."""
    return [PausedKey(*row) for row in await conn.fetch_all(_SQL["keys"])]


class OfThing(NamedTuple):
    """What one thing cost, and would have cost had nothing been simulated."""

    calls: int
    cost_usd: float
    would_cost_usd: float


async def of_thing(conn: Connection, what: What, id: int) -> OfThing:
    """What the calls for the thing came to; of a mission, those of its steps."""
    row = await conn.fetch_row(_SQL["of_thing"], {"what": what, "id": id})
    assert row is not None
    return OfThing(*row)
