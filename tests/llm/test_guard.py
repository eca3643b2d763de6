"""The gateway behind the breaker of a real database."""

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from reactor.errors import CallsPaused, LLMUnavailable, OpsError, RateLimited, ServiceClosed
from reactor.llm.gateway import Gateway
from reactor.llm.guard import StoredGuard
from reactor.llm.mock import MockProvider
from reactor.llm.request import LLMRequest, Message
from reactor.pg import Connection, Pool, connect

Sql = psycopg.Connection[tuple[Any, ...]]
REQUEST = LLMRequest(purpose="turn", messages=(Message("user", "hi"),))


@pytest.fixture
async def guard(database: str) -> AsyncIterator[StoredGuard]:
    async def open_connection() -> Connection:
        return await connect(database, name="test")

    pool = Pool(open_connection, limit=2)
    yield StoredGuard(pool)
    await pool.aclose()


def breaker(sql: Sql) -> tuple[Any, ...]:
    row = sql.execute(
        "select state, failure_count, success_count from ops_circuit_breaker where service = 'anthropic'"
    ).fetchone()
    assert row is not None
    return row


async def test_five_failures_in_a_row_open_the_breaker_and_close_the_door(
    guard: StoredGuard, sql: Sql
) -> None:
    failing = Gateway(MockProvider(failures={"529": 1.0}), guard)
    for count in range(1, 6):
        with pytest.raises(LLMUnavailable):
            await failing.complete(REQUEST)
        assert breaker(sql)[1] == count
    assert breaker(sql)[0] == "open"
    for _ in range(3):
        with pytest.raises(ServiceClosed):
            await failing.complete(REQUEST)
    assert breaker(sql) == ("open", 5, 0)


async def test_a_success_in_between_starts_the_count_again(guard: StoredGuard, sql: Sql) -> None:
    failing, well = Gateway(MockProvider(failures={"500": 1.0}), guard), Gateway(MockProvider(), guard)
    for _ in range(4):
        with pytest.raises(LLMUnavailable):
            await failing.complete(REQUEST)
    await well.complete(REQUEST)
    assert breaker(sql) == ("closed", 0, 0)


async def test_too_many_requests_do_not_count(guard: StoredGuard, sql: Sql) -> None:
    limited = Gateway(MockProvider(failures={"429": 1.0}), guard)
    for _ in range(8):
        with pytest.raises(RateLimited):
            await limited.complete(REQUEST)
    assert breaker(sql) == ("closed", 0, 0)


async def test_after_the_wait_good_answers_close_it_again(guard: StoredGuard, sql: Sql) -> None:
    failing, well = Gateway(MockProvider(failures={"529": 1.0}), guard), Gateway(MockProvider(), guard)
    for _ in range(5):
        with pytest.raises(LLMUnavailable):
            await failing.complete(REQUEST)
    sql.execute("update ops_circuit_breaker set opened_at = opened_at - interval '16 minutes'")
    await well.complete(REQUEST)
    assert breaker(sql)[0] == "half_open"
    await well.complete(REQUEST)
    await well.complete(REQUEST)
    assert breaker(sql)[0] == "closed"


async def test_a_service_nobody_knows_is_an_error_and_not_a_pass(guard: StoredGuard) -> None:
    class Elsewhere(MockProvider):
        service = "unheard-of"

    with pytest.raises(OpsError, match="unheard-of"):
        await Gateway(Elsewhere(), guard).complete(REQUEST)


async def test_while_everything_is_paused_no_call_goes_and_no_permit_is_spent(
    guard: StoredGuard, sql: Sql
) -> None:
    sql.execute(
        "update ops_circuit_breaker set state = 'open', failure_count = 5,"
        " opened_at = now() - interval '1 day' where service = 'anthropic'"
    )
    sql.execute("select ops_pause('all')")
    with pytest.raises(CallsPaused, match="everything is paused"):
        await guard.allow("anthropic")
    assert breaker(sql)[0] == "open", "it was not even asked"
    sql.execute("select ops_resume('initiative')")
    assert await guard.allow("anthropic")
