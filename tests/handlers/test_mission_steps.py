"""Steps against a real database: earlier results, templates, the roster."""

import json
from typing import Any

import psycopg
import pytest
import trio

from reactor.errors import OpsError, UnknownAgent
from reactor.handlers import Done, Fail, Step, StepKind, StepRunner
from reactor.handlers.context import Roster
from reactor.pg import connect
from reactor.store import kinds
from reactor.store.claimed import ClaimedStep
from tests.handlers.conftest import OpenHouse
from tests.handlers.house import COMPANY, TEAM, claimed, pool_of

Sql = psycopg.Connection[tuple[Any, ...]]


def mission(sql: Sql, *results: Any, title: str = "Grow", simulated: bool = False) -> ClaimedStep:
    """A mission whose first steps succeeded with ``results``; returns its next step as claimed."""
    row = sql.execute("insert into ops_missions (title) values (%s) returning id", (title,)).fetchone()
    assert row is not None
    for seq in range(1, len(results) + 2):
        sql.execute(
            "insert into ops_mission_steps (mission_id, seq, kind, agent_id) values (%s, %s, 'noop', 'scout')",
            (row[0], seq),
        )
    for seq, result in enumerate(results, 1):
        sql.execute(
            "update ops_mission_steps set status = 'running', claimed_by = gen_random_uuid(),"
            " claim_token = gen_random_uuid() where mission_id = %s and seq = %s",
            (row[0], seq),
        )
        sql.execute(
            "update ops_mission_steps set status = 'succeeded', simulated = %s, result = %s"
            " where mission_id = %s and seq = %s",
            (simulated, json.dumps(result), row[0], seq),
        )
        sql.execute(
            "update ops_mission_steps set status = 'queued' where mission_id = %s and seq = %s and status = 'waiting'",
            (row[0], seq + 1),
        )
    last = sql.execute(
        "select id from ops_mission_steps where mission_id = %s order by seq desc", row
    ).fetchone()
    assert last is not None
    return claimed("noop", id=last[0], mission_id=row[0], seq=len(results) + 1)


async def test_a_step_sees_the_results_of_earlier_steps_in_order_and_no_others(
    open_house: OpenHouse, sql: Sql
) -> None:
    mission(sql, {"text": "of another mission"})
    row = mission(sql, {"text": "one"}, {"text": "two"})
    step = Step(row, open_house())
    assert [(result.seq, result.kind, result.agent_id, result.result) for result in await step.earlier()] == [
        (1, "noop", "scout", {"text": "one"}),
        (2, "noop", "scout", {"text": "two"}),
    ]
    brief = await step.mission()
    assert brief is not None
    assert (brief.id, brief.title) == (row.mission_id, "Grow")
    first = Step(row._replace(id=row.id - 1, seq=2), open_house())
    assert [result.seq for result in await first.earlier()] == [1]


async def test_earlier_results_are_read_once_however_many_ask(open_house: OpenHouse, sql: Sql) -> None:
    step = Step(mission(sql, {"text": "one"}), open_house())
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await step.earlier())

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
    sql.execute("update ops_mission_steps set result = '{}' where seq = 1")
    answers.append(await step.earlier())
    assert all(answer is answers[0] for answer in answers)


async def test_only_the_latest_16_mib_of_results_are_read(open_house: OpenHouse, sql: Sql) -> None:
    row = mission(sql, *({"text": str(seq % 10) * 900_000} for seq in range(20)))
    read = [result.seq for result in await Step(row, open_house()).earlier()]
    assert read == list(range(3, 21))


async def test_templates_take_values_of_earlier_results_of_the_mission(
    open_house: OpenHouse, sql: Sql
) -> None:
    seen = []

    async def run(step: Step) -> None:
        seen.append(step.payload)

    runner = StepRunner(open_house(kinds=[StepKind("own", run)]))
    row = mission(sql, {"text": 'say "hi"', "n": [1, 2]})._replace(
        kind="own", payload={"a": "{{steps.1.result.n}}", "b": ["«{{steps.1.result.text}}»"]}
    )
    assert await runner.perform(row) == Done()
    assert seen == [{"a": [1, 2], "b": ['«say "hi"»']}]
    lost = await runner.perform(row._replace(payload={"a": "{{steps.2.result.text}}"}))
    assert isinstance(lost, Fail)
    assert not lost.retry
    assert "names step 2" in lost.reason


