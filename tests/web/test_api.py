"""The API as a person's programs use it."""

from typing import Any
from uuid import uuid4

import psycopg
import pytest
import trio

from reactor.errors import DatabaseError
from reactor.settings import Settings
from reactor.web import Health, limits, run_web
from reactor.web.api import api_routes
from reactor.web.desk import Desk
from tests.engine.support import Memory, until_status
from tests.web.client import Answer, ask
from tests.web.house import API, House, house

Session = psycopg.Connection[tuple[Any, ...]]
WEBHOOK = {"kind": "webhook", "payload": {"url": "https://example.com/hook"}}


def told(answer: Answer, status: int) -> Any:
    """The body, once the status is as expected."""
    assert answer.status == status, answer.text
    return answer.json


def is_problem(answer: Answer, status: int, *words: str) -> Any:
    body = told(answer, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["status"] == status
    assert all(word in body["detail"] for word in words), body
    return body


# -- lists


async def test_a_list_is_read_page_by_page_and_what_comes_meanwhile_shifts_nothing(
    database: str, sql: Session
) -> None:
    sql.execute("insert into ops_mission_steps (kind) select 'noop' from generate_series(1, 7)")
    async with house(database) as it:
        seen: list[int] = []
        after = ""
        while True:
            page = told(await it.get(f"/steps?limit=3{after}"), 200)
            seen += [one["id"] for one in page["items"]]
            sql.execute("insert into ops_mission_steps (kind) values ('noop')")
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
    assert seen == [7, 6, 5, 4, 3, 2, 1]


async def test_short_lists_page_too(database: str) -> None:
    async with house(database) as it:
        first = told(await it.get("/agents?limit=4"), 200)
        rest = told(await it.get(f"/agents?limit=4&after={first['next']}"), 200)
        assert [one["id"] for one in first["items"] + rest["items"]] == [
            "minion",
            "observer",
            "quill",
            "sage",
            "scout",
            "xalt",
        ]
        assert rest["next"] is None
        is_problem(await it.get("/agents?after=nobody"), 422, "cursor")


async def test_a_list_takes_only_what_it_knows(database: str) -> None:
    async with house(database) as it:
        is_problem(await it.get("/steps?colour=red"), 400, "colour")
        is_problem(await it.get("/steps?limit=0"), 400, "limit")
        is_problem(await it.get("/steps?limit=501"), 400, "limit")
        is_problem(await it.get("/steps?limit=1&limit=2"), 400, "limit is there twice")
        is_problem(await it.get("/steps?status=lost"), 400, "status")
        is_problem(await it.get("/steps?after=x"), 422, "cursor")
        is_problem(await it.get("/steps/99"), 404, "there is no step 99")
        is_problem(await it.get("/steps/x"), 404)
        is_problem(await it.get("/nothing"), 404)
        assert (await it.send("DELETE", "/steps")).status == 405


async def test_lists_are_narrowed(database: str, sql: Session) -> None:
    sql.execute("insert into ops_mission_steps (kind, payload) values ('webhook', '{}'), ('noop', '{}')")
    sql.execute(
        "insert into ops_agent_events (kind, title, metadata) values ('a', 'x', '{\"step_id\": 1}'), ('b', 'y', '{}')"
    )
    async with house(database) as it:
        held = told(await it.get("/steps?held=true"), 200)["items"]
        assert [(one["kind"], one["hold"]) for one in held] == [("webhook", "approval")]
        events = told(await it.get("/events?about=step:1"), 200)["items"]
        assert {one["metadata"]["step_id"] for one in events} == {1}
        assert [one["title"] for one in told(await it.get("/events?kind=b"), 200)["items"]] == ["y"]


# -- reading


async def test_reading_cannot_change_anything(database: str) -> None:
    async with house(database) as it:
        async with it.desk.reading() as conn:
            assert await conn.fetch_value("select current_setting('transaction_read_only')") == "on"
        with pytest.raises(DatabaseError, match="read-only"):
            async with it.desk.reading() as conn:
                await conn.run("insert into ops_mission_steps (kind) values ('noop')")


async def test_before_the_reactor_has_started_the_api_says_so() -> None:
    chosen: dict[str, Any] = {"port": 0}
    settings = Settings(**chosen)
    health = Health()
    desk = Desk(settings, health)
    async with trio.open_nursery() as nursery:

        async def serve(task_status: trio.TaskStatus[str]) -> None:
            await run_web(settings, health, routes=api_routes(desk), task_status=task_status)

        url: str = await nursery.start(serve)
        answer = await ask(url, f"{API}/steps")
        is_problem(answer, 503, "starting")
        assert answer.headers["retry-after"]
        is_problem(await ask(url, f"{API}/stream"), 503, "starting")
        assert (await ask(url, f"{API}/openapi.json")).status == 200
        nursery.cancel_scope.cancel()


async def test_how_everything_stands_is_told_in_one_look(database: str, sql: Session) -> None:
    sql.execute("insert into ops_mission_steps (kind, payload) values ('webhook', '{}')")
    async with house(database) as it:
        await it.post("/control/pause", {"queue": "roundtable", "reason": "quiet please"})
        status = told(await it.get("/status"), 200)
    assert status["ready"] == "ready"
    assert status["llm"] == "mock"
    assert [(one["queue"], one["reason"]) for one in status["pauses"]] == [("roundtable", "quiet please")]
    assert status["waiting_for_a_person"] == {"proposals": 0, "held_steps": 1}
    assert status["workers_live"] == 1
    assert {one["queue"] for one in status["queues"]} == {"mission", "roundtable", "initiative"}


async def test_a_shared_answer_never_hides_a_change_made_here(database: str) -> None:
    async with house(database) as it:
        before = told(await it.get("/status"), 200)["queues"][0]["queued"]
        await it.made("/steps", {"kind": "noop"})
        assert told(await it.get("/status"), 200)["queues"][0]["queued"] == before + 1


# -- work


async def test_a_step_is_given_looked_at_called_off_and_brought_back(database: str) -> None:
    async with house(database) as it:
        answer = await it.post("/steps", {"kind": "noop", "priority": 7, "payload": {"sleep_s": 1}})
        id = told(answer, 201)["id"]
        assert answer.headers["location"] == f"{API}/steps/{id}"
        step = told(await ask(it.url, answer.headers["location"]), 200)
        assert (step["status"], step["priority"], step["payload"]) == ("queued", 7, {"sleep_s": 1})
        assert told(await it.post(f"/steps/{id}/cancel"), 200) == {"changed": True, "status": "cancelled"}
        assert told(await it.post(f"/steps/{id}/cancel"), 200) == {"changed": False, "status": "cancelled"}
        assert told(await it.post(f"/steps/{id}/retry"), 200) == {"changed": True, "status": "queued"}
        is_problem(await it.post("/steps/999/retry"), 404, "there is no step 999")


async def test_work_given_over_http_is_done_at_once(database: str, sql: Session) -> None:
    async with house(database, Memory(), works=True) as it:
        await until_status(sql, await it.made("/steps", {"kind": "noop"}), "succeeded")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "kind"),
        ({"kind": 7}, "kind"),
        ({"kind": "unheard_of"}, "kind"),
        ({"kind": "noop", "payload": []}, "payload"),
        ({"kind": "noop", "priority": 11}, "priority"),
        ({"kind": "noop", "priority": "5"}, "priority"),
        ({"kind": "noop", "agent_id": "nobody"}, "agent_id"),
        ({"kind": "noop", "colour": "red"}, "colour"),
        ({"kind": "noo\x00p"}, "kind"),
    ],
)
async def test_what_is_wrong_with_a_body_is_named_by_its_field(database: str, body: Any, field: str) -> None:
    async with house(database) as it:
        problem = is_problem(await it.post("/steps", body), 422)
    assert problem["errors"][0]["field"] == field


