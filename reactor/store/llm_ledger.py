"""The books of the language model. Twin of ``queries/llm_ledger.sql``."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("llm_ledger")


class NewCall(NamedTuple):
    """A call about to be made. ``most_usd``: what it may cost; ``lapse_s``: when nobody will settle it any more."""

    service: str
    provider: str
    key_print: str
    model: str
    purpose: str
    most_usd: float
    lapse_s: float
    agent_id: str | None
    mission_id: int | None
    work: str | None
    by_human: bool
    simulated: bool
    unpriced: bool


class Reserved(NamedTuple):
    """The answer to it.

    ``verdict``: ok, held, rate_limited, key_refused, rate, busy or budget; but for ok there is no call, and ``wait_s`` says
    when to ask again (None: somebody must lift it). ``told``: this refusal is the first of its kind.
    """

    call_id: int | None
    verdict: str
    wait_s: float | None
    detail: str | None
    told: bool


class Settled(NamedTuple):
    """How a call ended. ``made``: whether it went out at all. ``pause``: rate_limited or key_refused, its key must wait."""

    call_id: int
    outcome: str
    model: str | None
    cost_usd: float
    would_cost_usd: float
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    latency_ms: int
    made: bool
    pause: str | None
    pause_s: float | None


async def reserve(conn: Connection, call: NewCall) -> Reserved:
    """The call is on the books and its amount set aside, or nothing is.

    Cancellation: it may be on the books all the same; then it lapses at the reserved amount.
    """
    row = await conn.fetch_row(_SQL["reserve"], call._asdict())
    assert row is not None
    return Reserved(*row)


async def reserve_together(conn: Connection, calls: Sequence[NewCall]) -> list[Reserved]:
    """`reserve` for calls of one key, in their order; all or, where there is not room for all, as many as there is room for.

    Cancellation: as there.
    """
    first = calls[0]
    values = {
        "service": first.service,
        "provider": first.provider,
        "key_print": first.key_print,
        "simulated": first.simulated,
        "calls": json.dumps([call._asdict() for call in calls]),
    }
    rows = await conn.fetch_all(_SQL["reserve_together"], values)
    return [Reserved(*row[1:]) for row in sorted(rows)]


async def settle(conn: Connection, call: Settled) -> list[str]:
    """The call has cost what it cost; returns lines worth telling, such as that most of a budget is spent.

    Settled twice changes nothing.
    """
    values: dict[str, Any] = call._asdict()
    return [row[0] for row in await conn.fetch_all(_SQL["settle"], values)]


async def settle_together(conn: Connection, calls: Sequence[Settled]) -> list[str]:
    """`settle` for calls of which none pauses its key."""
    values = {"calls": json.dumps([call._asdict() for call in calls])}
    return [row[0] for row in await conn.fetch_all(_SQL["settle_together"], values)]


async def note_real_call(conn: Connection) -> bool:
    """A model has answered for real; True for the first time ever."""
    return bool(await conn.fetch_value(_SQL["note_real_call"]))


async def remaining(conn: Connection) -> dict[str, float]:
    """USD left of ``day``, ``month`` and, where agents have a limit, ``agent NAME``; those without a limit are left out."""
    return dict(await conn.fetch_all(_SQL["remaining"]))
