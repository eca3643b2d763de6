"""A person gives a mission from the page: what he fills in, what comes of it, and that nothing typed is lost."""

import re
from collections.abc import Mapping
from html import unescape
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from psycopg.types.json import Jsonb

from reactor.handlers.thinking import INPUT_SCHEMA as TOPIC_AND_TEXT
from reactor.handlers.webhook import INPUT_SCHEMA as URL_AND_BODY
from reactor.web.page.drafting import MOST_STEPS, Draft, Step, draft_of, redrafted
from tests.web.client import Answer, ask
from tests.web.house import house
from tests.web.test_page import FORM, HOSTILE, paged, post
from tests.web.test_sessions import TOKENS, cookie_from, sign_in, word_of

Sql = psycopg.Connection[tuple[Any, ...]]
ONE = {"title": "Who orders small bags?", "kind-1": "research"}
TOPIC = "payload-1.text:/topic"


@pytest.fixture(autouse=True)
def tables(sql: Sql) -> None:
    """What reactors tell of their kinds, for two of them."""
    for kind, schema in (("research", TOPIC_AND_TEXT), ("webhook", URL_AND_BODY)):
        sql.execute("update ops_step_kinds set input_schema = %s where kind = %s", (Jsonb(schema), kind))


async def give(url: str, fields: Mapping[str, str] = ONE, *, script: bool = True, **more: str) -> Answer:
    sent: dict[str, Any] = {**ONE, **fields, **more}
    return await post(url, "propose", script=script, **sent)


def rows(sql: Sql, statement: str) -> list[tuple[Any, ...]]:
    return sql.execute(statement.encode()).fetchall()


def fields_of(page: str) -> dict[str, str]:
    """What the form of a page holds, by name: inputs, texts and choices."""
    found = dict(re.findall(r'<input(?=[^>]*\sname="([^"]+)")(?=[^>]*\svalue="([^"]*)")', page))
    found.update(re.findall(r'<textarea[^>]*\sname="([^"]+)"[^>]*>\n?(.*?)</textarea>', page, re.DOTALL))
    for name, options in re.findall(r'<select[^>]*\sname="([^"]+)"[^>]*>(.*?)</select>', page, re.DOTALL):
        chosen = re.search(r'<option(?: value="([^"]*)")? selected>([^<]*)', options)
        found[name] = (chosen[1] or chosen[2]) if chosen else ""
    return {name: unescape(text) for name, text in found.items()}


async def test_one_step_is_a_title_and_a_kind_and_the_mission_has_begun(database: str, sql: Sql) -> None:
    async with paged(database) as url:
        done = await give(url, {TOPIC: "bags\r\nof 250 g", "payload-1": "{}"})
    assert (done.status, 'class="toast well"' in done.text) == (200, True), done.text
    [(mission, title, source, agent)] = rows(
        sql, "select mission_id, title, source, agent_id from ops_mission_proposals"
    )
    assert f"mission {mission} has begun" in done.text
    assert (title, source, agent) == ("Who orders small bags?", "human", "minion")
    [step] = rows(sql, "select mission_id, kind, agent_id, payload from ops_mission_steps")
    assert step == (mission, "research", "minion", {"topic": "bags\nof 250 g"})


async def test_it_is_for_whom_one_chooses_and_its_steps_run_in_their_order(database: str, sql: Sql) -> None:
    more = {"agent": "sage", "kind-2": "summarize", "payload-2.text:/text": "{{steps.1.result.text}}"}
    async with paged(database) as url:
        done = await give(url, more, script=False)
    [(mission,)] = rows(sql, "select id from ops_missions")
    assert (done.status, done.headers["location"]) == (303, f"/ops/mission/{mission}")
    assert rows(sql, "select seq, kind, agent_id, payload from ops_mission_steps order by seq") == [
        (1, "research", "sage", {}),
        (2, "summarize", "sage", {"text": "{{steps.1.result.text}}"}),
    ]


async def test_what_leaves_the_house_waits_for_a_yes_and_says_why(database: str, sql: Sql) -> None:
    leaving = {"kind-1": "webhook", "payload-1.text:/url": "https://hooks.example.com/x"}
    async with paged(database) as url:
        told = await give(url, leaving)
        plain = await give(url, leaving, script=False, title="Another")
        sheet = await ask(url, plain.headers["location"])
    assert told.status == 200
    assert re.search(r"proposal \d+ is made: it waits for a person&#39;s yes, because of webhook", told.text)
    assert "waits for a person&#39;s yes" in sheet.text
    assert rows(sql, "select distinct status from ops_mission_proposals") == [("pending",)]