async def test_a_body_that_is_no_json_is_refused(database: str) -> None:
    async with house(database) as it:
        is_problem(await it.post("/steps", b"{"), 422)
        is_problem(await it.post("/steps", b"\xff"), 422)
        is_problem(await it.post("/steps", b'{"kind": "noop", "payload": {"a": "\\u0000"}}'), 422)
        is_problem(await it.post("/steps", b"[" * 100_000), 422)
        is_problem(await it.post("/steps", b"kind=noop", Content_Type="text/plain"), 415, "application/json")
        is_problem(await it.post("/steps/1/retry", {"x": 1}), 422, "nothing is wanted")


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


# -- talk and memory


async def test_a_person_joins_a_conversation_and_asks_the_room(database: str) -> None:
    async with house(database) as it:
        id = await it.made(
            "/roundtable", {"format": "debate", "topic": "cats", "participants": ["sage", "xalt"]}
        )
        assert told(await it.post(f"/roundtable/{id}/turns", {"text": "Who is for dogs?"}), 201) == {
            "turn": 1
        }
        talk = told(await it.get(f"/roundtable/{id}"), 200)
        assert [(one["speaker"], one["dialogue"]) for one in talk["turns"]] == [("human", "Who is for dogs?")]
        asked = told(await it.post("/roundtable/ask", {"question": "What now?", "agent": "sage"}), 201)
        assert told(await it.get(f"/roundtable/{asked['roundtable_id']}"), 200)["participants"] == ["sage"]
        is_problem(await it.post("/roundtable/ask", {"question": "x", "agent": "nobody"}), 422, "known are")
        wrong = is_problem(await it.post("/roundtable", {"format": "seance"}), 422, "known are")
        assert wrong["errors"][0]["field"] == "format"
        assert told(await it.post(f"/roundtable/{id}/cancel"), 200)["status"] == "cancelled"
        is_problem(await it.post(f"/roundtable/{id}/turns", {"text": "too late"}), 409, "start another one")


