"""For everybody: without scripts, by keyboard, on a phone, by ear, in the dark."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser import stage
from tests.browser.conftest import PHONE, House, Look, one

pytestmark = pytest.mark.browser


def barriers(page: Page) -> list[str]:
    """What axe finds: rule, impact, where."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {[node['target'] for node in one['nodes']][:6]}" for one in found
    ]


def furnish(house: House) -> int:
    """Something in every panel; returns a conversation that has ended."""
    stage.proposal(house.sql)
    stage.held_step(house.sql)
    stage.mission(house.sql, "Look around", "noop", "noop")
    one(
        house.sql,
        "insert into ops_mission_steps (kind, payload, max_attempts) values ('noop', '{\"fail\": \"no\"}', 1) returning id",
    )
    house.sql.execute("select ops_remember('sage', 'insight', 'Sundays are slow', 0.8, array['sales'])")
    house.sql.execute("select ops_apply_drift('sage', 'minion', 0.02, 'agreed on prices', 'test:1')")
    talk = stage.conversation(house.sql, "Is everybody here?")
    stage.ended(house.sql, talk)
    return talk


@pytest.mark.parametrize(
    "options", [{}, {"color_scheme": "dark"}, {"viewport": PHONE}], ids=["light", "dark", "phone"]
)
def test_axe_finds_no_barrier(house: House, look: Look, options: dict[str, Any]) -> None:
    talk = furnish(house)
    page = look(house.url, reduced_motion="reduce", **options).live().page
    assert barriers(page) == []
    page.locator("#new-mission > summary").click()
    page.get_by_role("button", name="Add a step").click()
    expect(page.get_by_role("group", name="Step 2")).to_be_visible()
    assert barriers(page) == []
    for place in ("mission/1", "agent/sage", "pair/minion:sage", "policy/company", f"roundtable/{talk}"):
        sheet = look(f"{house.url}/{place}", reduced_motion="reduce", **options).page
        assert (place, barriers(sheet)) == (place, [])


def test_axe_finds_no_barrier_on_an_open_sheet(house: House, look: Look) -> None:
    furnish(house)
    page = look(house.url, reduced_motion="reduce").live().page
    page.locator("#agent-sage").get_by_role("link", name="Sage").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert barriers(page) == []


def test_everything_can_be_done_without_scripts(house: House, look: Look) -> None:
    proposal = stage.proposal(house.sql)
    rejected = stage.proposal(house.sql, agent="xalt")
    step = stage.held_step(house.sql)
    page = look(house.url, java_script_enabled=False, forgiven="status of 422").page

    def send(place: str, button: str) -> None:
        """The form is sent, and the page that answers it is there: one still on its way is empty, and hears no click."""
        with page.expect_navigation():
            page.locator(place).get_by_role("button", name=button).click()

    send(f"#proposal-{proposal}", "Approve")
    expect(page.locator(f"#proposal-{proposal}")).to_have_count(0)
    page.locator(f"#proposal-{rejected}").get_by_placeholder("Why not?").fill("Too loud")
    send(f"#proposal-{rejected}", "Reject")
    expect(page.locator(f"#proposal-{rejected}")).to_have_count(0)
    page.locator(f"#held-{step}").get_by_label("body › text").fill("Without\nscripts")
    send(f"#held-{step}", "Release")
    expect(page.locator(f"#held-{step}")).to_have_count(0)
    sent = one(house.sql, "select payload #>> '{body,text}' from ops_mission_steps where id = %s", step)
    assert sent == "Without scripts"  # one line, for it was one line
    send("body", "Pause everything")
    expect(page.locator("#bar")).to_contain_text("Paused:")
    send("body", "Resume everything")
    page.locator("#missions").get_by_role("link", name="Tell the customers").first.click()
    expect(page.get_by_role("heading", name="Tell the customers")).to_be_visible()
    page.get_by_role("link", name="← everything").click()
    page.locator("#policies").get_by_role("link", name="company").click()
    page.get_by_label("Value, as JSON").fill('{"what": 7}')
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_role("alert")).to_contain_text("company.what")


