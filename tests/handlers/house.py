"""A small house for handler tests: a team, a company, and a door that is always open."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from reactor.handlers.context import Context, Roster
from reactor.handlers.kinds import KindRegistry, StepKind
from reactor.handlers.thinking import house_kinds
from reactor.llm.gateway import Gateway, Guard, Provider
from reactor.llm.mock import MockProvider
from reactor.model.people import Agent, Company
from reactor.pg import Connection, Pool, connect
from reactor.store.claimed import ClaimedStep

TEAM = [
    Agent("minion", "Minion", "coordinator", directive="Get it done."),
    Agent("sage", "Sage", "strategy analyst", tone="careful"),
    Agent("scout", "Scout", "growth"),
    Agent("quill", "Quill", "writer"),
    Agent("xalt", "Xalt", "social media"),
    Agent("observer", "Observer", "quality"),
    Agent("retired", "Retired", "gone", active=False),
]
COMPANY = Company(
    name="Brightside Coffee",
    what="roasts coffee in small batches",
    customers="home baristas",
    goals=("double the subscriptions",),
    tone="warm",
    never=("promise delivery dates",),
)


class OpenGuard:
    """Lets everything through and remembers the reports."""

    def __init__(self) -> None:
        self.reports: list[bool] = []

    async def allow(self, service: str) -> bool:
        return True

    async def record(self, service: str, success: bool) -> None:
        self.reports.append(success)


class Unreachable(Exception):
    """Somebody asked the database who had no reason to."""


async def _no_database() -> Connection:
    raise Unreachable


def pool_of(dsn: str | None, limit: int = 4) -> Pool:
    """A pool on ``dsn``; without one, a pool that fails whoever borrows from it."""
    open_connection: Callable[[], Awaitable[Connection]] = _no_database
    if dsn is not None:

        async def open_connection() -> Connection:
            return await connect(dsn, name="test")

    return Pool(open_connection, limit=limit)


def house(
    dsn: str | None = None,
    *,
    kinds: Sequence[StepKind] = (),
    provider: Provider | None = None,
    guard: Guard | None = None,
    roster: Roster | None = None,
    default_agent: str | None = None,
) -> Context:
    """Everything handlers share: on the mock, with our kinds and ``kinds``."""
    roster = roster or Roster(TEAM, COMPANY)
    return Context(
        pool_of(dsn),
        Gateway(provider or MockProvider(), guard or OpenGuard(), limits=lambda: roster.limits),
        KindRegistry([*house_kinds(), *kinds]),
        roster,
        default_agent,
    )


def claimed(kind: str, payload: dict[str, Any] | None = None, **columns: Any) -> ClaimedStep:
    """A claimed step of ``kind``."""
    row = ClaimedStep(
        id=1,
        priority=5,
        run_at=datetime(2026, 1, 1, tzinfo=UTC),
        attempt=1,
        max_attempts=3,
        simulated=False,
        mission_id=None,
        seq=1,
        kind=kind,
        agent_id=None,
        payload=payload or {},
    )
    return row._replace(**columns)