async def test_a_memory_is_pinned_corrected_and_forgotten(database: str, sql: Session) -> None:
    async with house(database) as it:
        id = await it.made(
            "/memory", {"agent_id": "sage", "type": "insight", "content": "Cats sleep", "tags": ["Cats"]}
        )
        pinned = told(await it.patch(f"/memory/{id}", {"pinned": True}), 200)
        assert (pinned["pinned"], pinned["tags"], pinned["content"]) == (True, ["cats"], "Cats sleep")
        corrected = told(
            await it.patch(f"/memory/{id}", {"content": "Cats sleep by day", "confidence": 0.9}), 200
        )
        assert (corrected["content"], corrected["trust"], corrected["confidence"]) == (
            "Cats sleep by day",
            "human",
            0.9,
        )
        assert corrected["pinned"] is True
        assert told(await it.send("DELETE", f"/memory/{id}"), 200)["status"] == "forgotten"
        is_problem(await it.get(f"/memory/{id}"), 404)
        is_problem(await it.send("DELETE", f"/memory/{id}"), 404)
    kinds = [row[0] for row in sql.execute("select kind from ops_agent_events order by id").fetchall()]
    assert kinds[-3:] == ["memory_changed", "memory_changed", "memory_forgotten"]
    assert sql.execute("select summary from ops_agent_events order by id desc limit 1").fetchone() == (None,)


# -- steering


async def test_what_a_person_thinks_of_a_result_or_a_turn_is_remembered_once(
    database: str, sql: Session
) -> None:
    async with house(database) as it:
        step = await it.made("/steps", {"kind": "analyze", "agent_id": "sage", "payload": {"topic": "tea"}})
        for values in (
            "status = 'running', claimed_by = gen_random_uuid(), claim_token = gen_random_uuid()",
            """status = 'succeeded', result = '{"text": "Tea it is."}'""",
        ):
            sql.execute(f"update ops_mission_steps set {values}".encode())
        is_problem(await it.post("/steps/999/thumbs", {"up": True}), 404, "999")
        liked = await it.post(f"/steps/{step}/thumbs", {"up": True, "reason": "it was short"})
        memory = told(liked, 201)["id"]
        assert liked.headers["location"] == f"{API}/memory/{memory}"
        kept = told(await it.get(f"/memory/{memory}"), 200)
        assert (kept["agent_id"], kept["type"], kept["trust"]) == ("sage", "preference", "human")
        assert "because it was short" in kept["content"]
        assert told(await it.post(f"/steps/{step}/thumbs", {"up": True}), 201)["id"] == memory
        talk = sql.execute(
            "insert into ops_roundtable_queue (format, run_at) values ('standup', now() + interval '1 day') returning id"
        ).fetchone()
        assert talk is not None
        waiting = await it.made("/steps", {"kind": "noop", "delay_s": 600})
        is_problem(await it.post(f"/steps/{waiting}/thumbs", {"up": True}), 409, "come to nothing yet")
        is_problem(await it.post(f"/roundtable/{talk[0]}/thumbs", {"up": False, "turn": 1}), 404, "no turn 1")
        is_problem(await it.post(f"/roundtable/{talk[0]}/thumbs", {"up": False}), 422, "turn")
        sql.execute(
            "insert into ops_roundtable_turns (conversation_id, turn, speaker, dialogue)"
            " values (%s, 1, 'quill', 'Let us wait.')",
            talk,
        )
        judged = told(await it.post(f"/roundtable/{talk[0]}/thumbs", {"up": False, "turn": 1}), 201)["id"]
        assert told(await it.get(f"/memory/{judged}"), 200)["type"] == "lesson"


