"""Whatever anybody writes is shown as he wrote it, and is nothing but text."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import hostile
from tests.browser.conftest import House, Look

pytestmark = pytest.mark.browser


def nothing_ran(page: Page) -> None:
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert page.locator("script:not([src])").count() == 0
    assert "49" not in page.locator("main").inner_text().split("7*7")[0][-3:]


def test_hostile_text_in_every_field_is_shown_as_text(house: House, look: Look) -> None:
    made = hostile.fill(house.sql)
    page = look(house.url).live().page
    for panel in ("room", "waiting", "talk", "missions", "feed", "agents", "policies", "relations", "queues"):
        expect(page.locator(f"#{panel}")).to_contain_text("onerror=")
    nothing_ran(page)
    came = hostile.tell(house.sql)
    expect(page.locator(f'[data-event="{came}"]')).to_contain_text("<script>window.hacked=1</script>")
    nothing_ran(page)
    for what in ("mission", "step", "proposal", "roundtable"):
        sheet = look(f"{house.url}/{what}/{made[what]}").page
        expect(sheet.locator("#main")).to_contain_text(hostile.HOSTILE[:50])
        nothing_ran(sheet)
    for place in ("agent/sage", "pair/minion:sage", "policy/company"):
        page.evaluate(f"htmx.ajax('GET', '/ops/{place}', '#sheet-inside')")
        expect(page.locator("#sheet-inside")).to_contain_text("onerror=")
        nothing_ran(page)


def test_a_hostile_refusal_is_text_too(house: House, look: Look) -> None:
    page = look(house.url, forgiven="status of 422|Status Error Code 422").live().page
    page.locator("#policies").get_by_role("link", name="llm_budget").click()
    sheet = page.get_by_role("dialog")
    sheet.get_by_label("Value, as JSON").fill('{"<img src=x onerror=window.hacked=1>": 1}')
    sheet.get_by_role("button", name="Change").click()
    expect(page.locator("#toasts")).to_contain_text("<img src=x")
    nothing_ran(page)


def test_the_policy_of_the_answer_lets_no_foreign_code_in(house: House, look: Look) -> None:
    page = look(house.url, forgiven="Content Security Policy").live().page
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.hacked = 1'; document.body.append(s);"
        " const b = document.createElement('button'); b.setAttribute('onclick', 'window.hacked = 1');"
        " document.body.append(b); b.click(); }"
    )
    assert page.evaluate("window.hacked") is None
