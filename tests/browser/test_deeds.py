"""What a person does from the page is done in the database, and shown without loading anything again."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser import stage
from tests.browser.conftest import House, Look, one

pytestmark = pytest.mark.browser

REFUSED = "status of 422|Status Error Code 422"  # a browser notes every refusal on its console


def test_a_proposal_is_approved_with_one_press(house: House, look: Look) -> None:
    id = stage.proposal(house.sql)
    page = look(house.url).live().page
    card = page.locator(f"#proposal-{id}")
    expect(card).to_contain_text("needs a yes for webhook")
    card.get_by_role("button", name="Approve").click()
    expect(page.locator("#toasts")).to_contain_text(f"proposal {id} is accepted")
    expect(card).to_have_count(0)
    assert one(house.sql, "select status from ops_mission_proposals where id = %s", id) == "accepted"
    expect(page.locator("#missions")).to_contain_text("Tell the customers")


def test_a_proposal_is_edited_and_approved(house: House, look: Look) -> None:
    id = stage.proposal(house.sql)
    page = look(house.url, forgiven=REFUSED).live().page
    card = page.locator(f"#proposal-{id}")
    card.get_by_text("Edit, then approve").click()
    card.get_by_label("Title").fill("Tell the customers, more kindly")
    step = card.get_by_role("group", name="1. webhook")
    step.get_by_text("Everything else, as JSON").press("Enter")
    rest = step.get_by_label("Everything else of the payload of step 1")
    rest.fill("{not json")
    card.get_by_role("button", name="Approve as edited").click()
    expect(page.locator("#toasts")).to_contain_text("the payload of step 1 is no JSON")
    rest.fill('{"body": {"to": ["all"]}}')
    step.get_by_label("url").fill("x")
    card.get_by_role("button", name="Approve as edited").click()
    expect(page.locator("#toasts")).to_contain_text("step 1: kind webhook: payload.url must be longer")
    step.get_by_label("url").fill(str(stage.REQUEST["url"]))
    step.get_by_label("body › text").fill("Do come by on Sunday")
    asked = {**stage.REQUEST, "body": {"text": "Do come by on Sunday", "to": ["all"]}}
    card.get_by_role("button", name="Approve as edited").click()
    expect(page.locator("#toasts")).to_contain_text(f"proposal {id} is accepted as you changed it")
    expect(card).to_have_count(0)
    row = house.sql.execute(
        "select mission.title, step.payload, proposal.edited_by, proposal.asked -> 'steps' -> 0 -> 'payload'"
        " from ops_mission_proposals as proposal join ops_missions as mission on mission.id = proposal.mission_id"
        " join ops_mission_steps as step on step.mission_id = mission.id where proposal.id = %s",
        (id,),
    ).fetchone()
    assert row == ("Tell the customers, more kindly", asked, "somebody on the page", stage.REQUEST)


def test_a_proposal_changed_meanwhile_is_not_approved_unseen(house: House, look: Look) -> None:
    id = stage.proposal(house.sql)
    page = look(f"{house.url}/proposal/{id}", java_script_enabled=False, forgiven=REFUSED).page
    house.sql.execute("select ops_edit_proposal(%s, 'ann', title => 'Something else')", (id,))
    page.get_by_text("Edit, then approve").click()
    page.get_by_role("button", name="Approve as edited").click()
    expect(page.locator("body")).to_contain_text("has changed since it was shown")
    assert one(house.sql, "select status from ops_mission_proposals where id = %s", id) == "pending"


def test_a_rejection_needs_a_reason_and_becomes_a_lesson(house: House, look: Look) -> None:
    id = stage.proposal(house.sql)
    page = look(house.url).live().page
    card = page.locator(f"#proposal-{id}")
    card.get_by_role("button", name="Reject").click()
    assert one(house.sql, "select status from ops_mission_proposals where id = %s", id) == "pending"
    card.get_by_placeholder("Why not?").fill("We never write on weekends")
    card.get_by_role("button", name="Reject").click()
    expect(card).to_have_count(0)
    assert "weekends" in one(
        house.sql, "select content from ops_agent_memory where agent_id = 'quill' and content ~ 'weekends'"
    )


def test_a_held_step_is_edited_and_released(house: House, look: Look) -> None:
    id = stage.held_step(house.sql)
    page = look(house.url, forgiven=REFUSED).live().page
    card = page.locator(f"#held-{id}")
    request = card.get_by_role("group", name="The request as it will be sent")
    expect(request.get_by_label("body › text")).to_have_value("Weekend hours are up")
    request.get_by_text("Everything else, as JSON").press("Enter")
    rest = request.get_by_label("Everything else of the request")
    rest.fill('{"body": {"text": "twice"}}')
    card.get_by_role("button", name="Release").click()
    expect(page.locator("#toasts")).to_contain_text("body.text is in a field and in the JSON text")
    rest.fill("{}")
    request.get_by_label("body › text").fill("Weekend hours doubled")
    asked = {**stage.REQUEST, "body": {"text": "Weekend hours doubled"}}
    card.get_by_role("button", name="Release").click()
    expect(page.locator("#toasts")).to_contain_text(f"step {id} is released as you changed it")
    expect(card).to_have_count(0)
    row = house.sql.execute(
        "select payload, payload_asked, released_by from ops_mission_steps where id = %s", (id,)
    ).fetchone()
    assert row == (asked, stage.REQUEST, "somebody on the page")


def test_the_kill_switch_stops_everything_and_lets_it_go_on(house: House, look: Look) -> None:
    page = look(house.url).live().page
    page.get_by_role("button", name="Pause everything").click()
    expect(page.locator("#bar")).to_contain_text("Paused:")
    assert one(house.sql, "select count(*) from ops_pauses") == 3
    step = one(house.sql, "insert into ops_mission_steps (kind) values ('noop') returning id")
    expect(page.locator("#queue-mission")).to_contain_text("paused")
    page.get_by_role("button", name="Resume everything").click()
    expect(page.get_by_role("button", name="Pause everything")).to_be_visible()
    stage.done(house.sql, step)
    expect(page.locator("#queue-mission")).not_to_contain_text("paused")


def test_somebody_else_pauses_and_the_page_says_so(house: House, look: Look) -> None:
    page = look(house.url).live().page
    house.sql.execute("select ops_pause('roundtable', 'the neighbours sleep')")
    expect(page.locator("#bar")).to_contain_text("the neighbours sleep")


def test_a_failed_mission_is_retried_from_its_sheet(house: House, look: Look) -> None:
    id = one(
        house.sql,
        'select ops_enqueue_mission(\'Doomed\', \'[{"kind": "noop", "payload": {"fail": "out of coffee"},'
        ' "max_attempts": 1}]\'::jsonb)',
    )
    page = look(house.url).live().page
    expect(page.locator(f"#mission-{id}")).to_contain_text("out of coffee")
    page.locator(f"#mission-{id}").get_by_role("link", name="Doomed").click()
    sheet = page.get_by_role("dialog")
    expect(sheet).to_contain_text("attempt 1 of 1")
    house.sql.execute("update ops_mission_steps set payload = '{}' where mission_id = %s", (id,))
    sheet.locator(".actions").get_by_role("button", name="Retry").click()
    expect(sheet.locator(".eyebrow")).to_contain_text("succeeded")


def test_a_memory_is_pinned_edited_and_forgotten(house: House, look: Look) -> None:
    id = one(house.sql, "select ops_remember('sage', 'insight', 'Sundays are slow', 0.8)")
    page = look(house.url).live().page
    page.locator("#agent-sage").get_by_role("link", name="Sage").click()
    memory = page.get_by_role("dialog").locator(f"#memory-{id}")
    memory.get_by_role("button", name="Pin").click()
    expect(memory).to_have_class(re.compile("pinned"))
    memory.get_by_text("Edit").click()
    memory.get_by_role("textbox").fill("Sundays are slow in winter")
    memory.get_by_role("button", name="Keep").click()
    expect(memory.locator("p").first).to_contain_text("in winter")
    memory.get_by_role("button", name="Forget").click()
    expect(memory).to_have_count(0)
    assert one(house.sql, "select count(*) from ops_agent_memory where id = %s", id) == 0


def test_a_policy_is_changed_and_a_wrong_value_names_the_field(house: House, look: Look) -> None:
    page = look(house.url, forgiven=REFUSED).live().page
    page.locator("#policies").get_by_role("link", name="llm_budget").click()
    sheet = page.get_by_role("dialog")
    field = sheet.get_by_label("Value, as JSON")
    field.fill('{"per_day_usd": "much"}')
    sheet.get_by_role("button", name="Change").click()
    expect(page.locator("#toasts")).to_contain_text("llm_budget.per_day_usd")
    field.fill('{"per_day_usd": 0.5}')
    sheet.get_by_role("button", name="Change").click()
    expect(sheet.locator(".chain")).to_contain_text("version 2")
    expect(page.locator("#bar")).to_contain_text("$0.50")


def test_the_company_is_said_first_and_then_known(house: House, look: Look) -> None:
    page = look(house.url).live().page
    page.get_by_text("Nobody has said yet what the company is.").click()
    page.get_by_label("What it does").fill("roasts coffee")
    page.get_by_role("button", name="Tell the team").click()
    expect(page.locator("#company-unknown")).to_have_count(0)
    assert one(house.sql, "select value ->> 'what' from ops_policy where key = 'company'") == "roasts coffee"
