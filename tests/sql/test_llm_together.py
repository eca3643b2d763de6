"""Calls reserved and settled together leave what they leave one after the other."""

import json
import random
from typing import Any

import pytest

from tests.support.books import KEY_PRINT, Session, budget, reserve, settle, spent
from tests.support.clock import Clock
from tests.support.sessions import at_once

pytestmark = pytest.mark.sql

AGENTS = (None, "sage", "quill")
Calls = list[dict[str, Any]]


def reserve_together(sql: Session, calls: Calls, *, simulated: bool = False) -> list[tuple[Any, ...]]:
    """(call_id, verdict, wait_s, detail, told) of each."""
    usual = {
        "model": "claude-haiku-5-5",
        "purpose": "turn",
        "lapse_s": 75.0,
        "by_human": False,
        "unpriced": False,
    }
    rows = sql.execute(
        "select place, call_id, verdict, wait_s, detail, told"
        " from ops_llm_reserve_together('anthropic', 'anthropic', %s, %s, %s)",
        (KEY_PRINT, simulated, json.dumps([{**usual, **call} for call in calls])),
    ).fetchall()
    assert sorted(row[0] for row in rows) == list(range(1, len(calls) + 1))
    return [row[1:] for row in sorted(rows)]


def settle_together(sql: Session, endings: Calls) -> list[str]:
    usual = {
        "outcome": "ok",
        "input_tokens": 0,
        "output_tokens": 0,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
    }
    calls = [{**usual, "made": True, "would_cost_usd": ending["cost_usd"], **ending} for ending in endings]
    rows = sql.execute("select line from ops_llm_settle_together(%s)", (json.dumps(calls),)).fetchall()
    return sorted(line for (line,) in rows)


def left(sql: Session) -> list[list[tuple[Any, ...]]]:
    """The books, but for the ids of calls, and for warnings: on the way, more may be set aside than in the end."""
    return [
        sql.execute(query).fetchall()
        for query in (
            "select work, outcome, day, model, purpose, agent_id, mission_id, by_human, simulated, unpriced, lapses_at,"
            " reserved_usd, cost_usd, would_cost_usd, input_tokens, latency_ms, settled_at from ops_llm_calls order by work",
            "select scope, name, since, usd, spent_at, closed_at from ops_llm_spending"
            " where usd > 0 or spent_at is not null order by scope, name, since",
            "select service, key_print, paused_until, reason, times, told_at from ops_llm_keys order by key_print",
            "select kind, title, summary from ops_agent_events where kind = 'budget_spent' order by kind, title",
        )
    ]


def one_after_the_other(sql: Session, calls: Calls, *, simulated: bool) -> list[tuple[Any, ...]]:
    return [tuple(reserve(sql, simulated=simulated, **call)) for call in calls]


def settled_one_after_the_other(sql: Session, endings: Calls) -> list[str]:
    given = [dict(ending) for ending in endings]
    return sorted(line for ending in given for line in settle(sql, ending.pop("call_id"), **ending))