async def test_what_the_stand_in_did_to_relationships_is_undone(database: str, sql: Session) -> None:
    sql.execute("select ops_apply_drift('minion', 'sage', 0.03, 'they agreed')")
    async with house(database) as it:
        done = told(await it.post("/relationships/reset-simulated"), 200)
        assert done == {"changed": True, "status": "1 pair begins again"}
        assert told(await it.get("/relationships/minion/sage"), 200)["affinity"] == 0.8
        assert told(await it.post("/relationships/reset-simulated"), 200)["changed"] is False


async def test_everything_is_paused_and_resumed(database: str) -> None:
    async with house(database) as it:
        paused = told(await it.post("/control/pause", {"reason": "lunch", "by": "ann"}), 200)["paused"]
        assert {(one["queue"], one["reason"], one["paused_by"]) for one in paused} == {
            (queue, "lunch", "ann") for queue in ("mission", "roundtable", "initiative")
        }
        assert (
            told(await it.post("/control/resume", {"queue": "mission"}), 200)["paused"][0]["queue"]
            != "mission"
        )
        assert told(await it.post("/control/resume"), 200) == {"paused": []}
        is_problem(await it.post("/control/pause", {"queue": "missions"}), 422, "queue")


async def test_a_policy_changed_meanwhile_is_not_overwritten(database: str) -> None:
    async with house(database) as it:
        found = await it.get("/policy/llm_budget")
        tag = found.headers["etag"]
        assert (await it.get("/policy/llm_budget", If_None_Match=tag)).status == 304
        changed = await it.patch("/policy/llm_budget", {"per_day_usd": 1.5}, If_Match=tag)
        assert told(changed, 200)["value"]["per_day_usd"] == 1.5
        assert changed.headers["etag"] != tag
        is_problem(
            await it.patch("/policy/llm_budget", {"per_day_usd": 2}, If_Match=tag), 412, "read it again"
        )
        assert told(await it.get("/policy/llm_budget"), 200)["value"]["per_day_usd"] == 1.5
        assert (await it.get("/policy/llm_budget", If_None_Match=tag)).status == 200
        history = told(await it.get("/policy/llm_budget/history"), 200)["items"]
        assert [one["version"] for one in history] == [2, 1]


async def test_a_policy_of_another_shape_is_refused_and_its_field_named(database: str) -> None:
    async with house(database) as it:
        problem = is_problem(await it.patch("/policy/llm_budget", {"per_day_usd": -1}), 422)
        assert (problem["code"], problem["errors"][0]["field"]) == ("OP007", "llm_budget.per_day_usd")
        unknown = is_problem(await it.patch("/policy/llm_budget", {"per_year_usd": 1}), 422)
        assert unknown["errors"][0]["field"] == "llm_budget.per_year_usd"
        is_problem(await it.patch("/policy/nothing", {}), 404)


