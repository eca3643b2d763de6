"""What the page shows beside what other topics have already. Twin of ``queries/board.sql``."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("board")


class Seated(NamedTuple):
    """An agent in the room.

    ``roundtable_id``: the conversation it is in now; ``has_the_word``: it spoke last there. ``busy_with``: the kind of its
    running step, or what it asks the model for. ``dialogue``: the last thing it said anywhere.
    """

    id: str
    display_name: str
    role: str
    roundtable_id: int | None
    format: str | None
    step_id: int | None
    busy_with: str | None
    has_the_word: bool
    asks_the_model: bool
    dialogue: str | None
    tone: str | None
    said_at: datetime | None

    @property
    def mood(self) -> str:
        """``talks``, ``thinks``, ``listens`` or ``waits``."""
        if self.asks_the_model or (self.step_id is not None and self.roundtable_id is None):
            return "thinks"
        if self.roundtable_id is not None:
            return "talks" if self.has_the_word else "listens"
        return "waits"


class Budgets(NamedTuple):
    """Today and this month in USD. ``would``: at the model's prices, whoever answered; limits None: there is none."""

    day: date
    calls: int
    cost_usd: float
    would_usd: float
    month_usd: float
    month_would_usd: float
    day_limit_usd: float | None
    month_limit_usd: float | None
    kept_for_people: float
    day_share: float


class DayCost(NamedTuple):
    """What an agent's calls came to on a day; agent None: nobody's in particular."""

    day: date
    agent_id: str | None
    calls: int
    cost_usd: float
    would_usd: float


class Conversation(NamedTuple):
    """A conversation in a list; ``turns_planned`` None until it has begun."""

    id: int
    format: str
    topic: str | None
    participants: list[str] | None
    status: str
    source: str
    simulated: bool
    failure_reason: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    run_at: datetime
    turns_planned: int | None
    turns_taken: int
    distillate: str | None
    summary: str | None


class PairHistory(NamedTuple):
    """Two agents, and the log of the last drifts between them, the oldest first."""

    agent_a: str
    agent_b: str
    affinity: Decimal
    seed_affinity: Decimal
    total_interactions: int
    positive_interactions: int
    negative_interactions: int
    drift_log: list[dict[str, Any]]
    created_at: datetime


class PastValue(NamedTuple):
    """A value a policy had."""

    version: int
    value: Any
    changed_by: str
    changed_at: datetime


class Rate(NamedTuple):
    """How many rows of a queue ended lately."""

    last_minute: int
    last_five: int


class Occurrence(NamedTuple):
    """An occurrence of the timetable that was due."""

    name: str
    format: str
    due_at: datetime
    outcome: str
    roundtable_id: int | None


class SlowStatement(NamedTuple):
    """A statement of a reactor that has been running for ``running_s``."""

    pid: int
    application: str
    running_s: float
    waits_for_a_lock: bool
    statement: str


class Link(NamedTuple):
    """An event of a chain of causes."""

    id: int
    created_at: datetime
    kind: str
    agent_id: str | None
    title: str
    summary: str | None
    depth: int


async def room(conn: Connection) -> list[Seated]:
    """Everybody active, by id."""
    return [Seated._make(row) for row in await conn.fetch_all(_SQL["room"])]


async def budgets(conn: Connection) -> Budgets:
    """What was spent and what may be."""
    row = await conn.fetch_row(_SQL["budgets"])
    assert row is not None
    return Budgets._make(row)


async def costs(conn: Connection, days: int) -> list[DayCost]:
    """What the last ``days`` days cost by agent, the oldest first; days without calls are left out."""
    return [DayCost._make(row) for row in await conn.fetch_all(_SQL["costs"], {"days": days})]


async def mission_costs(conn: Connection, missions: Sequence[int]) -> dict[int, tuple[float, float]]:
    """USD spent, and at the model's prices, for those of ``missions`` that had calls."""
    rows = await conn.fetch_all(_SQL["mission_costs"], {"missions": list(missions)})
    return {row[0]: (row[1], row[2]) for row in rows}


async def usual_costs(conn: Connection) -> dict[str, float]:
    """USD that a step of each kind has lately cost on average, at the model's prices."""
    return {row[0]: row[1] for row in await conn.fetch_all(_SQL["usual_costs"])}


async def conversations(conn: Connection, limit: int) -> list[Conversation]:
    """The last ``limit`` conversations, those under way first."""
    return [Conversation._make(row) for row in await conn.fetch_all(_SQL["conversations"], {"limit": limit})]


async def pair(conn: Connection, one: str, other: str) -> PairHistory | None:
    """How two agents stand and stood; the order does not matter; None: they have never met."""
    first, second = sorted((one, other))
    row = await conn.fetch_row(_SQL["pair"], {"agent_a": first, "agent_b": second})
    return PairHistory._make(row) if row else None


async def drifts(conn: Connection) -> dict[tuple[str, str], list[float]]:
    """The affinities each pair went through lately, the oldest first, beginning with the one it was seeded with."""
    return {
        (first, second): [seed, *affinities]
        for first, second, affinities, seed in await conn.fetch_all(_SQL["drifts"])
    }


async def policy_history(conn: Connection, key: str, limit: int = 50) -> list[PastValue]:
    """Every value the policy had, the newest first."""
    rows = await conn.fetch_all(_SQL["policy_history"], {"key": key, "limit": limit})
    return [PastValue._make(row) for row in rows]


async def rates(conn: Connection) -> dict[str, Rate]:
    """By queue; exact while fewer than 20,000 rows end in five minutes."""
    return {row[0]: Rate(row[1], row[2]) for row in await conn.fetch_all(_SQL["rates"])}


async def digest(conn: Connection) -> tuple[date, dict[str, Any]] | None:
    """The last day that was summed up, with its figures."""
    row = await conn.fetch_row(_SQL["digest"])
    return (row[0], row[1]) if row else None


async def occurrences(conn: Connection) -> list[Occurrence]:
    """What became of the last day's timetable, the latest first."""
    return [Occurrence._make(row) for row in await conn.fetch_all(_SQL["occurrences"])]


async def for_you(conn: Connection, most: int) -> int:
    """How many proposals and held steps wait for a person's word, of each at most ``most``."""
    number: int = await conn.fetch_value(_SQL["for_you"], {"most": most})
    return number


async def horizon_age_s(conn: Connection) -> float | None:
    """For how long the oldest open write transaction of the cluster has been open; None: there is none."""
    age: float | None = await conn.fetch_value(_SQL["horizon"])
    return age


async def chain(conn: Connection, root: int, limit: int = 50) -> list[Link]:
    """The event ``root`` and what followed from it, in order."""
    return [Link._make(row) for row in await conn.fetch_all(_SQL["chain"], {"root": root, "limit": limit})]


async def slow_statements(conn: Connection) -> list[SlowStatement]:
    """What reactors are at for over half a second by now, the longest first, at most ten."""
    return [SlowStatement._make(row) for row in await conn.fetch_all(_SQL["slow_statements"])]
