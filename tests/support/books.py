"""Calls on the books, reserved and settled by hand."""

from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

Session = psycopg.Connection[tuple[Any, ...]]
KEY_PRINT = "0123456789ab"


class Reserved(NamedTuple):
    """The answer to a reservation."""

    call_id: int | None
    verdict: str
    wait_s: float | None
    detail: str | None
    told: bool


def _arguments(named: dict[str, Any]) -> str:
    """By name, amounts as numeric."""
    casts = {name: "::numeric" if name.endswith("_usd") else "" for name in named}
    return ", ".join(f"{name} => %({name})s{cast}" for name, cast in casts.items())


def reserve(sql: Session, most_usd: float = 0.01, **given: Any) -> Reserved:
    """One call that may cost ``most_usd``; of an agent's own accord unless ``by_human``."""
    named: dict[str, Any] = {
        "service": "anthropic",
        "provider": "anthropic",
        "key_print": KEY_PRINT,
        "model": "claude-haiku-5-5",
        "purpose": "turn",
        "most_usd": most_usd,
        "lapse_s": 75.0,
        **given,
    }
    arguments = _arguments(named)
    row = sql.execute(
        f"select call_id, verdict, wait_s, detail, told from ops_llm_reserve({arguments})".encode(), named
    ).fetchone()
    assert row is not None
    return Reserved(*row)


def settle(sql: Session, call_id: int | None, cost_usd: float = 0.0, **given: Any) -> list[str]:
    """It ended well and cost so much, unless told otherwise; returns the lines that are worth telling."""
    named = {
        "call_id": call_id,
        "outcome": "ok",
        "cost_usd": cost_usd,
        "would_cost_usd": cost_usd,
        **given,
    }
    arguments = _arguments(named)
    return [
        line
        for (line,) in sql.execute(f"select line from ops_llm_settle({arguments})".encode(), named).fetchall()
    ]


def spend(sql: Session, usd: float, **given: Any) -> Reserved:
    """A call reserved and settled at ``usd``, or the refusal."""
    reserved = reserve(sql, usd, **given)
    if reserved.call_id is not None:
        settle(sql, reserved.call_id, usd)
    return reserved


def spent(sql: Session, scope: str = "day", name: str = "") -> float:
    """What the latest budget of that scope has given out."""
    row = sql.execute(
        "select usd::float8 from ops_llm_spending where scope = %s and name = %s order by since desc limit 1",
        (scope, name),
    ).fetchone()
    return 0.0 if row is None else float(row[0])


def budget(sql: Session, **limits: float | None) -> None:
    """Policy llm_budget with these limits."""
    sql.execute("select ops_set_policy('llm_budget', %s::jsonb)", (Jsonb(limits),))