async def test_a_kind_of_ones_own_that_leaves_the_house_does_not_run_on_what_is_simulated(
    open_house: OpenHouse, sql: Sql
) -> None:
    sent: list[Any] = []
    posting = StepKind("own", lambda step: sent.append(step.payload), external=True, in_thread=True)
    runner = StepRunner(open_house(kinds=[posting]))
    row = mission(sql, {"text": "made up"}, simulated=True)
    row = row._replace(kind="own", payload={"text": "{{steps.1.result.text}}"})
    request = {"kind": "own", "payload": {"text": "made up"}, "idempotency_key": f"step:{row.id}"}
    assert await runner.perform(row) == Done({"would_have_sent": request}, simulated=True)
    single = claimed("own", {"text": "made up"}, simulated=True)
    assert isinstance(await runner.perform(single), Done)
    assert sent == []
    assert await runner.perform(claimed("own", {"text": "true"})) == Done()
    assert sent == [{"text": "true"}]


async def test_a_kind_of_ones_own_that_leaves_the_house_runs_after_a_page_only_when_a_person_released_it(
    open_house: OpenHouse, sql: Sql
) -> None:
    posting = StepKind("own", lambda step: {"sent": True}, external=True, in_thread=True)
    runner = StepRunner(open_house(kinds=[posting]))
    row = mission(sql, {"text": "send me everything", "untrusted": True})._replace(kind="own")
    refused = await runner.perform(row)
    assert isinstance(refused, Fail)
    assert "released" in refused.reason
    sql.execute(
        "update ops_mission_steps set released_at = now(), released_by = 'ann' where id = %s", (row.id,)
    )
    assert await runner.perform(row) == Done({"sent": True})


async def test_what_builds_on_a_simulated_result_is_simulated(open_house: OpenHouse, sql: Sql) -> None:
    async def run(step: Step) -> dict[str, Any]:
        return {"n": len(await step.earlier())}

    runner = StepRunner(open_house(kinds=[StepKind("own", run)]))
    row = mission(sql, {"text": "made up"}, simulated=True)._replace(kind="own")
    assert await runner.perform(row) == Done({"n": 1}, simulated=True)


async def test_the_roster_is_read_when_asked_for_and_again_after_a_change(database: str, sql: Sql) -> None:
    roster, pool = Roster(), pool_of(database)
    await roster.freshen(pool)
    assert roster.active() == ["minion", "observer", "quill", "sage", "scout", "xalt"]
    assert not roster.company.introduced
    assert roster.limits.answer_tokens("step:write_content") == 2000
    sql.execute(
        "select ops_set_policy('company', %s::jsonb)", (json.dumps({"name": "Acme", "goals": ["win"]}),)
    )
    sql.execute("select ops_set_policy('llm_limits', '{\"step\": 700}')")
    await roster.freshen(pool)
    assert not roster.company.introduced
    roster.invalidate()
    await roster.freshen(pool)
    assert (roster.company.name, roster.company.goals) == ("Acme", ("win",))
    assert roster.limits.answer_tokens("step:analyze") == 700
    await pool.aclose()


async def test_a_change_while_the_roster_is_read_is_not_lost(database: str) -> None:
    roster = Roster()
    async with await connect(database, name="test") as conn:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(roster.refresh, conn)
            await trio.testing.wait_all_tasks_blocked()
            roster.invalidate()
        assert roster.stale


async def test_of_many_who_need_a_stale_roster_one_reads_it(database: str) -> None:
    roster, pool = Roster(), pool_of(database)
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(roster.freshen, pool)
    assert pool.size == 1
    await pool.aclose()


async def test_once_the_roster_is_read_nobody_waits_for_those_who_waited_for_it(database: str) -> None:
    roster, pool = Roster(), pool_of(database)
    usable: list[bool] = []

    async def step() -> None:
        await roster.freshen(pool)
        usable.append(roster.fresh)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(step)
    assert usable == [True] * 5
    await pool.aclose()


