"""Conversations, memories, pauses, policies, breakers, agents and rules over HTTP."""

from typing import Any

import psycopg

from tests.web.house import API, house, is_problem, told

Session = psycopg.Connection[tuple[Any, ...]]


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


async def test_the_path_of_a_hook_is_shown_to_nobody_and_stays_when_what_was_shown_comes_back(
    database: str, sql: Session
) -> None:
    hook = "https://hooks.example.com/services/T0/B0/secret"
    now = "select value ->> 'url' from ops_policy where key = 'notify'"
    async with house(database) as it:
        value = told(await it.patch("/policy/notify", {"url": hook, "format": "slack"}), 200)["value"]
        assert value["url"] == "https://hooks.example.com/…"
        for path in ("/policy", "/policy/notify", "/policy/notify/history"):
            answer = await it.get(path)
            assert b"hooks.example.com" in answer.body
            assert b"secret" not in answer.body
        told(await it.patch("/policy/notify", {**value, "format": "json"}), 200)
        assert sql.execute(now).fetchone() == (hook,)
        told(await it.patch("/policy/notify", {"url": ""}), 200)
        assert sql.execute(now).fetchone() == ("",)


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
