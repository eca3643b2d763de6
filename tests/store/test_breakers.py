from datetime import timedelta
from typing import Any

import psycopg
import pytest

from reactor.errors import OpsError
from reactor.model.breaker import Breaker, State
from reactor.pg import connect
from reactor.store import breakers
from tests.support.breakers import new_breaker
from tests.support.clock import NOON, Clock

pytestmark = pytest.mark.sql

Sql = psycopg.Connection[tuple[Any, ...]]


async def test_a_call_is_allowed_recorded_and_refused(database: str) -> None:
    async with await connect(database, name="test") as conn:
        assert await breakers.allow(conn, "anthropic")
        assert [await breakers.record(conn, "anthropic", False) for _ in range(5)] == ["closed"] * 4 + [
            "open"
        ]
        assert not await breakers.allow(conn, "anthropic")
        assert await breakers.reset(conn, "anthropic")
        assert not await breakers.reset(conn, "anthropic")
        assert await breakers.allow(conn, "anthropic")


async def test_an_unknown_service_is_our_error_with_its_code(database: str) -> None:
    async with await connect(database, name="test") as conn:
        for ask in (breakers.allow, breakers.reset):
            with pytest.raises(OpsError, match="unknown service 'nobody'; known are anthropic") as refusal:
                await ask(conn, "nobody")
            assert refusal.value.sqlstate == "OP003"


async def test_closed_services_say_how_long_until_a_try(database: str, sql: Sql) -> None:
    clock = Clock(sql)
    new_breaker(sql)
    open_ = new_breaker(sql, Breaker(State.OPEN, 5, opened_at=NOON))
    exhausted = new_breaker(sql, Breaker(State.HALF_OPEN, 5, 1, NOON, (NOON, NOON)))
    new_breaker(sql, Breaker(State.HALF_OPEN, 5, 1, NOON, (NOON,)))
    async with await connect(database, name="test") as conn:
        assert await breakers.closed_services(conn) == {open_: 900.0, exhausted: 1.0}
        clock.step(120)
        assert await breakers.closed_services(conn) == {open_: 780.0}
        clock.step(780)
        assert await breakers.closed_services(conn) == {}


async def test_breakers_are_listed_with_the_time_until_which_they_are_open(database: str, sql: Sql) -> None:
    Clock(sql)
    open_ = new_breaker(sql, Breaker(State.OPEN, 5, opened_at=NOON, open_seconds=60))
    half = new_breaker(sql, Breaker(State.HALF_OPEN, 5, 1, NOON, (NOON,)))
    async with await connect(database, name="test") as conn:
        rows = {row.service: row for row in await breakers.breakers(conn)}
    assert list(rows) == sorted([open_, half, "anthropic"])
    assert (rows["anthropic"].state, rows["anthropic"].open_until) == ("closed", None)
    assert (rows[open_].state, rows[open_].open_until) == ("open", NOON + timedelta(minutes=1))
    assert (rows[half].state, rows[half].permits_outstanding, rows[half].success_count) == ("half_open", 1, 1)
