"""Circuit breakers, one a service. Twin of ``queries/breakers.sql``."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("breakers")


class BreakerRow(NamedTuple):
    """A breaker as it stands. ``open_until`` is None unless it is open."""

    service: str
    state: str
    failure_count: int
    success_count: int
    failure_threshold: int
    success_threshold: int
    open_seconds: float
    permit_seconds: float
    opened_at: datetime | None
    open_until: datetime | None
    permits_outstanding: int


async def allow(conn: Connection, service: str) -> bool:
    """Whether a call to ``service`` may go ahead now; the caller then owes a `record`.

    Raises: OpsError OP003: no such service; the message names those there are.
    Cancellation: a permit given meanwhile lapses by itself.
    """
    return bool(await conn.fetch_value(_SQL["allow"], {"service": service}))


async def allow_llm_calls(conn: Connection, services: Sequence[str]) -> list[bool | None]:
    """As `allow`, for a call to the language model each; None, and no permit, while everything is paused."""
    rows = await conn.fetch_all(_SQL["allow_llm_calls"], {"services": list(services)})
    return [allowed for _, allowed in sorted(rows)]


async def record(conn: Connection, service: str, success: bool) -> str:
    """The call is counted; returns the state after it: ``closed``, ``open`` or ``half_open``.

    Raises: OpsError OP003: no such service.
    """
    state: str = await conn.fetch_value(_SQL["record"], {"service": service, "success": success})
    return state


async def record_all(conn: Connection, reports: Sequence[tuple[str, bool]]) -> list[str]:
    """As `record`, for each (service, success), one after the other."""
    values = {
        "services": [service for service, _ in reports],
        "successes": [success for _, success in reports],
    }
    return [state for _, state in sorted(await conn.fetch_all(_SQL["record_all"], values))]


async def reset(conn: Connection, service: str) -> bool:
    """The breaker is closed and its failures forgotten, a refused key is tried again; True when something changed.

    Raises: OpsError OP003: no such service.
    """
    return bool(await conn.fetch_value(_SQL["reset"], {"service": service}))


async def closed_services(conn: Connection, key_print: str = "") -> dict[str, float]:
    """Services not callable now, each with the seconds until a try may be allowed, more than 0.

    Closed is what its breaker refuses, and for the key of that fingerprint also what the provider asked to wait for, what
    would be too much for this minute, or for the budget. A breaker that is half open with all permits given says
    1.0: reports or lapses decide, not a known time.
    """
    return dict(await conn.fetch_all(_SQL["closed_services"], {"key_print": key_print}))


async def breakers(conn: Connection) -> list[BreakerRow]:
    """Every breaker, by name of its service."""
    return [BreakerRow(*row) for row in await conn.fetch_all(_SQL["breakers"])]