async def test_what_a_gate_turns_away_is_kept_and_told_and_stays_typed(database: str, sql: Sql) -> None:
    async with paged(database) as url:
        await give(url)
        again = await give(url)
        plain = await give(url, {TOPIC: HOSTILE}, script=False, agent="minion")
    assert (again.status, plain.status) == (422, 422)
    assert re.search(r"proposal \d+ is refused: .*minion proposed the same within 7 days", again.text)
    assert 'role="alert"' in plain.text
    assert "<script>" not in plain.text
    held = fields_of(plain.text)
    assert (held["title"], held["agent"], held["kind-1"], held[TOPIC]) == (
        *(ONE["title"], "minion", "research"),
        HOSTILE,
    )
    count = "select status, count(*) from ops_mission_proposals group by status order by status"
    assert rows(sql, count) == [("accepted", 1), ("rejected", 2)]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"title": "  "}, "the title is missing"),
        ({"payload-1": "{not json"}, "the payload of step 1 is no JSON"),
        ({"payload-1": "[\n  1\n]"}, "the payload of step 1 must be an object"),
        ({"kind-1": "webhook", "payload-1.text:/url": "x"}, "step 1: kind webhook: payload.url must be longer"),
        ({"kind-1": "juggle"}, "step 1 has the unknown kind juggle"),
        ({"agent": "nobody"}, "unknown or inactive agent 'nobody'"),
        ({"title": "x" * 501}, "a title of 1 to 500 characters"),
    ],
    ids=lambda one: str(one)[:30],
)  # fmt: skip
async def test_what_cannot_be_is_refused_and_the_form_comes_back_as_it_was(
    database: str, sql: Sql, fields: dict[str, str], told: str
) -> None:
    typed = {"agent": "sage", "kind-2": "noop", "payload-2.number:/sleep_s": "1", **ONE, **fields}
    async with paged(database) as url:
        script = await give(url, typed)
        plain = await give(url, typed, script=False)
    assert (script.status, plain.status) == (422, 422)
    assert told in unescape(script.text)
    assert told in unescape(plain.text)
    held = fields_of(plain.text)
    assert {name: held.get(name) for name in typed} == typed
    assert rows(sql, "select from ops_mission_proposals") == []


async def test_the_form_grows_and_shrinks_and_shows_the_fields_of_a_kind(database: str, sql: Sql) -> None:
    async with paged(database) as url:
        page = await give(url, {TOPIC: "bags"}, script=False, then="add")
        assert page.status == 200
        two = fields_of(page.text)
        assert (two["kind-2"], two[TOPIC], two["payload-2.text:/topic"]) == ("research", "bags", "")
        assert re.search(r'id="new-kind-2"[^>]*autofocus', page.text)
        other = await give(url, {**two, "kind-2": "webhook"}, then="kind-2")
        assert "<html" not in other.text
        assert fields_of(other.text)["payload-2.text:/url"] == ""
        left = fields_of((await give(url, {**two, "payload-2.text:/topic": "tea"}, then="drop-1")).text)
    assert left[TOPIC] == "tea"
    assert "kind-2" not in left
    assert rows(sql, "select from ops_mission_proposals") == []


async def test_kinds_are_listed_with_what_they_do_and_people_with_their_roles(
    database: str, sql: Sql
) -> None:
    sql.execute("update ops_agents set active = false where id = 'minion'")
    sql.execute("insert into ops_step_kinds (kind, description) values ('sing', %s)", (HOSTILE,))
    async with paged(database) as url:
        panel = (await ask(url, "/ops/panel/missions")).text
        done = await give(url)
    assert re.search(r">draft tweet – [A-Z][^<]+</option>", panel)
    assert f"sing – {HOSTILE}" in unescape(panel)
    assert "<script>" not in panel
    assert '<option value="minion"' not in panel
    assert fields_of(panel)["agent"] == "observer"
    assert done.status == 200, "somebody else does it"


async def test_who_may_only_look_has_no_form_and_sends_none(database: str, sql: Sql) -> None:
    async with house(database, **TOKENS) as it:
        for token, sees, may in (("only-looking", False, 403), ("all-of-it", True, 303)):
            cookie = cookie_from(await sign_in(it, token))
            panel = await ask(it.url, "/ops/panel/missions", Cookie=cookie)
            assert ("new-mission" in panel.text) is sees
            body = urlencode({**ONE, "csrf": await word_of(it, cookie)}).encode()
            sent = await ask(it.url, "/ops/do/propose", method="POST", body=body, Cookie=cookie, **FORM)
            assert sent.status == may, sent.text
            without = await ask(
                it.url, "/ops/do/propose", method="POST", body=urlencode(ONE).encode(), Cookie=cookie, **FORM
            )
            assert without.status == 403
    assert rows(sql, "select count(*) from ops_mission_proposals") == [(1,)]


async def test_while_the_database_is_away_the_form_keeps_what_was_typed() -> None:
    async with paged(None) as url:
        plain = await give(url, {TOPIC: "bags"}, script=False, agent="sage")
        script = await give(url, then="add")
    assert (plain.status, script.status) == (503, 503)
    held = fields_of(plain.text)
    assert (held["title"], held["agent"], held["kind-1"], held[TOPIC]) == (
        *(ONE["title"], "sage", "research"),
        "bags",
    )


def test_nothing_is_done_by_a_press_that_makes_no_sense() -> None:
    draft = draft_of({"kind-1": "noop", "kind-3": "noop"})
    assert draft.steps == (Step("noop"),)
    for then in ("drop-1", "drop-9", "drop-x", "explode", "drop-" + "9" * 5000):
        assert redrafted(draft, then).steps == draft.steps
    most = Draft(steps=(Step(),) * MOST_STEPS)
    assert redrafted(most, "add").steps == most.steps
