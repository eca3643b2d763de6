"""Out of budget on a whole reactor: model work waits, the rest goes on, and the next day it resumes by itself."""

import trio

from tests.asking.house import Sql, asking_reactor
from tests.engine.support import columns, insert, scalar, until_status
from tests.support.messages_api import Asked, Say, message, messages_api
from tests.support.waiting import until

WITHIN_S = 60.0
DEAR = {"input_tokens": 100, "output_tokens": 200_000}  # ten cents

_CLOCK = """
create or replace function ops_now()
returns timestamptz
language sql
stable
set search_path = public, pg_temp
as $$
  select now() + (timestamptz '2030-06-02 00:00:00+00' - interval '{before_s} s' - timestamptz '{start}')
$$;
"""


def midnight_in(sql: Sql, seconds: float) -> None:
    """The database's day ends in so many seconds."""
    start = scalar(sql, "select now()::text")
    sql.execute(_CLOCK.format(before_s=seconds, start=start).encode())


def spent(sql: Sql, id: int) -> bool:
    status, reason = columns(sql, id, "status, failure_reason")
    return status == "queued" and str(reason).startswith("out of budget: ")


async def test_out_of_budget_work_waits_unharmed_and_resumes_at_the_start_of_the_day(
    database: str, sql: Sql
) -> None:
    midnight_in(sql, 20)
    sql.execute("""select ops_set_policy('llm_budget', '{"per_day_usd": 0.05, "per_mission_usd": null}')""")
    async with (
        messages_api(lambda asked: Say(body=message(asked, usage=DEAR))) as api,
        asking_reactor(database, api.url),
    ):
        first = insert(sql, "summarize", '{"text": "Much was said."}')
        await until_status(sql, first, "succeeded", within_s=WITHIN_S)
        waiting = [insert(sql, "summarize", '{"text": "More was said."}') for _ in range(3)]
        noop = insert(sql)
        await until_status(sql, noop, "succeeded", within_s=WITHIN_S)
        await until(lambda: all(spent(sql, id) for id in waiting), within_s=WITHIN_S)
        assert len(api.asked) == 1, "what is not there is not spent"
        assert {columns(sql, id, "status, attempt") for id in waiting} == {("queued", 0)}
        assert scalar(sql, "select count(*) from ops_agent_events where kind = 'budget_spent'") == 1
        assert scalar(sql, "select count(*) from ops_agent_events where kind = 'budget_warned'") == 1
        assert scalar(sql, "select state from ops_circuit_breaker") == "closed"
        # The first of the new day spends it again; that it was made is what counts.
        await until(lambda: len(api.asked) >= 2, within_s=WITHIN_S)
        assert str(scalar(sql, "select max(day) from ops_llm_calls")) == "2030-06-02"
        await until(
            lambda: "succeeded" in {columns(sql, id, "status")[0] for id in waiting}, within_s=WITHIN_S
        )


async def test_a_raised_budget_lets_what_waits_go_on_at_once(database: str, sql: Sql) -> None:
    def dear_first(asked: Asked) -> Say:
        return Say(body=message(asked, usage=DEAR) if len(api.asked) == 1 else message(asked))

    sql.execute("""select ops_set_policy('llm_budget', '{"per_day_usd": 0.05, "per_mission_usd": null}')""")
    async with messages_api(dear_first) as api, asking_reactor(database, api.url):
        first = insert(sql, "summarize", '{"text": "Much was said."}')
        await until_status(sql, first, "succeeded", within_s=WITHIN_S)
        waiting = [insert(sql, "summarize", '{"text": "More was said."}') for _ in range(3)]
        await until(lambda: any(spent(sql, id) for id in waiting), within_s=WITHIN_S)
        # In a thread: it waits for completions under way, which go on in this loop.
        raised = """select ops_set_policy('llm_budget', '{"per_day_usd": 1}')"""
        await trio.to_thread.run_sync(sql.execute, raised)
        for id in waiting:
            await until_status(sql, id, "succeeded", within_s=WITHIN_S)
            assert columns(sql, id, "attempt") == (1,)