async def test_a_breaker_is_closed_by_hand(database: str, sql: Session) -> None:
    sql.execute("select ops_breaker_record('anthropic', false) from generate_series(1, 5)")
    async with house(database) as it:
        assert told(await it.get("/circuit-breaker"), 200)["items"][0]["state"] == "open"
        assert told(await it.post("/circuit-breaker/anthropic/reset"), 200) == {
            "changed": True,
            "status": "closed",
        }
        is_problem(await it.post("/circuit-breaker/mail/reset"), 404)


async def test_agents_are_taken_on_and_changed_and_rules_switched(database: str) -> None:
    async with house(database) as it:
        assert (
            told(await it.post("/agents", {"id": "archie", "role": "keeps things"}), 201)["display_name"]
            == "Archie"
        )
        is_problem(await it.post("/agents", {"id": "archie"}), 409)
        changed = told(await it.patch("/agents/archie", {"tone": "dry", "active": False}), 200)
        assert (changed["role"], changed["tone"], changed["active"]) == ("keeps things", "dry", False)
        rule = told(await it.get("/triggers"), 200)["items"][0]
        told(await it.patch(f"/triggers/{rule['id']}", {"enabled": not rule["enabled"]}), 200)
        assert told(await it.get("/triggers"), 200)["items"][0]["enabled"] is not rule["enabled"]


# -- once


async def test_a_change_with_a_key_is_made_once_however_often_it_is_sent(database: str, sql: Session) -> None:
    key = str(uuid4())
    async with house(database) as it:
        answers: list[Answer] = []

        async def send() -> None:
            answers.append(await it.post("/steps", {"kind": "noop"}, Idempotency_Key=key))

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(send)
        await send()
        assert {(one.status, one.text, one.headers["location"]) for one in answers} == {
            (201, '{"id":1}', f"{API}/steps/1")
        }
        assert [one.headers.get("idempotency-replayed") for one in answers].count(None) == 1
        is_problem(
            await it.post("/steps", {"kind": "noop", "priority": 6}, Idempotency_Key=key),
            422,
            "another request",
        )
        is_problem(await it.post("/steps", {"kind": "noop"}, Idempotency_Key="a b"), 400)
    assert sql.execute("select count(*) from ops_mission_steps").fetchone() == (1,)


async def test_a_change_that_failed_may_be_tried_again_under_its_key(database: str) -> None:
    async with house(database) as it:
        is_problem(await it.post("/steps/1/cancel", Idempotency_Key="k"), 404)
        await it.made("/steps", {"kind": "noop"})
        assert told(await it.post("/steps/1/cancel", Idempotency_Key="k"), 200)["changed"] is True
        again = await it.post("/steps/1/cancel", Idempotency_Key="k")
        assert told(again, 200)["changed"] is True
        assert again.headers["idempotency-replayed"] == "true"


# -- how much, and what comes with it


async def test_who_asks_too_often_is_told_when_to_come_back(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REQUESTS_A_SECOND", 0.01)
    monkeypatch.setattr(limits, "REQUESTS_AT_ONCE", 3.0)
    async with house(database) as it:
        assert [(await it.get("/control")).status for _ in range(4)] == [200, 200, 200, 429]
        answer = await it.get("/control")
        is_problem(answer, 429)
        assert int(answer.headers["retry-after"]) > 0
        assert (await ask(it.url, "/healthz")).status == 200


async def test_a_body_longer_than_any_that_means_well_is_refused(database: str) -> None:
    async with house(database) as it:
        is_problem(await it.post("/steps", b"x" * (limits.MOST_BODY_BYTES + 1)), 413)
        is_problem(await _in_pieces(it, limits.MOST_BODY_BYTES + 1), 413)


async def _in_pieces(it: House, size: int) -> Answer:
    """A body whose length nobody announced."""
    raw = b"%x\r\n%s\r\n0\r\n\r\n" % (size, b"x" * size)
    return await it.send("POST", "/steps", raw, Transfer_Encoding="chunked")


@pytest.mark.parametrize("path", ["/api/ops/steps", "/api/ops/nothing", "/ops/login", "/healthz", "/metrics"])
async def test_every_answer_carries_the_security_headers_and_none_lets_other_sites_in(
    database: str, path: str
) -> None:
    async with house(database) as it:
        answer = await ask(it.url, path, Origin="https://evil.example")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert not [name for name in answer.headers if name.startswith("access-control")]
