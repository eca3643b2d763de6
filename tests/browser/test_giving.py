"""Somebody who sits before the page gives the team a mission."""

import pytest
from playwright.sync_api import expect

from tests.browser import stage
from tests.browser.conftest import House, Look, one
from tests.browser.test_for_everybody import barriers

pytestmark = pytest.mark.browser

REFUSED = "status of 422|Status Error Code 422"  # a browser notes every refusal on its console


def test_a_key_a_title_and_enter_give_a_mission(house: House, look: Look) -> None:
    page = look(house.url, forgiven=REFUSED).live().page
    page.keyboard.press("m")
    page.keyboard.type("Count the cups")
    page.keyboard.press("Enter")
    expect(page.locator("#toasts")).to_contain_text("has begun")
    expect(page.locator("#missions .missions")).to_contain_text("Count the cups")
    form = page.locator("#new-mission")
    expect(form.get_by_label("Title", exact=True)).to_be_hidden()
    expect(form.locator("> summary")).to_be_focused()
    page.keyboard.press("Enter")
    expect(form.get_by_label("Title", exact=True)).to_have_value("")
    form.get_by_label("Title", exact=True).fill("Count the cups!")
    form.get_by_label("topic").fill("in the kitchen")
    form.get_by_role("button", name="Begin").click()
    expect(page.locator("#toasts")).to_contain_text("minion proposed the same within 7 days")
    expect(form.get_by_label("Title", exact=True)).to_have_value("Count the cups!")
    expect(form.get_by_label("topic")).to_have_value("in the kitchen")


def test_steps_are_added_and_what_is_typed_stays_when_news_arrive(house: House, look: Look) -> None:
    page = look(house.url).live().page
    form = page.locator("#new-mission")
    form.locator("> summary").click()
    form.get_by_role("button", name="Add a step").click()
    second = form.get_by_role("group", name="Step 2")
    expect(second.get_by_label("What to do")).to_be_focused()
    news = stage.mission(house.sql, "Somebody else's", "noop")
    expect(page.locator(f"#mission-{news}")).to_contain_text("succeeded")
    expect(second).to_be_visible()
    form.get_by_label("Title", exact=True).fill("Tell them of the cups")
    form.get_by_label("Who").select_option("xalt")
    form.get_by_role("group", name="Step 1").get_by_label("topic").fill("cups")
    second.get_by_label("What to do").select_option("webhook")
    second.get_by_label("url").fill("https://hooks.example.com/cups")
    form.get_by_role("button", name="Add a step").click()
    form.get_by_role("button", name="Leave step 3 out").click()
    expect(form.get_by_role("group", name="Step 3")).to_have_count(0)
    expect(form.get_by_label("Title", exact=True)).to_have_value("Tell them of the cups")
    form.get_by_role("button", name="Begin").click()
    expect(page.locator("#toasts")).to_contain_text("it waits for a person's yes, because of webhook")
    card = page.locator("#waiting").get_by_role("listitem").filter(has_text="Tell them of the cups")
    expect(card).to_contain_text("needs a yes for webhook")
    expect(form.get_by_role("group", name="Step 2")).to_have_count(0)
    asked = one(
        house.sql, "select steps from ops_mission_proposals where agent_id = 'xalt' and source = 'human'"
    )
    assert asked == [
        {"kind": "research", "payload": {"topic": "cups"}},
        {"kind": "webhook", "payload": {"url": "https://hooks.example.com/cups"}},
    ]


def test_without_scripts_a_mission_is_given_too_and_a_refusal_loses_nothing(house: House, look: Look) -> None:
    page = look(house.url, java_script_enabled=False, forgiven=REFUSED).page
    page.locator("#new-mission > summary").click()
    title = page.locator("#new-title")
    title.fill("Without scripts")
    page.get_by_role("group", name="Step 1").get_by_label("topic").fill("a <b>bold</b> one")
    page.get_by_role("button", name="Add a step").click()
    second = page.get_by_role("group", name="Step 2")
    second.get_by_label("What to do").select_option("noop")
    second.get_by_role("button", name="Show its fields").click()
    text = second.get_by_label("The payload of step 2, as JSON")
    text.fill("{not json")
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("alert")).to_contain_text("the payload of step 2 is no JSON")
    expect(title).to_have_value("Without scripts")
    expect(page.get_by_label("topic")).to_have_value("a <b>bold</b> one")
    expect(text).to_have_value("{not json")
    text.fill("{}")
    title.press("Enter")
    expect(page.get_by_role("heading", name="Without scripts")).to_be_visible()
    expect(page.locator(".eyebrow")).to_contain_text("pending")
    expect(page.locator(".why")).to_contain_text("a person's yes, because of noop")


def test_axe_finds_no_barrier_where_a_refused_mission_comes_back(house: House, look: Look) -> None:
    page = look(house.url, reduced_motion="reduce", forgiven=REFUSED).live().page
    with page.expect_navigation():
        page.locator("#new-mission form").evaluate("form => form.submit()")  # as if there were no script
    expect(page.get_by_role("alert")).to_contain_text("the title is missing")
    assert barriers(page) == []
