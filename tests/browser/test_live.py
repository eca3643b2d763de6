"""What happens appears by itself, in order, once, and nothing is lost when the line is."""

import re

import psycopg
import pytest
from playwright.sync_api import expect

from tests.browser import stage
from tests.browser.conftest import House, Look, one, running
from tests.support.tcp_switch import switch_to

pytestmark = pytest.mark.browser


def test_a_conversation_arrives_turn_by_turn(database: str, look: Look) -> None:
    with running(database, "roundtable", "web", latency_ms="1200") as house:
        page = look(house.url, forgiven="net::ERR_").live().page
        page.evaluate(
            "() => { window.counts = new Set(); new MutationObserver(() => window.counts.add("
            "document.querySelectorAll('#talk .turn').length)).observe(document.querySelector('#talk .inside'),"
            " {childList: true, subtree: true}); }"
        )
        id = stage.conversation(house.sql, "Who waters the plants?")
        expect(page.locator("#talk .topic")).to_have_text("Who waters the plants?")
        expect(page.locator("#talk .talk-head")).to_contain_text("succeeded")
        turns = one(house.sql, "select count(*) from ops_roundtable_turns where conversation_id = %s", id)
        expect(page.locator("#talk .turn")).to_have_count(turns)
        seen = set(page.evaluate("() => [...window.counts]"))
        assert turns >= 2
        assert len(seen & set(range(1, turns + 1))) >= 2, f"they came all at once: {seen}"
        last = "select dialogue from ops_roundtable_turns where conversation_id = %s order by turn desc"
        expect(page.locator("#room")).to_contain_text(one(house.sql, last, id))


def test_who_thinks_is_seen_while_he_does_and_a_flood_is_told_as_a_sum(database: str, look: Look) -> None:
    with running(database, "mission", "web", latency_ms="12000") as house:
        page = look(house.url, forgiven="net::ERR_").live().page
        expect(page.locator("#here-sage .mood-word")).to_have_text("waits")
        house.sql.execute(
            "insert into ops_mission_steps (kind, agent_id, payload) values ('analyze', 'sage', '{\"topic\": \"tea\"}')"
        )
        expect(page.locator("#here-sage .mood-word")).to_have_text("thinks")
        assert one(house.sql, "select count(*) from ops_mission_steps where status = 'running'") == 1
        house.sql.execute(
            "insert into ops_agent_events (kind, title) select 'told', 'drop ' || n from generate_series(1, 5000) as n"
        )
        gap = page.locator("#feed-rows .gap").first
        expect(gap).to_contain_text("more told")
        expect(page.locator("#feed-rows")).to_contain_text("drop 5000")
        expect(gap.locator("a")).to_have_attribute("href", re.compile(r"^/api/ops/events\?since="))


def test_a_person_asks_and_is_answered(house: House, look: Look) -> None:
    page = look(house.url).live().page
    page.keyboard.press("s")
    page.get_by_label("Your question").fill("What should we try this weekend?")
    page.get_by_label("Whom to ask").select_option("sage")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#talk .turn").first).to_contain_text("What should we try this weekend?")
    expect(page.locator("#talk .turn").nth(1).locator(".speaker")).to_contain_text("Sage")


def test_a_person_says_something_into_the_round(house: House, look: Look) -> None:
    house.sql.execute("select ops_pause('roundtable', 'to speak first')")
    id = stage.conversation(house.sql, "Anything else?")
    page = look(f"{house.url}/roundtable/{id}", java_script_enabled=False).page
    page.get_by_label("Say something").fill("I have cake")
    page.get_by_role("button", name="Say").click()
    expect(page.locator(".turn.yours")).to_contain_text("I have cake")


def test_the_stream_is_cut_and_what_happened_meanwhile_comes_once(house: House, look: Look) -> None:
    with switch_to(house.port) as switch:
        viewer = look(house.url.replace(str(house.port), str(switch.port)), forgiven="net::ERR_").live()
        page = viewer.page
        before = stage.event(house.sql, "before the cut")
        rows = page.locator("#feed-rows")
        expect(rows.locator(f'[data-event="{before}"]')).to_be_visible()
        switch.cut()
        expect(page.locator("#live")).not_to_have_text("live")
        missed = [stage.event(house.sql, f"in the dark {i}") for i in range(40)]
        switch.mend()
        viewer.live()
        after = stage.event(house.sql, "after it")
        expect(rows.locator(f'[data-event="{after}"]')).to_have_count(1)
        for id in missed:
            expect(rows.locator(f'[data-event="{id}"]')).to_have_count(1)
        shown = [int(id) for id in rows.locator("li").evaluate_all("rows => rows.map(r => r.dataset.event)")]
        ours = {before, *missed, after}
        assert [id for id in shown if id in ours] == [after, *reversed(missed), before]


