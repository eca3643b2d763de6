"""The API as a person's programs use it."""

from typing import Any
from uuid import uuid4

import psycopg
import pytest
import trio

from reactor.errors import DatabaseError
from reactor.settings import Settings
from reactor.store import events
from reactor.web import Health, limits, run_web
from reactor.web.api import api_routes
from reactor.web.desk import Desk
from tests.engine.support import Memory, until_status
from tests.web.client import Answer, ask
from tests.web.house import API, House, house, is_problem, told

Session = psycopg.Connection[tuple[Any, ...]]


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


async def test_a_list_asked_for_while_its_table_was_small_reads_no_more_of_it_when_it_is_large(
    database: str, sql: Session
) -> None:
    read = "select coalesce(seq_tup_read, 0) from pg_stat_xact_user_tables where relname = 'ops_agent_events'"
    sql.execute("insert into ops_agent_events (kind, title) values ('a', 'x')")
    sql.execute("vacuum analyze ops_agent_events")
    async with house(database) as it:
        for _ in range(12):  # more often than it takes to have a plan kept
            async with it.desk.reading() as conn:
                await events.last(conn, 20)
        sql.execute(
            "insert into ops_agent_events (kind, title) select 'a', 'x' from generate_series(1, 20000)"
        )
        async with it.desk.reading() as conn, conn.transaction():
            before = await conn.fetch_value(read) or 0
            assert len(await events.last(conn, 20)) == 20
            assert (await conn.fetch_value(read) or 0) - before == 0


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


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (b'{"a": {"b": [0, NaN]}}', "payload.a.b.1"),
        (b'{"a": 1e999}', "payload.a"),
        (b'{"a": "x\\u0000"}', "payload.a"),
        (b'{"x\\u0000": 1}', "payload"),
    ],
)
async def test_json_that_the_database_cannot_keep_is_refused_by_its_field(
    database: str, value: bytes, field: str
) -> None:
    async with house(database) as it:
        answer = await it.post("/steps", b'{"kind": "noop", "payload": ' + value + b"}")
        assert is_problem(answer, 422, field, "cannot be kept")["errors"][0]["field"] == field
        fine = await it.post("/steps", b'{"kind": "noop", "payload": {"a": "NaN 1e9 \\\\u0000"}}')
        assert fine.status == 201
