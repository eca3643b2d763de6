"""The books of the language model: reserved before, settled after, never more than the budgets and the minute allow."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support.books import KEY_PRINT, Session, budget, reserve, settle, spend, spent
from tests.support.clock import NOON, Clock
from tests.support.sessions import at_once, overlapping

pytestmark = pytest.mark.sql

DAY_S = 86400.0


@pytest.fixture
def clock(sql: Session) -> Clock:
    return Clock(sql)


def value(sql: Session, query: str, *values: Any) -> Any:
    row = sql.execute(query.encode(), values or None).fetchone()
    assert row is not None
    return row[0]


def events(sql: Session, kind: str) -> list[tuple[str, str]]:
    return sql.execute(
        "select title, summary from ops_agent_events where kind = %s order by id", (kind,)
    ).fetchall()


def closed(sql: Session) -> dict[str, float]:
    return dict(sql.execute("select service, wait_s from ops_closed_services(%s)", (KEY_PRINT,)).fetchall())


def mission_of(sql: Session, source: str) -> int:
    """A mission that came from an accepted proposal of that source."""
    return int(
        value(
            sql,
            "select mission_id from ops_propose('sage', %s, '[{\"kind\": \"analyze\"}]', source => %s)",
            f"by {source}",
            source,
        )
    )


# -- reserved, settled, lapsed


def test_what_is_reserved_counts_at_once_and_what_it_cost_counts_after(sql: Session, clock: Clock) -> None:
    mission_id = mission_of(sql, "agent")
    scopes = [("day", ""), ("month", ""), ("agent", "sage"), ("mission", str(mission_id))]
    reserved = reserve(sql, 0.02, agent_id="sage", mission_id=mission_id)
    assert (reserved.verdict, reserved.told) == ("ok", False)
    assert [spent(sql, *scope) for scope in scopes] == [0.02] * 4
    settle(sql, reserved.call_id, 0.005)
    assert [spent(sql, *scope) for scope in scopes] == [0.005] * 4


def test_a_call_is_settled_once(sql: Session, clock: Clock) -> None:
    reserved = reserve(sql, 0.02)
    for cost_usd in (0.005, 0.009, 0.0):
        settle(sql, reserved.call_id, cost_usd)
    assert spent(sql) == 0.005
    assert value(sql, "select cost_usd::float8 from ops_llm_calls") == 0.005


def test_a_call_that_was_not_made_is_off_the_books(sql: Session, clock: Clock) -> None:
    settle(sql, reserve(sql, 0.02).call_id, 0.0, outcome="ServiceClosed", made=False)
    assert spent(sql) == 0
    assert value(sql, "select count(*) from ops_llm_calls") == 0


def test_what_nobody_settles_lapses_at_the_reserved_amount_and_may_be_settled_late(
    sql: Session, clock: Clock
) -> None:
    lost = reserve(sql, 0.02)
    clock.step(74)
    reserve(sql, 0.01)
    assert value(sql, "select outcome from ops_llm_calls where id = %s", lost.call_id) == "reserved"
    clock.step(2)
    reserve(sql, 0.01)
    row = sql.execute(
        "select outcome, cost_usd::float8, would_cost_usd::float8 from ops_llm_calls where id = %s",
        (lost.call_id,),
    ).fetchone()
    assert row == ("lapsed", 0.02, 0.02)
    assert spent(sql) == pytest.approx(0.04)
    settle(sql, lost.call_id, 0.001)
    assert spent(sql) == pytest.approx(0.021)


def test_a_simulated_call_costs_nothing_and_meets_no_budget(sql: Session, clock: Clock) -> None:
    budget(sql, per_day_usd=0)
    reserved = reserve(sql, 0.02, simulated=True, key_print="mock")
    settle(sql, reserved.call_id, 0.0, would_cost_usd=0.01)
    row = sql.execute("select cost_usd, would_cost_usd::float8, simulated from ops_llm_calls").fetchone()
    assert row == (0, 0.01, True)
    assert spent(sql) == 0


# -- budgets


def test_what_agents_start_stops_at_their_share_and_what_people_ask_for_goes_on_to_the_end(
    sql: Session, clock: Clock
) -> None:
    budget(sql, per_day_usd=1.0, reserve_for_human=0.3)
    assert spend(sql, 0.7).verdict == "ok"
    refused = spend(sql, 0.01)
    assert (refused.verdict, refused.told) == ("budget", True)
    assert refused.detail is not None
    assert refused.detail.startswith("out of budget: the agents' 0.7000 of the 1.0000 USD a day are spent")
    assert closed(sql) == {}, "people's work still goes on"
    assert spend(sql, 0.3, by_human=True).verdict == "ok"
    refused = spend(sql, 0.01, by_human=True)
    assert (refused.verdict, refused.told) == ("budget", True)
    assert closed(sql) == {"anthropic": DAY_S / 2}


def test_a_share_of_the_month_is_kept_for_people_too(sql: Session, clock: Clock) -> None:
    budget(sql, per_day_usd=None, per_month_usd=1.0, reserve_for_human=0.3)
    assert spend(sql, 0.7).verdict == "ok"
    assert spend(sql, 0.01).verdict == "budget"
    assert spend(sql, 0.3, by_human=True).verdict == "ok"


def test_a_step_of_a_mission_is_a_persons_when_no_agent_is_behind_it(sql: Session, clock: Clock) -> None:
    budget(sql, per_day_usd=1.0, per_mission_usd=None)
    spend(sql, 0.7)
    theirs, ours = mission_of(sql, "agent"), mission_of(sql, "human")
    assert spend(sql, 0.1, purpose="step:analyze", mission_id=theirs).verdict == "budget"
    assert spend(sql, 0.1, purpose="step:analyze", mission_id=ours).verdict == "ok"
    assert spend(sql, 0.1, purpose="step:analyze").verdict == "ok", "a single job, inserted by somebody"


def test_each_budget_binds_by_itself_and_says_its_name(sql: Session, clock: Clock) -> None:
    mission_id = mission_of(sql, "human")
    mine = {"agent_id": "sage", "mission_id": mission_id, "by_human": True}
    for limits, said in (
        ({"per_day_usd": 0.5}, "a day"),
        ({"per_month_usd": 0.5}, "a month"),
        ({"per_agent_day_usd": 0.5}, "sage has spent its 0.5000 USD a day; raise per_agent_day_usd"),
        ({"per_mission_usd": 0.5}, f"mission {mission_id} has spent its 0.5000 USD; raise per_mission_usd"),
    ):
        none: dict[str, float | None] = dict.fromkeys(
            ("per_day_usd", "per_month_usd", "per_agent_day_usd", "per_mission_usd")
        )
        budget(sql, **{**none, **limits})
        refused = reserve(sql, 0.6, **mine)
        assert refused.verdict == "budget"
        assert refused.detail is not None
        assert said in refused.detail
        budget(sql, **none)
        assert spend(sql, 0.6, **mine).verdict == "ok", "without limits everything goes"
        sql.execute("delete from ops_llm_spending")


def test_one_agent_or_mission_that_spent_its_own_does_not_stop_the_others(sql: Session, clock: Clock) -> None:
    budget(sql, per_agent_day_usd=0.1, per_day_usd=None, per_month_usd=None, per_mission_usd=0.1)
    one, other = mission_of(sql, "human"), mission_of(sql, "agent")
    assert spend(sql, 0.1, agent_id="sage", mission_id=one).verdict == "ok"
    assert spend(sql, 0.1, agent_id="sage", mission_id=other).verdict == "budget"
    assert spend(sql, 0.1, agent_id="quill", mission_id=one).verdict == "budget"
    assert spend(sql, 0.1, agent_id="quill", mission_id=other).verdict == "ok"
    assert closed(sql) == {}


def test_a_spent_budget_is_told_once_whatever_is_refused(sql: Session, clock: Clock) -> None:
    budget(sql, per_day_usd=1.0)
    spend(sql, 0.7)
    assert [spend(sql, 0.2).told for _ in range(5)] == [True, False, False, False, False]
    assert len(events(sql, "budget_spent")) == 1
    clock.step(DAY_S)
    spend(sql, 0.7)
    assert [spend(sql, 0.2).told for _ in range(2)] == [True, False]
    assert len(events(sql, "budget_spent")) == 2


def test_at_eighty_percent_there_is_one_warning_a_day(sql: Session, clock: Clock) -> None:
    budget(sql, per_day_usd=1.0, per_month_usd=10.0)
    lines = [settle(sql, reserve(sql, 0.1, by_human=True).call_id, 0.1) for _ in range(10)]
    assert lines == [[]] * 7 + [["80 % of the 1.0000 USD a day are spent"]] + [[]] * 2
    assert events(sql, "budget_warned") == [("day", "80 % of the 1.0000 USD a day are spent.")]


def test_the_day_begins_in_the_companys_time_zone_and_with_it_the_budget(sql: Session, clock: Clock) -> None:
    sql.execute("""select ops_set_policy('company', '{"timezone": "Europe/Berlin"}')""")
    budget(sql, per_day_usd=1.0)
    clock.set(datetime(2030, 6, 1, 21, 59, tzinfo=UTC))
    spend(sql, 1.0, by_human=True)
    refused = spend(sql, 0.1, by_human=True)
    assert (refused.verdict, refused.wait_s) == ("budget", 60)
    assert closed(sql) == {"anthropic": 60}
    clock.step(60)
    assert closed(sql) == {}
    assert spend(sql, 0.1).verdict == "ok"


def test_the_last_day_of_a_month_ends_the_months_budget(sql: Session, clock: Clock) -> None:
    budget(sql, per_day_usd=None, per_month_usd=1.0)
    clock.set(datetime(2030, 2, 27, 12, tzinfo=UTC))
    spend(sql, 1.0, by_human=True)
    assert spend(sql, 0.1, by_human=True).wait_s == 1.5 * DAY_S
    clock.set(datetime(2030, 3, 1, tzinfo=UTC))
    assert spend(sql, 0.1).verdict == "ok"


def test_a_raised_limit_makes_what_waited_for_tomorrow_due_now(sql: Session, clock: Clock) -> None:
    budget(sql, per_day_usd=0.1)
    spend(sql, 0.1, by_human=True)
    refused = spend(sql, 0.1, by_human=True)
    for table, least in (
        ("ops_mission_steps", "(kind) values ('analyze')"),
        ("ops_roundtable_queue", "(format, topic) values ('standup', 'x')"),
        ("ops_initiative_queue", "(agent_id) values ('sage')"),
    ):
        sql.execute(f"insert into {table} {least}".encode())
        sql.execute(
            f"update {table} set run_at = ops_now() + interval '12 hours', failure_reason = %s".encode(),
            (refused.detail,),
        )
    budget(sql, per_day_usd=1.0)
    for table in ("ops_mission_steps", "ops_roundtable_queue", "ops_initiative_queue"):
        assert value(sql, f"select run_at from {table}") == clock.now
    assert closed(sql) == {}
    assert spend(sql, 0.1).verdict == "ok"


@pytest.mark.parametrize("changed", [False, True])
def test_a_row_refused_before_the_budget_changed_and_written_after_does_not_wait_for_tomorrow(
    sql: Session, clock: Clock, changed: bool
) -> None:
    sql.execute(
        "insert into ops_mission_steps (kind, status, attempt, started_at, claimed_by, claim_token)"
        " values ('analyze', 'running', 1, ops_now(), gen_random_uuid(), gen_random_uuid())"
    )
    clock.step(1)
    if changed:
        budget(sql, per_day_usd=1.0)
    sql.execute(
        "update ops_mission_steps set status = 'queued', attempt = 0, run_at = ops_now() + interval '9 hours',"
        " started_at = null, claimed_by = null, claim_token = null, failure_reason = 'out of budget: all is spent'"
    )
    waits = value(sql, "select extract(epoch from run_at - ops_now())::float8 from ops_mission_steps")
    assert waits == (0 if changed else 9 * 3600)


def test_a_budget_raised_while_its_lock_is_waited_for_is_the_one_that_counts(
    database: str, sql: Session, clock: Clock
) -> None:
    budget(sql, per_day_usd=0.1)
    spend(sql, 0.1, by_human=True)
    with psycopg.connect(database, autocommit=True) as other, ThreadPoolExecutor(1) as pool:
        deeds = (
            lambda session: budget(session, per_day_usd=1.0),
            lambda session: spend(session, 0.1, by_human=True),
        )
        _, found = overlapping(sql, other, deeds, pool, keep=True)
    assert found.verdict == "ok"
    assert closed(sql) == {}


def test_many_who_reserve_at_once_never_reserve_more_than_there_is(database: str, sql: Session) -> None:
    budget(sql, per_day_usd=1.0, reserve_for_human=0.3)

    def five(session: Session) -> list[str]:
        return [reserve(session, 0.05).verdict for _ in range(5)]

    verdicts = [verdict for found in at_once(database, [five] * 16) for verdict in found]
    assert verdicts.count("ok") == 14
    assert set(verdicts) == {"ok", "busy"}, "what is under way may turn out cheaper: that is waited for"
    assert spent(sql) == pytest.approx(0.7)


def test_many_who_settle_and_reserve_at_once_neither_deadlock_nor_lose_a_cent(
    database: str, sql: Session
) -> None:
    budget(sql, per_day_usd=100, per_month_usd=100, per_agent_day_usd=100, per_mission_usd=100)
    sql.execute("""select ops_set_policy('llm_limits', '{"requests_per_minute": 100000}')""")
    missions = [mission_of(sql, "human"), mission_of(sql, "agent")]

    def busy(agent: str, mission_id: int) -> Any:
        def deed(session: Session) -> None:
            for place in range(25):
                pause = {"pause": "rate_limited", "pause_s": 0.1} if place % 10 == 9 else {}
                found = reserve(session, 0.02, agent_id=agent, mission_id=mission_id)
                settle(session, found.call_id, 0.01, **pause)

        return deed

    at_once(database, [busy(agent, one) for agent in ("sage", "quill", "xalt") for one in missions])
    total = value(sql, "select sum(cost_usd)::float8 from ops_llm_calls")
    assert total > 0
    assert spent(sql) == spent(sql, "month") == pytest.approx(total)
    assert sum(spent(sql, "agent", one) for one in ("sage", "quill", "xalt")) == pytest.approx(total)
    assert sum(spent(sql, "mission", str(one)) for one in missions) == pytest.approx(total)


# -- the minute and the key


def test_a_minute_holds_so_many_calls_over_all_reactors(database: str, sql: Session, clock: Clock) -> None:
    def ten(session: Session) -> list[str]:
        return [reserve(session, 0.0001).verdict for _ in range(10)]

    verdicts = [verdict for found in at_once(database, [ten] * 6) for verdict in found]
    assert (verdicts.count("ok"), verdicts.count("rate")) == (45, 15)
    refused = reserve(sql, 0.0001)
    assert (refused.verdict, refused.wait_s) == ("rate", 60)
    assert reserve(sql, 0.0001, key_print="another key").verdict == "ok"
    clock.step(60)
    assert reserve(sql, 0.0001).verdict == "ok"


def test_a_pause_of_the_key_holds_for_everybody_with_it_until_it_is_over(sql: Session, clock: Clock) -> None:
    settle(sql, reserve(sql).call_id, outcome="RateLimited", pause="rate_limited", pause_s=7.0)
    refused = reserve(sql)
    assert (refused.verdict, refused.wait_s) == ("rate_limited", 7)
    assert closed(sql) == {"anthropic": 7}
    assert reserve(sql, key_print="another key").verdict == "ok"
    clock.step(7)
    assert closed(sql) == {}
    assert reserve(sql).verdict == "ok"


def test_without_a_word_how_long_the_pauses_grow_and_an_answer_ends_their_growth(
    sql: Session, clock: Clock
) -> None:
    def refuse() -> float | None:
        settle(sql, reserve(sql).call_id, outcome="RateLimited", pause="rate_limited")
        wait_s = reserve(sql).wait_s
        assert wait_s is not None
        clock.step(wait_s)
        return wait_s

    assert [refuse() for _ in range(6)] == [5, 10, 20, 40, 60, 60]
    settle(sql, reserve(sql).call_id, 0.001)
    assert refuse() == 5


def test_calls_refused_together_are_one_pause(sql: Session, clock: Clock) -> None:
    together = [reserve(sql).call_id for _ in range(4)]
    for call_id in together:
        settle(sql, call_id, outcome="RateLimited", pause="rate_limited")
    assert reserve(sql).wait_s == 5
    settle(sql, together[0], 0.0)
    assert reserve(sql).verdict == "rate_limited", "who left before does not lift it"


def test_a_refused_key_is_told_once_until_it_works_again(sql: Session, clock: Clock) -> None:
    for _ in range(3):
        lines = settle(sql, reserve(sql).call_id, outcome="KeyRefused", pause="key_refused", pause_s=600.0)
        clock.step(600)
    assert lines == []
    assert len(events(sql, "key_refused")) == 1
    settle(sql, reserve(sql).call_id, 0.001)
    lines = settle(sql, reserve(sql).call_id, outcome="KeyRefused", pause="key_refused")
    assert lines == [
        "key refused: give its account credit, then `voxyz-reactor breaker reset anthropic`; or set another"
        " ANTHROPIC_API_KEY and start the reactor again"
    ]
    assert len(events(sql, "key_refused")) == 2


def test_resetting_the_breaker_tries_a_refused_key_at_once_and_waits_as_the_provider_asked(
    sql: Session, clock: Clock
) -> None:
    settle(sql, reserve(sql).call_id, outcome="KeyRefused", pause="key_refused")
    assert reserve(sql).verdict == "key_refused"
    assert value(sql, "select ops_breaker_reset('anthropic')") is True
    call_id = reserve(sql).call_id
    assert call_id is not None
    assert value(sql, "select ops_breaker_reset('anthropic')") is False, "nothing was left to change"
    settle(sql, call_id, outcome="RateLimited", pause="rate_limited")
    assert value(sql, "select ops_breaker_reset('anthropic')") is False
    assert reserve(sql).verdict == "rate_limited"


def test_while_all_is_paused_nothing_is_reserved(sql: Session, clock: Clock) -> None:
    sql.execute("select ops_pause('mission')")
    assert reserve(sql).verdict == "ok"
    sql.execute("select ops_pause()")
    assert reserve(sql).verdict == "held"
    assert reserve(sql, simulated=True).verdict == "held"
    sql.execute("select ops_resume('initiative')")
    assert reserve(sql).verdict == "ok"


def test_the_clock_of_these_tests_begins_at_noon(clock: Clock) -> None:
    assert clock.now == NOON
    assert NOON + timedelta(seconds=DAY_S / 2) == datetime(2030, 6, 2, tzinfo=UTC)
