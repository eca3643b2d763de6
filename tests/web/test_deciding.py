"""What waits for a person: looked at, changed and decided about over HTTP."""

from typing import Any

import psycopg
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
