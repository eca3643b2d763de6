"""What waits for a person: looked at, changed and decided about over HTTP."""

import json
from typing import Any

import psycopg
import pytest
import trio

from tests.web.client import Answer
from tests.web.house import house, is_problem, told

Session = psycopg.Connection[tuple[Any, ...]]
WEBHOOK = {"kind": "webhook", "payload": {"url": "https://example.com/hook"}}


async def test_a_proposal_is_approved_exactly_once(database: str, sql: Session) -> None:
    async with house(database) as it:
        answer = await it.post("/proposals", {"agent_id": "sage", "title": "Tell", "steps": [WEBHOOK]})
        proposal = told(answer, 201)
        assert proposal["status"] == "pending"
        verdicts: list[Answer] = []

        async def approve() -> None:
            verdicts.append(await it.post(f"/proposals/{proposal['id']}/approve", {"by": "ann"}))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(approve)
        assert sorted(one.status for one in verdicts) == [200, 409, 409, 409, 409]
        accepted = next(one.json for one in verdicts if one.status == 200)
        assert (accepted["status"], accepted["decided_by"]) == ("accepted", "ann")
        mission = told(await it.get(f"/missions/{accepted['mission_id']}"), 200)
        assert [one["kind"] for one in mission["steps"]] == ["webhook"]
        refused = next(one for one in verdicts if one.status == 409)
        assert is_problem(refused, 409, "already accepted by ann")["code"] == "OP009"


async def test_a_rejection_wants_a_reason_and_teaches(database: str) -> None:
    async with house(database) as it:
        proposal = told(
            await it.post("/proposals", {"agent_id": "sage", "title": "Tell", "steps": [WEBHOOK]}), 201
        )
        path = f"/proposals/{proposal['id']}/reject"
        assert is_problem(await it.post(path, {}), 422)["errors"][0]["field"] == "reason"
        assert is_problem(await it.post(path, {"reason": " "}), 422)["errors"][0]["field"] == "reason"
        assert told(await it.post(path, {"reason": "too loud"}), 200)["rejection_reason"] == "too loud"
        lessons = told(await it.get("/memory?agent=sage&type=lesson"), 200)["items"]
        assert "too loud" in lessons[0]["content"]


async def test_a_held_step_is_released_with_another_payload(database: str) -> None:
    async with house(database) as it:
        held = await it.made("/steps", WEBHOOK)
        edited = {"url": "https://example.com/other"}
        step = told(await it.post(f"/steps/{held}/release", {"payload": edited, "by": "ann"}), 200)
        assert (step["status"], step["hold"], step["payload"]) == ("queued", None, edited)
        is_problem(await it.post(f"/steps/{held}/release"), 409, "already decided")
        other = await it.made("/steps", WEBHOOK)
        assert told(await it.post(f"/steps/{other}/reject", {"reason": "no"}), 200)["status"] == "cancelled"


async def test_what_does_not_fit_its_kind_is_refused_by_the_field_before_anything_is_made(
    database: str, sql: Session
) -> None:
    schema = {"type": "object", "properties": {"to": {"type": "string"}}}
    sql.execute(
        "insert into ops_step_kinds (kind, input_schema) values ('letter', %s)", (json.dumps(schema),)
    )
    steps = [{"kind": "letter", "payload": {"to": "ann"}}, {"kind": "letter", "payload": {"to": 7}}]
    misfit = "step 2: kind letter: payload.to must be string"
    async with house(database) as it:
        proposed = await it.post("/proposals", {"agent_id": "sage", "title": "Tell", "steps": steps})
        is_problem(proposed, 422, misfit)
        is_problem(await it.post("/missions", {"title": "Tell", "steps": steps}), 422, misfit)
        is_problem(await it.post("/steps", steps[1]), 422, "kind letter: payload.to must be string")
        for path in ("/proposals", "/missions", "/steps"):
            assert told(await it.get(path), 200)["items"] == []


STEPS = [{"kind": "noop", "payload": {"of": "one"}}, WEBHOOK]


