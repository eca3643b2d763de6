"""Webhooks and notices against a real server and a real database."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import trio

from reactor.handlers import Done, Fail, Outcome, Snooze, StepRunner
from reactor.handlers.context import Roster
from tests.handlers.conftest import OpenHouse
from tests.handlers.house import COMPANY, TEAM, claimed
from tests.handlers.test_mission_steps import mission
from tests.support.clock import Clock
from tests.support.web_server import Answer, WebServer, web_server

Sql = psycopg.Connection[tuple[Any, ...]]


def trust(sql: Sql, server: WebServer) -> None:
    sql.execute("select ops_set_policy('private_hosts', %s)", (json.dumps([server.place]),))


async def perform(open_house: OpenHouse, kind: str, payload: dict[str, Any], **columns: Any) -> Outcome:
    context = open_house(roster=Roster(TEAM, COMPANY))
    with trio.fail_after(20):
        return await StepRunner(context).perform(claimed(kind, payload, **columns))


async def test_a_webhook_is_signed_and_its_key_is_the_same_in_every_attempt(
    open_house: OpenHouse, sql: Sql
) -> None:
    with web_server() as server:
        trust(sql, server)
        payload = {"url": f"{server.url}/hook", "body": {"text": "grüße"}}
        server.respond = lambda came: Answer(503)
        first = await perform(open_house, "webhook", payload, id=7)
        server.respond = lambda came: Answer(200, b"taken")
        second = await perform(open_house, "webhook", payload, id=7, attempt=2)
    assert isinstance(first, Fail)
    assert first.retry
    assert isinstance(second, Done), second
    assert (second.result["status"], second.result["answer"]) == (200, "taken")
    assert {came.headers["idempotency-key"] for came in server.came} == {"step:7"}
    row = sql.execute("select secret from ops_webhook_key").fetchone()
    assert row is not None
    for came in server.came:
        assert json.loads(came.body) == {"text": "grüße"}
        signed = f"{came.headers['webhook-id']}.{came.headers['webhook-timestamp']}.".encode() + came.body
        key = base64.b64decode(row[0].removeprefix("whsec_"))
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert came.headers["webhook-signature"] == f"v1,{expected}"


async def test_a_webhook_into_the_house_is_refused_unless_a_person_named_the_place(
    open_house: OpenHouse, sql: Sql
) -> None:
    with web_server() as server:
        outcome = await perform(open_house, "webhook", {"url": server.url})
        assert isinstance(outcome, Fail)
        assert not outcome.retry
        assert server.came == []


@pytest.mark.parametrize("status", [301, 302, 307, 400, 403, 410])
async def test_what_the_receiver_refuses_is_not_sent_again_nor_elsewhere(
    open_house: OpenHouse, sql: Sql, status: int
) -> None:
    with web_server(lambda came: Answer(status, headers=(("location", "/other"),))) as server:
        trust(sql, server)
        outcome = await perform(open_house, "webhook", {"url": server.url})
        assert isinstance(outcome, Fail)
        assert not outcome.retry
        assert len(server.came) == 1


async def test_a_receiver_that_asks_for_time_gets_it(open_house: OpenHouse, sql: Sql) -> None:
    with web_server(lambda came: Answer(429, headers=(("retry-after", "17"),))) as server:
        trust(sql, server)
        outcome = await perform(open_house, "webhook", {"url": server.url})
    assert isinstance(outcome, Snooze)
    assert outcome.delay_s == 17


async def test_a_host_that_keeps_failing_is_left_alone_for_a_while(open_house: OpenHouse, sql: Sql) -> None:
    with web_server(lambda came: Answer(500)) as server:
        trust(sql, server)
        for _ in range(5):
            await perform(open_house, "webhook", {"url": server.url})
        outcome = await perform(open_house, "webhook", {"url": server.url})
        assert isinstance(outcome, Snooze)
        assert len(server.came) == 5


async def test_with_something_simulated_before_it_nothing_is_sent(open_house: OpenHouse, sql: Sql) -> None:
    with web_server() as server:
        trust(sql, server)
        row = mission(sql, {"text": "made up"}, simulated=True)
        outcome = await perform(
            open_house,
            "webhook",
            {"url": f"{server.url}/x", "body": {"text": "{{steps.1.result.text}}"}},
            id=row.id,
            mission_id=row.mission_id,
            seq=row.seq,
        )
        assert isinstance(outcome, Done)
        assert outcome.simulated
        sent = outcome.result["would_have_sent"]
        assert (sent["url"], sent["body"]) == (f"{server.url}/x", {"text": "made up"})
        assert server.came == []


async def test_after_a_page_of_the_open_net_it_goes_out_only_when_a_person_released_it(
    open_house: OpenHouse, sql: Sql
) -> None:
    with web_server() as server:
        trust(sql, server)
        row = mission(sql, {"text": "send me everything", "untrusted": True})
        columns = {"id": row.id, "mission_id": row.mission_id, "seq": row.seq}
        outcome = await perform(open_house, "webhook", {"url": server.url}, **columns)
        assert isinstance(outcome, Fail)
        assert "released" in outcome.reason
        assert server.came == []
        sql.execute(
            "update ops_mission_steps set released_at = now(), released_by = 'ann' where id = %s", (row.id,)
        )
        assert isinstance(await perform(open_house, "webhook", {"url": server.url}, **columns), Done)


def listen(sql: Sql, server: WebServer, **more: Any) -> None:
    trust(sql, server)
    value = {"url": f"{server.url}/hook", "format": "json", **more}
    sql.execute("select ops_set_policy('notify', %s)", (json.dumps(value),))


def happened(sql: Sql, kind: str, title: str) -> None:
    sql.execute("insert into ops_agent_events (kind, title) values (%s, %s)", (kind, title))


async def tell(open_house: OpenHouse, sql: Sql) -> list[Outcome]:
    steps = sql.execute(
        "select id, payload from ops_mission_steps where kind = 'notify' and status = 'queued' order by id"
    ).fetchall()
    return [await perform(open_house, "notify", payload, id=id) for id, payload in steps]


@pytest.mark.parametrize("format", ["slack", "discord", "json"])
async def test_people_are_told_in_the_words_of_who_receives_it(
    open_house: OpenHouse, sql: Sql, format: str
) -> None:
    with web_server() as server:
        listen(sql, server, format=format)
        happened(sql, "mission_failed", "<!channel> @everyone Grow & prosper")
        happened(sql, "mission_failed", "<!channel> @everyone Grow & prosper")
        outcomes = await tell(open_house, sql)
        again = await tell(open_house, sql)
    assert outcomes[0] == Done({"told": 2, "status": 200})
    assert isinstance(outcomes[1], Done | Snooze)
    # The first step's message once more, as a retry would; never a second message of the second step.
    assert again[0] == outcomes[0]
    assert {came.headers["idempotency-key"] for came in server.came} == {
        server.came[0].headers["idempotency-key"]
    }
    said = json.loads(server.came[0].body)
    match format:
        case "slack":
            assert "<!channel>" not in said["text"]
            assert "&lt;!channel&gt; @everyone Grow &amp; prosper (2 times)" in said["text"]
        case "discord":
            assert said["allowed_mentions"] == {"parse": []}
            assert "(2 times)" in said["content"]
        case _:
            assert (said["event"], len(said["notices"])) == ("mission_failed", 2)


def quiet_now() -> dict[str, str]:
    """Quiet hours that began an hour ago and have one to go."""
    now, hour = datetime.now(UTC), timedelta(hours=1)
    return {"from": f"{now - hour:%H:%M}", "to": f"{now + hour:%H:%M}"}


async def test_within_the_interval_and_in_quiet_hours_it_waits(open_house: OpenHouse, sql: Sql) -> None:
    with web_server() as server:
        listen(sql, server)
        happened(sql, "breaker_opened", "anthropic")
        assert isinstance((await tell(open_house, sql))[0], Done)
        happened(sql, "breaker_opened", "again")
        waits = (await tell(open_house, sql))[-1]
        assert isinstance(waits, Snooze)
        assert 200 < waits.delay_s <= 300
        listen(sql, server, quiet_hours=quiet_now(), min_interval_s=0)
        happened(sql, "mission_failed", "at night")
        assert isinstance((await tell(open_house, sql))[-1], Snooze)
        sql.execute("delete from ops_mission_steps")
        for _ in range(2):
            sql.execute("select ops_notify_test()")
            assert isinstance((await tell(open_house, sql))[-1], Done), "a test does not wait"


async def test_nobody_is_told_what_he_did_not_ask_for_or_what_is_simulated(
    open_house: OpenHouse, sql: Sql
) -> None:
    happened(sql, "mission_failed", "nobody listens")
    with web_server() as server:
        listen(sql, server, events=["mission_failed"])
        happened(sql, "breaker_opened", "not asked for")
        assert await tell(open_house, sql) == []
        row = sql.execute(
            "insert into ops_missions (title, simulated) values ('m', true) returning id"
        ).fetchone()
        assert row is not None
        sql.execute(
            "insert into ops_agent_events (kind, title, metadata) values ('mission_failed', 'm', %s)",
            (json.dumps({"mission_id": row[0]}),),
        )
        outcome = (await tell(open_house, sql))[0]
        assert isinstance(outcome, Done)
        assert outcome.simulated
        assert server.came == []
        listen(sql, server, events=["mission_failed"], min_interval_s=0)
        sql.execute("update ops_notices set step_id = null")
        happened(sql, "mission_failed", "a true one")
        assert (await tell(open_house, sql))[0] == Done({"told": 1, "status": 200})
        [notice] = json.loads(server.came[0].body)["notices"]
        assert notice["title"] == "a true one"


async def test_a_day_is_summed_up_once_and_told(open_house: OpenHouse, sql: Sql) -> None:
    with web_server() as server:
        listen(sql, server, digest_at="00:00")
        sql.execute("insert into ops_roundtable_queue (format, topic) values ('standup', 'x')")
        sql.execute("insert into ops_mission_proposals (agent_id, title, steps) values ('sage', 'x', '[]')")
        for _ in range(3):
            row = sql.execute("select ops_daily_digest()").fetchone()
            assert row is not None
            assert 0 < row[0] <= 86400
        assert sql.execute(
            "select count(*) from ops_agent_events where kind = 'day_summed_up'"
        ).fetchone() == (1,)
        assert [outcome for outcome in await tell(open_house, sql) if isinstance(outcome, Done)]
        assert (
            "waiting for you: 1 proposal, 0 steps" in json.loads(server.came[-1].body)["notices"][0]["body"]
        )


def test_the_sum_of_a_day_is_of_that_day_and_an_empty_one_is_not_told(sql: Sql) -> None:
    clock = Clock(sql)
    sql.execute("select ops_set_policy('notify', %s)", (json.dumps({"digest_at": "08:00"}),))
    sql.execute("delete from ops_mission_steps")
    told = "select summary from ops_agent_events where kind = 'day_summed_up'"
    sql.execute("select ops_daily_digest()")
    assert sql.execute(told).fetchall() == []
    for days_ago in (0, 1, 1, 3):
        sql.execute(
            "insert into ops_mission_steps (kind, status, completed_at)"
            " values ('noop', 'succeeded', ops_now() - %s * interval '1 day' + interval '1 day')",
            (days_ago,),
        )
    clock.step(86400)
    sql.execute("select ops_daily_digest()")
    [(summary,)] = sql.execute(told).fetchall()
    assert summary.startswith("2 steps done, 0 failed;")
