"""Who sets a token is asked for it; the link of `open` signs in once."""

import json
import subprocess

import pytest
from playwright.sync_api import expect

from tests.browser import stage
from tests.browser.conftest import Look, one, running
from tests.cli.conftest import COMMAND, environment

pytestmark = pytest.mark.browser

STOPPED = "net::ERR_"  # the reactor goes before the tab does
TOKENS = {"OPS_API_TOKEN": "a-long-token-for-changes", "OPS_READ_TOKEN": "a-long-token-for-looking"}


def test_a_link_signs_in_once_and_forms_carry_the_word(database: str, look: Look) -> None:
    with running(database, "mission", "web", **TOKENS) as house:
        told = subprocess.run(
            [*COMMAND, "open", "--json"],
            env=environment(DATABASE_URL=database, **TOKENS),
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        link = json.loads(told.stdout)["link"]
        assert link.startswith(house.url)
        id = stage.proposal(house.sql)
        page = look(link, forgiven=STOPPED).page
        if "login" in page.url:
            page.get_by_role("button").first.click()
        expect(page.locator("#live")).to_have_text("live")
        page.locator(f"#proposal-{id}").get_by_role("button", name="Approve").click()
        expect(page.locator(f"#proposal-{id}")).to_have_count(0)
        assert one(house.sql, "select status from ops_mission_proposals where id = %s", id) == "accepted"
        again = look(link, forgiven=f"{STOPPED}|40[0-9]").page
        if again.get_by_role("button").count():
            again.get_by_role("button").first.click()
        expect(again.locator("#bar.bar #live")).to_have_count(0)


def test_who_may_only_look_sees_no_buttons(database: str, look: Look) -> None:
    with running(database, "mission", "web", **TOKENS) as house:
        id = stage.proposal(house.sql)
        page = look(house.url, forgiven=f"{STOPPED}|401").page
        assert page.locator("main").evaluate("main => getComputedStyle(main).maxWidth") != "none"
        page.locator("input[name=token]").fill(TOKENS["OPS_READ_TOKEN"])
        page.get_by_role("button").first.click()
        expect(page.locator("#live")).to_have_text("live")
        expect(page.locator(f"#proposal-{id}")).to_be_visible()
        expect(page.get_by_role("button", name="Approve")).to_have_count(0)
        expect(page.get_by_role("button", name="Pause everything")).to_have_count(0)
