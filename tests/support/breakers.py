"""A breaker's row read as the model's value."""

import itertools
from typing import Any

import psycopg

from reactor.model.breaker import Breaker, State

_numbers = itertools.count(1)


def new_breaker(sql: psycopg.Connection[tuple[Any, ...]], breaker: Breaker | None = None) -> str:
    """A service of its own with the thresholds and state of ``breaker``; returns its name."""
    breaker = breaker or Breaker()
    service = f"service-{next(_numbers)}"
    sql.execute(
        "insert into ops_circuit_breaker (service, state, failure_count, success_count, opened_at, permits,"
        " failure_threshold, success_threshold, open_seconds, permit_seconds)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            service,
            breaker.state.value,
            breaker.failure_count,
            breaker.success_count,
            breaker.opened_at,
            list(breaker.permits),
            breaker.failure_threshold,
            breaker.success_threshold,
            breaker.open_seconds,
            breaker.permit_seconds,
        ),
    )
    return service


def stored(sql: psycopg.Connection[tuple[Any, ...]], service: str) -> Breaker:
    """The row of ``service``."""
    row = sql.execute(
        "select state, failure_count, success_count, opened_at, permits,"
        " failure_threshold, success_threshold, open_seconds, permit_seconds"
        " from ops_circuit_breaker where service = %s",
        (service,),
    ).fetchone()
    assert row is not None
    return Breaker(State(row[0]), row[1], row[2], row[3], tuple(row[4]), *row[5:])


def allow(sql: psycopg.Connection[tuple[Any, ...]], service: str | None) -> bool:
    """What the function answers."""
    row = sql.execute("select ops_breaker_allow(%s::text)", (service,)).fetchone()
    assert row is not None
    return bool(row[0])


def record(sql: psycopg.Connection[tuple[Any, ...]], service: str | None, success: bool | None) -> str:
    """What the function answers."""
    row = sql.execute("select ops_breaker_record(%s::text, %s::boolean)", (service, success)).fetchone()
    assert row is not None
    return str(row[0])