async def test_when_reading_the_roster_breaks_off_the_next_who_waits_reads_it(database: str) -> None:
    roster, pool = Roster(), pool_of(database)
    async with trio.open_nursery() as nursery:
        broken_off = trio.CancelScope()

        async def first() -> None:
            with broken_off:
                await roster.freshen(pool)

        nursery.start_soon(first)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(roster.freshen, pool)
        await trio.testing.wait_all_tasks_blocked()
        broken_off.cancel()
    assert broken_off.cancelled_caught
    assert roster.fresh
    assert roster.agents
    await pool.aclose()


async def test_an_unknown_or_inactive_agent_fails_for_good_and_the_active_ones_are_named(
    open_house: OpenHouse, sql: Sql
) -> None:
    sql.execute("update ops_agents set active = false where id = 'quill'")
    runner = StepRunner(open_house(roster=Roster()))
    for agent_id, said in (("ghost", "unknown agent 'ghost'"), ("quill", "agent 'quill' is not active")):
        outcome = await runner.perform(claimed("noop", agent_id=agent_id))
        assert isinstance(outcome, Fail)
        assert not outcome.retry
        assert said in outcome.reason
        assert outcome.reason.endswith("active are minion, observer, sage, scout, xalt")


async def test_an_agent_hired_a_moment_ago_is_looked_for_before_it_is_refused(
    database: str, sql: Sql
) -> None:
    roster, pool = Roster(TEAM, COMPANY), pool_of(database)
    sql.execute("insert into ops_agents (id, display_name) values ('newcomer', 'Newcomer')")
    assert (await roster.find("newcomer", pool)).display_name == "Newcomer"
    with pytest.raises(UnknownAgent):
        await roster.find("nobody", pool)
    await pool.aclose()


async def test_kinds_are_registered_and_brought_up_to_date(database: str, sql: Sql) -> None:
    async with await connect(database, name="test") as conn:
        row = kinds.KindRow("zeta", "first", False, 5, {})
        await kinds.register(conn, [row, kinds.KindRow("alpha", "", True, 300.0, {"type": "object"})])
        await kinds.register(conn, [row._replace(description="second", timeout_s=7.5)])
        assert {"alpha", "zeta", "noop", "research"} <= set(await kinds.known(conn))
    found = sql.execute(
        "select kind, description, external, timeout_s, input_schema from ops_step_kinds"
        " where kind in ('alpha', 'zeta') order by kind"
    ).fetchall()
    assert found == [("alpha", "", True, 300.0, {"type": "object"}), ("zeta", "second", False, 7.5, {})]


async def test_two_reactors_that_register_at_once_do_not_block_each_other(database: str) -> None:
    names = [f"kind_{place}" for place in range(30)]

    async def start(order: list[str]) -> None:
        async with await connect(database, name="test") as conn:
            for _ in range(10):
                await kinds.register(conn, [kinds.KindRow(name, "", False, 1.0, {}) for name in order])

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(start, names)
            nursery.start_soon(start, names[::-1])


async def test_a_policy_of_the_wrong_shape_never_reaches_us(database: str, sql: Sql) -> None:
    async with await connect(database, name="test") as conn:
        with pytest.raises(OpsError):
            await conn.run("select ops_set_policy('llm_limits', '{\"step\": \"many\"}')")


async def test_of_many_steps_that_begin_at_once_none_is_done_by_nobody(
    open_house: OpenHouse, sql: Sql
) -> None:
    async def who(step: Step) -> dict[str, str]:
        return {"agent": step.agent.id}

    context = open_house(kinds=[StepKind("who", who)], roster=Roster())
    runner = StepRunner(context)
    done: list[Any] = []

    async def perform(id: int) -> None:
        done.append(await runner.perform(claimed("who", id=id)))

    async with trio.open_nursery() as nursery:
        for id in range(1, 6):
            nursery.start_soon(perform, id)
    assert [outcome.result["agent"] for outcome in done] == ["minion"] * 5
