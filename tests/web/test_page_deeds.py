"""Every deed of the page, done once: what it says, and what it leaves in the database."""

from typing import Any

import psycopg
import pytest

from reactor.web.page.deeds import DEEDS
from tests.web.client import ask
from tests.web.test_page import paged, post

Sql = psycopg.Connection[tuple[Any, ...]]
NEW = {
    "step": "insert into ops_mission_steps (kind, run_at) values ('noop', ops_now() + '1 day') returning id",
    "mission": "select ops_enqueue_mission('Look', '[{\"kind\": \"webhook\"}]'::jsonb)",
    "roundtable": "insert into ops_roundtable_queue (format, run_at) values ('standup', ops_now() + '1 day') returning id",
    "initiative": "insert into ops_initiative_queue (agent_id, run_at) values ('sage', ops_now() + '1 day') returning id",
    "held": "insert into ops_mission_steps (kind) values ('webhook') returning id",
    "proposal": "select proposal_id from ops_propose('sage', 'Tell', '[{\"kind\": \"webhook\"}]'::jsonb)",
    "memory": "select ops_remember('sage', 'insight', 'Sundays are slow', 0.8)",
}
STATUS = {
    "step": "ops_mission_steps",
    "mission": "ops_missions",
    "roundtable": "ops_roundtable_queue",
    "initiative": "ops_initiative_queue",
    "held": "ops_mission_steps",
    "proposal": "ops_mission_proposals",
}
POLICY = "select value -> '{1}' = '{2}' from ops_policy where key = '{0}'"
# The deed, on what, the fields of its form, the status that comes of it or what must be true.
CASES: tuple[tuple[str, str | None, dict[str, str], str], ...] = (
    *(("cancel", what, {"what": what}, "cancelled") for what in ("step", "mission", "roundtable", "initiative")),
    ("cancel", "proposal", {"what": "proposal"}, "rejected"),
    ("approve", "proposal", {}, "accepted"),
    ("reject", "proposal", {"reason": "too loud"}, "rejected"),
    ("release", "held", {"payload": '{"b": 2}'}, "select payload = '{\"b\": 2}' from ops_mission_steps"),
    ("reject-step", "held", {"reason": "too loud"}, "cancelled"),
    ("pause", None, {"queue": "roundtable"}, "select paused_by = 'somebody on the page' from ops_pauses"),
    ("resume", None, {"queue": "all"}, "select count(*) = 0 from ops_pauses"),
    ("reset", None, {"service": "anthropic"}, "select bool_and(state = 'closed') from ops_circuit_breaker"),
    ("say", "roundtable", {"text": "I have cake"}, "select dialogue = 'I have cake' from ops_roundtable_turns"),
    ("ask", None, {"text": "Well?", "agent": "sage"}, "select topic = 'Well?' from ops_roundtable_queue"),
    ("talk", None, {"format": "debate", "topic": "Bags"}, "select topic = 'Bags' from ops_roundtable_queue"),
    ("pin", "memory", {"pinned": "yes"}, "select pinned from ops_agent_memory"),
    ("edit", "memory", {"content": "Mondays"}, "select content = 'Mondays' from ops_agent_memory"),
    ("forget", "memory", {}, "select count(*) = 0 from ops_agent_memory"),
    ("agent", None, {"agent": "sage", "active": "no"}, "select not active from ops_agents where id = 'sage'"),
    ("policy", None, {"key": "llm_budget", "value": '{"per_day_usd": 1}'}, POLICY.format("llm_budget", "per_day_usd", "1")),
    ("company", None, {"what": "roasts", "goals": "a\nb"}, POLICY.format("company", "goals", '["a", "b"]')),
)  # fmt: skip


def value(sql: Sql, statement: str, *values: object) -> Any:
    row = sql.execute(statement.encode(), values or None).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize(("deed", "what", "fields", "then"), CASES, ids=lambda one: str(one)[:24])
async def test_a_deed_is_done(
    database: str, sql: Sql, deed: str, what: str | None, fields: dict[str, str], then: str
) -> None:
    id = value(sql, NEW[what]) if what else 0
    async with paged(database) as url:
        done = await post(url, deed, script=True, id=id, **fields)
    assert (done.status, 'class="toast well"' in done.text) == (200, True), done.text
    if then.startswith("select "):
        assert value(sql, then) is True
    else:
        assert what is not None
        assert value(sql, f"select status from {STATUS[what]} where id = %s", id) == then


@pytest.mark.parametrize("what", ["step", "mission", "roundtable", "initiative"])
async def test_what_was_called_off_is_brought_back(database: str, sql: Sql, what: str) -> None:
    id = value(sql, NEW[what])
    value(sql, "select ops_cancel(%s, %s)", what, id)
    async with paged(database) as url:
        done = await post(url, "retry", script=True, what=what, id=id)
    assert f"{what} {id} is due again" in done.text


async def test_a_refused_key_is_shown_with_a_button_that_tries_it_again(database: str, sql: Sql) -> None:
    sql.execute(
        "insert into ops_llm_keys (service, key_print, paused_until, reason)"
        " values ('anthropic', 'abc', ops_now() + interval '10 minutes', 'key_refused')"
    )
    async with paged(database) as url:
        assert "Try it now" in (await ask(url, "/ops")).text
        done = await post(url, "reset", script=True, service="anthropic")
        assert "calls go on" in done.text
        assert "Try it now" not in (await ask(url, "/ops")).text


def test_every_deed_but_those_tested_with_more_is_tested_here() -> None:
    elsewhere = {"approve-edited", "retry", "redistill"}
    assert {deed for deed, *_ in CASES} | elsewhere == set(DEEDS)