def test_what_is_not_final_is_shown_at_once_and_then_settled(house: House, look: Look) -> None:
    page = look(house.url).live().page
    with house.sql.transaction():
        house.sql.execute("create temporary table holds_the_horizon (id int)")
        with psycopg.connect(house.dsn, autocommit=True) as other:
            id = stage.event(other, "seen before it is final")
        row = page.locator(f'[data-event="{id}"]')
        expect(row).to_have_class(re.compile("provisional"))
    expect(row).not_to_have_class(re.compile("provisional"))
    expect(row).to_have_count(1)


def test_what_somebody_is_typing_survives_the_news(house: House, look: Look) -> None:
    id = stage.proposal(house.sql)
    page = look(house.url).live().page
    reason = page.locator(f"#proposal-{id}").get_by_placeholder("Why not?")
    reason.press_sequentially("I am still thinking")
    second = stage.proposal(house.sql, agent="xalt")
    expect(page.locator(f"#proposal-{second}")).to_be_visible()
    expect(reason).to_have_value("I am still thinking")
    expect(reason).to_be_focused()


def test_a_replay_speaks_the_turns_again_one_by_one(house: House, look: Look) -> None:
    id = stage.conversation(house.sql, "Once more")
    stage.ended(house.sql, id)
    page = look(house.url).live().page
    page.locator("#talk").get_by_role("link", name="Once more").click()
    sheet = page.get_by_role("dialog")
    turns = one(house.sql, "select count(*) from ops_roundtable_turns where conversation_id = %s", id)
    expect(sheet.locator(".turn")).to_have_count(turns)
    page.evaluate(
        "() => { window.hidden = new Set(); new MutationObserver(() => window.hidden.add("
        "document.querySelectorAll('#sheet .turn.unspoken').length)).observe(document.querySelector('#sheet .stage'),"
        " {attributes: true, subtree: true}); }"
    )
    sheet.get_by_role("button", name="Replay").click()
    expect(sheet.locator(".turn.unspoken")).to_have_count(0)
    assert page.evaluate("() => [...window.hidden]") == list(range(turns, -1, -1))


def test_who_is_in_another_tab_reads_from_its_title_that_somebody_waits_for_him(
    house: House, look: Look
) -> None:
    house.sql.execute("select ops_cancel('proposal', id) from ops_mission_proposals where status = 'pending'")
    house.sql.execute("select ops_cancel('step', id) from ops_mission_steps where hold is not null")
    page = look(house.url).live().page
    expect(page).to_have_title("voxyz ops")
    id = stage.proposal(house.sql)
    expect(page).to_have_title("(1) voxyz ops")
    page.get_by_role("link", name="1 to decide").click()
    expect(page.locator("#waiting")).to_be_in_viewport()
    house.sql.execute("select ops_reject(%s, 'ann', 'enough')", (id,))
    expect(page).to_have_title("voxyz ops")


def test_a_panel_says_how_much_is_below_its_edge(house: House, look: Look) -> None:
    house.sql.execute("select ops_cancel('proposal', id) from ops_mission_proposals where status = 'pending'")
    house.sql.execute("select ops_cancel('step', id) from ops_mission_steps where hold is not null")
    made = [stage.proposal(house.sql, agent="scout") for _ in range(9)]
    page = look(house.url).live().page
    more = page.locator("#waiting").get_by_role("button", name="below")
    expect(more).to_have_text(re.compile("^[0-9] more below"))
    more.click()
    page.wait_for_function("() => document.querySelector('#waiting .inside').scrollTop > 100")
    page.evaluate(
        "() => { const inside = document.querySelector('#waiting .inside'); inside.scrollTop = inside.scrollHeight; }"
    )
    expect(more).to_be_hidden()
    expect(page.locator("#waiting .cards > li").last).to_be_in_viewport()
    for id in made:
        house.sql.execute("select ops_reject(%s, 'ann', 'enough')", (id,))
    expect(more).to_be_hidden()