class Story:
    """Calls at random in a house at random, nearly always with something that is short."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = random.Random(seed)
        self.limits = {
            "requests_per_minute": chance.choice([7, 1000]),
            "concurrency_per_key": chance.choice([None, 5]),
        }
        self.budget = {
            "per_day_usd": chance.choice([0.05, 0.1, 10]),
            "per_month_usd": chance.choice([0.1, 10]),
            "per_agent_day_usd": chance.choice([None, 0.03, 10]),
            "per_mission_usd": chance.choice([0.02, 10]),
            "reserve_for_human": 0.3,
        }
        self.simulated = chance.random() < 0.2
        self.paused = chance.random() < 0.1
        self.key_was_paused = chance.random() < 0.2

    def calls(self, amount: int, missions: list[int | None]) -> Calls:
        chance = self.chance
        return [
            {
                "most_usd": chance.choice([0.001, 0.005, 0.01]) + chance.random() / 1e6,
                "agent_id": chance.choice(AGENTS),
                "mission_id": chance.choice(missions),
                "purpose": chance.choice(["turn", "step:analyze"]),
                "work": f"work {number}",
                "by_human": chance.random() < 0.3,
                "unpriced": chance.random() < 0.1,
            }
            for number in range(amount)
        ]

    def endings(self, ids: list[int]) -> Calls:
        chance = self.chance
        return [
            {
                "call_id": id,
                "cost_usd": chance.choice([0.0, 0.001, 0.02]) + chance.random() / 1e6,
                "outcome": chance.choice(["ok", "LLMUnavailable"]),
                "made": chance.random() < 0.8,
                "model": chance.choice([None, "claude-haiku-5-5-20261001"]),
                "input_tokens": chance.randrange(1000),
                "latency_ms": chance.randrange(1000),
            }
            for id in ids
        ]


@pytest.mark.parametrize("seed", range(40))
def test_it_comes_to_the_same_as_one_after_the_other(sql: Session, seed: int) -> None:
    Clock(sql)
    story = Story(seed)
    sql.execute("select ops_set_policy('llm_limits', %s)", (json.dumps(story.limits),))
    budget(sql, **story.budget)
    missions: list[int | None] = [None]
    for created_by in ("sage", None):
        row = sql.execute(
            """select ops_enqueue_mission('m', '[{"kind": "noop"}]', created_by => %s)""", (created_by,)
        ).fetchone()
        assert row is not None
        missions.append(row[0])
    if story.key_was_paused:
        settle(sql, reserve(sql, 0.001, work="before").call_id, pause="rate_limited", pause_s=0.0)
        sql.execute("update test_clock set at = at + interval '1 hour'")
    if story.paused:
        sql.execute("select ops_pause()")
    calls = story.calls(8, missions)

    sql.execute("begin")
    singly = one_after_the_other(sql, calls, simulated=story.simulated)
    books = [left(sql)]
    endings = story.endings([id for id, *_ in singly if id is not None])
    lines = settled_one_after_the_other(sql, endings)
    books.append(left(sql))
    sql.execute("rollback")

    together = reserve_together(sql, calls, simulated=story.simulated)
    assert [answer[1:] for answer in together] == [answer[1:] for answer in singly]
    assert left(sql) == books[0]
    renamed = dict(zip([answer[0] for answer in singly], [answer[0] for answer in together], strict=True))
    told = settle_together(sql, [{**ending, "call_id": renamed[ending["call_id"]]} for ending in endings])
    assert set(told) <= set(lines)
    assert left(sql) == books[1]


def test_each_is_settled_once(sql: Session) -> None:
    ids = [answer[0] for answer in reserve_together(sql, [{"most_usd": 0.02}] * 3)]
    for cost_usd in (0.005, 0.009):
        settle_together(sql, [{"call_id": id, "cost_usd": cost_usd} for id in (*ids, 10**9)])
    assert spent(sql) == 0.015


def test_many_at_once_neither_deadlock_nor_lose_a_cent(database: str, sql: Session) -> None:
    budget(sql, per_day_usd=100, per_month_usd=100, per_agent_day_usd=100, per_mission_usd=100)
    sql.execute("""select ops_set_policy('llm_limits', '{"requests_per_minute": 100000}')""")

    def busy(session: Session) -> None:
        for round_ in range(6):
            calls = [{"most_usd": 0.02, "agent_id": agent} for agent in ("xalt", "sage", "quill") * 5]
            ids = [answer[0] for answer in reserve_together(session, calls)]
            single = reserve(session, 0.02, agent_id="sage").call_id
            ids.reverse()
            settle_together(session, [{"call_id": id, "cost_usd": 0.01} for id in ids])
            settle(
                session, single, 0.01, **({"pause": "rate_limited", "pause_s": 0.0} if round_ == 3 else {})
            )

    at_once(database, [busy] * 4)
    row = sql.execute(
        "select sum(cost_usd)::float8, count(*) filter (where outcome <> 'ok') from ops_llm_calls"
    ).fetchone()
    assert row is not None
    total, unsettled = row
    assert unsettled == 0
    assert spent(sql) == spent(sql, "month") == pytest.approx(total)
    assert sum(spent(sql, "agent", one) for one in ("sage", "quill", "xalt")) == pytest.approx(total)