async def test_a_proposal_is_changed_before_it_is_approved_and_what_was_asked_is_kept(
    database: str, sql: Session
) -> None:
    async with house(database) as it:
        asked = {"agent_id": "sage", "title": "Tell", "steps": STEPS}
        path = f"/proposals/{told(await it.post('/proposals', asked), 201)['id']}"
        other = {"kind": "webhook", "payload": {"url": "https://example.org/hook"}}
        changed = told(await it.patch(path, {"by": "ann", "steps": [STEPS[0], other]}), 200)
        assert (changed["status"], changed["edited_by"], changed["title"]) == ("pending", "ann", "Tell")
        assert changed["asked"] == {"title": "Tell", "steps": STEPS}
        event = told(await it.get("/events?kind=proposal_edited"), 200)["items"][0]
        assert event["summary"] == "ann changed step 2"
        assert event["metadata"]["changes"] == [{"what": "step 2", "before": WEBHOOK, "after": other}]
        accepted = told(await it.post(f"{path}/approve", {"by": "bob", "title": "Tell them"}), 200)
        assert (accepted["status"], accepted["edited_by"], accepted["decided_by"]) == (
            "accepted",
            "bob",
            "bob",
        )
        assert accepted["asked"]["title"] == "Tell"
        mission = told(await it.get(f"/missions/{accepted['mission_id']}"), 200)
        assert (mission["title"], mission["steps"][1]["payload"]) == ("Tell them", other["payload"])
        is_problem(await it.patch(path, {"title": "Too late"}), 409, "already accepted by bob")
        why = told(await it.get(f"/why/proposal/{accepted['id']}"), 200)
        assert "bob approved it" in why["sentence"]
        assert "changed by bob" in why["sentence"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"steps": []}, "steps"),
        ({"steps": [{"payload": {}}]}, "steps.0.kind"),
        ({"steps": [{"kind": "noop", "payload": 1}]}, "steps.0.payload"),
        ({"steps": [{"kind": "noop", "colour": "red"}]}, "steps.0.colour"),
        ({"title": " "}, "title"),
        ({"title": "x" * 501}, "title"),
    ],
)
async def test_an_edit_that_cannot_be_names_its_field_and_changes_nothing(
    database: str, body: dict[str, Any], field: str
) -> None:
    async with house(database) as it:
        asked = {"agent_id": "sage", "title": "Tell", "steps": [WEBHOOK]}
        before = told(await it.post("/proposals", asked), 201)
        for answer in (
            await it.patch(f"/proposals/{before['id']}", body),
            await it.post(f"/proposals/{before['id']}/approve", body),
        ):
            assert is_problem(answer, 422)["errors"][0]["field"] == field
        is_problem(await it.patch(f"/proposals/{before['id']}", {"steps": [{"kind": "fly"}]}), 422, "step 1")
        assert told(await it.get(f"/proposals/{before['id']}"), 200) == before


async def test_an_approval_that_a_gate_turns_away_leaves_the_proposal_as_it_was_asked(
    database: str, sql: Session
) -> None:
    async with house(database) as it:
        asked = {"agent_id": "sage", "title": "Tell", "steps": [WEBHOOK]}
        before = told(await it.post("/proposals", asked), 201)
        sql.execute("select ops_set_policy('step_gates', '{\"plan\": 0}')")
        answer = await it.post(f"/proposals/{before['id']}/approve", {"steps": [{"kind": "plan"}]})
        is_problem(answer, 409, "stays pending")
        assert told(await it.get(f"/proposals/{before['id']}"), 200) == before


async def test_a_payload_that_does_not_fit_its_kind_is_refused_when_it_is_changed_not_when_it_runs(
    database: str, sql: Session
) -> None:
    schema = {"required": ["url"], "properties": {"url": {"type": "string", "minLength": 8}}}
    sql.execute(
        "update ops_step_kinds set input_schema = %s::jsonb where kind = 'webhook'", (json.dumps(schema),)
    )
    async with house(database) as it:
        held = f"/steps/{await it.made('/steps', WEBHOOK)}"
        for payload, field in (({"url": "x"}, "payload.url"), ({}, "payload"), ({"url": 7}, "payload.url")):
            refused = is_problem(await it.post(f"{held}/release", {"payload": payload}), 422, "url")
            assert refused["errors"][0]["field"] == field
        assert told(await it.get(held), 200)["hold"] == "approval"
        assert told(await it.post(f"{held}/release", {"payload": {"url": "{{x}}"}}), 200)["hold"] is None
        proposal = {"agent_id": "sage", "title": "Tell", "steps": [WEBHOOK]}
        path = f"/proposals/{told(await it.post('/proposals', proposal), 201)['id']}"
        wrong = {"steps": [WEBHOOK, {"kind": "webhook", "payload": {"url": "x"}}]}
        is_problem(await it.patch(path, wrong), 422, "step 2: kind webhook: payload.url")
