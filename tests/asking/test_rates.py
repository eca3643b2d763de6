"""More work than a minute allows: everything is done in the end, and the provider hardly ever has to say no."""

import pytest

from tests.asking.house import Sql, asking_reactor
from tests.engine.support import scalar, until_none_unfinished
from tests.support.messages_api import allowing, messages_api

STEPS = 60
ALLOWED = 50  # a minute, by the server
RESERVED = 45  # a minute, by us
# What is reserved in one minute may reach a server in the next, on a busy machine all that is under way at once.
REFUSED = STEPS // 4

_FAST = """
create or replace function ops_now()
returns timestamptz
language sql
stable
set search_path = public, pg_temp
as $$
  select timestamptz '2030-06-01 12:00:00+00' + (now() - timestamptz '{start}') * {speed}
$$;

-- Hearts beat as ever, too slowly for such a clock.
create or replace function ops_worker_is_dead(liveness_key integer, heartbeat_at timestamptz)
returns boolean
language sql
as 'select false';
"""


def run_fast(sql: Sql, speed: int) -> None:
    """A second of this database's clock lasts 1/``speed`` s."""
    sql.execute(_FAST.format(start=scalar(sql, "select now()::text"), speed=speed).encode())


async def _all_succeed(database: str, sql: Sql, *, minute_s: float, within_s: float) -> None:
    """60 steps on two reactors against a server that allows 50 in ``minute_s``: each is answered once, at its first attempt.

    A refusal is neither an attempt nor a failure of the service, and rare: our reservations keep the minute.
    """
    async with (
        messages_api(allowing(ALLOWED, minute_s)) as api,
        asking_reactor(database, api.url),
        asking_reactor(database, api.url),
    ):
        sql.execute(
            "insert into ops_mission_steps (kind, payload)"
            """ select 'summarize', '{"text": "Much was said."}' from generate_series(1, %s)""",
            (STEPS,),
        )
        await until_none_unfinished(sql, within_s=within_s)
    found = sql.execute(
        "select status, attempt, count(*) from ops_mission_steps group by status, attempt"
    ).fetchall()
    assert found == [("succeeded", 1, STEPS)]
    assert sql.execute("select state, failure_count from ops_circuit_breaker").fetchall() == [("closed", 0)]
    assert api.answered.count(200) == STEPS
    refused = len(api.answered) - STEPS
    assert api.answered.count(429) == refused <= REFUSED
    ended: dict[str, int] = dict(
        sql.execute("select outcome, count(*) from ops_llm_calls group by outcome").fetchall()
    )
    assert ended == {"ok": STEPS, **({"RateLimited": refused} if refused else {})}
    booked = scalar(
        sql,
        "select max((select count(*) from ops_llm_calls as later where later.created_at >= call.created_at"
        " and later.created_at < call.created_at + interval '1 minute')) from ops_llm_calls as call",
    )
    assert booked <= RESERVED


async def test_sixty_steps_against_fifty_a_minute_all_succeed(database: str, sql: Sql) -> None:
    speed = 20
    run_fast(sql, speed)
    # On the way to the server calls crowd a little, here twenty times as much: it looks at less than a minute.
    await _all_succeed(database, sql, minute_s=45 / speed, within_s=60)


@pytest.mark.chaos
async def test_sixty_steps_against_fifty_a_real_minute_all_succeed(database: str, sql: Sql) -> None:
    await _all_succeed(database, sql, minute_s=60, within_s=240)