def test_a_conversation_is_replayed_without_scripts(house: House, look: Look) -> None:
    id = stage.conversation(house.sql, "Step by step")
    stage.ended(house.sql, id)
    page = look(f"{house.url}/roundtable/{id}", java_script_enabled=False).page
    page.get_by_role("link", name="Replay turn by turn").click()
    expect(page.locator(".turn")).to_have_count(1)
    page.get_by_role("link", name="next →").click()
    expect(page.locator(".turn")).to_have_count(2)


def test_the_keyboard_reaches_everything(house: House, look: Look) -> None:
    id = stage.proposal(house.sql)
    page = look(house.url).live().page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    page.keyboard.press("a")
    expect(page.locator("#waiting-title")).to_be_focused()
    approve = page.locator(f"#proposal-{id}").get_by_role("button", name="Approve")
    for _ in range(80):
        page.keyboard.press("Tab")
        if approve.evaluate("node => node === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.locator(f"#proposal-{id}")).to_have_count(0)
    page.keyboard.press("p")
    page.keyboard.press("Enter")
    expect(page.locator("#bar")).to_contain_text("Paused:")
    page.locator("#agent-scout a").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#agent-scout a")).to_be_focused()


def test_the_keys_lead_from_part_to_part_and_leave_none_out(house: House, look: Look) -> None:
    page = look(house.url).live().page
    parts = page.locator(".panel").evaluate_all("parts => parts.map(part => part.id)")
    page.keyboard.press("1")
    for part in parts[1:]:
        page.keyboard.press("j")
        expect(page.locator(f"#{part}-title")).to_be_focused()
    page.keyboard.press("k")
    expect(page.locator(f"#{parts[-2]}-title")).to_be_focused()


def test_a_phone_scrolls_only_downwards(house: House, look: Look) -> None:
    furnish(house)
    page = look(house.url, viewport=PHONE, has_touch=True, is_mobile=True).live().page
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.get_by_role("button", name="Pause everything").tap()
    expect(page.locator("#bar")).to_contain_text("Paused:")
    page.locator("#agent-sage a").tap()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_reader_who_wants_no_motion_gets_none(house: House, look: Look) -> None:
    page = look(house.url, reduced_motion="reduce").live().page
    moving = page.evaluate("document.getAnimations().length")
    assert moving == 0


def test_the_room_says_in_words_what_the_picture_shows(house: House, look: Look) -> None:
    page = look(house.url).live().page
    listed = page.get_by_role("list", name="Who is here").get_by_role("listitem")
    expect(listed).to_have_count(6)
    expect(page.locator("svg.room-picture .seat")).to_have_count(6)
    near, far = (
        page.evaluate(
            "([a, b]) => { const p = id => { const m = document.getElementById('seat-' + id).getCTM(); return [m.e, m.f]; };"
            " const [x, y] = p(a), [u, v] = p(b); return Math.hypot(x - u, y - v); }",
            pair,
        )
        for pair in (["minion", "sage"], ["sage", "xalt"])
    )
    assert near < far


def test_what_is_said_in_the_room_covers_nobodys_words(house: House, look: Look) -> None:
    topic = "A question that is as long as they come, so that answers need all the lines a bubble may have"
    talk = stage.conversation(house.sql, topic, "debate")
    stage.ended(house.sql, talk)
    page = look(house.url, reduced_motion="reduce").live().page
    expect(page.locator(".bubble.newest")).to_have_count(1)
    covered = page.evaluate(
        "() => { const of = (kind) => [...document.querySelectorAll(kind)].map((node) => node.getBoundingClientRect());"
        " return of('.bubble').flatMap((one) => of('.seat .mood, .seat .name, .seat .face').filter((other) =>"
        " one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom)).length; }"
    )
    assert covered == 0
    cut = page.evaluate(
        "() => [...document.querySelectorAll('.bubble')].filter((one) => one.scrollHeight > one.clientHeight + 1).length"
    )
    assert cut == 0
