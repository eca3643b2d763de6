"""The three routes every process has, on real reactors and real sockets."""

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
import trio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from reactor.engine.metrics import Metrics
from reactor.engine.supervisor import Reactor
from reactor.errors import PortInUse
from reactor.pg import Connection
from reactor.settings import Settings
from reactor.web import Health, health, run_web
from tests.engine.support import Memory, reactor_on
from tests.support.server import PrivateServer
from tests.web.client import Answer, ask

Session = psycopg.Connection[tuple[Any, ...]]


@asynccontextmanager
async def web(known: Health, metrics: Metrics | None = None, **settings: Any) -> AsyncIterator[str]:
    """The web part on a free port, or where ``settings`` say; its address."""
    async with trio.open_nursery() as nursery:
        chosen = Settings(**{"port": 0, **settings})
        url: str = await nursery.start(_serve, chosen, known, metrics)
        yield url
        nursery.cancel_scope.cancel()


async def _serve(
    settings: Settings, known: Health, metrics: Metrics | None, task_status: trio.TaskStatus[str]
) -> None:
    async def more(request: Request) -> Response:
        return PlainTextResponse("more")

    await run_web(settings, known, metrics, routes=[Route("/more", more)], task_status=task_status)


@asynccontextmanager
async def at_work(dsn: str, known: Health | None = None) -> AsyncIterator[tuple[str, Reactor]]:
    """A reactor on ``dsn`` that is ready, and the address of its web part."""
    known = known or Health()
    async with reactor_on(dsn, Memory()) as reactor, web(known) as url:
        known.ready(reactor)
        yield url, reactor


async def readyz(url: str) -> Answer:
    return await ask(url, "/readyz")


async def until_ready_says(url: str, status: str, *, within_s: float = 15.0) -> Answer:
    with trio.fail_after(within_s):
        while True:
            answer = await readyz(url)
            if answer.json["status"] == status:
                return answer
            await trio.sleep(0.05)


async def test_healthz_says_that_the_loop_turns_before_there_is_any_reactor() -> None:
    async with web(Health()) as url:
        answer = await ask(url, "/healthz")
    assert (answer.status, answer.json) == (200, {"status": "ok"})
    assert answer.headers["cache-control"] == "no-store"


async def test_a_process_that_starts_is_not_ready_and_says_what_it_is_at() -> None:
    known = Health()
    async with web(known) as url:
        assert (await readyz(url)).status == 503
        known.starting("the schema is being brought to current")
        answer = await readyz(url)
        assert answer.status == 503
        assert answer.json["status"] == "starting"
        assert answer.json["reason"] == "the schema is being brought to current"


async def test_a_reactor_at_work_is_ready(database: str) -> None:
    async with at_work(database) as (url, _):
        answer = await readyz(url)
    assert answer.status == 200
    assert answer.json == {
        "status": "ready",
        "reason": None,
        "paused": [],
        "breakers": {},
        "out_of_budget": [],
    }


async def test_paused_with_a_breaker_open_and_no_budget_it_is_still_ready_and_says_all_three(
    database: str, sql: Session
) -> None:
    sql.execute("select ops_pause('mission', 'lunch')")
    sql.execute("update ops_circuit_breaker set state = 'open', opened_at = now()")
    services = [row[0] for row in sql.execute("select service from ops_circuit_breaker")]
    assert services

    async def budget(_conn: Connection) -> Mapping[str, float]:
        return {"day": -0.01, "agent sage": 1.0, "agent quill": 0.0}

    async with at_work(database, Health(budget=budget)) as (url, _):
        answer = await readyz(url)
    assert answer.status == 200
    assert answer.json["paused"] == ["mission"]
    assert answer.json["breakers"] == dict.fromkeys(services, "open")
    assert answer.json["out_of_budget"] == ["agent quill", "day"]


async def test_a_schema_that_is_behind_is_not_ready_and_names_the_file(database: str, sql: Session) -> None:
    sql.execute("delete from ops_migrations where name like 'schema/0010%'")
    async with at_work(database) as (url, _):
        answer = await readyz(url)
    assert (answer.status, answer.json["status"]) == (503, "no_schema")
    assert "schema/0010_clock.sql" in answer.json["reason"]
    assert "voxyz-reactor migrate" in answer.json["reason"]


async def test_a_schema_ahead_of_us_is_no_reason_to_stop(database: str, sql: Session) -> None:
    sql.execute("insert into ops_migrations (name, checksum, version) values ('schema/9999_x.sql', 'x', '9')")
    sql.execute("update ops_migrations set checksum = 'newer' where name like 'functions/%'")
    async with at_work(database) as (url, _):
        assert (await readyz(url)).status == 200


async def test_while_the_database_is_away_it_is_alive_and_not_ready_and_comes_back_by_itself(
    server: PrivateServer, database: str
) -> None:
    async with at_work(database) as (url, _):
        assert (await readyz(url)).status == 200
        await trio.to_thread.run_sync(server.stop)
        away = await until_ready_says(url, "no_database")
        assert away.status == 503
        assert away.json["reason"] == "the database does not answer"
        assert (await ask(url, "/healthz")).status == 200
        assert "voxyz_database_up 0.0" in (await ask(url, "/metrics")).text
        await trio.to_thread.run_sync(server.start)
        assert (await until_ready_says(url, "ready")).status == 200


async def test_a_reactor_whose_connections_are_all_busy_stays_ready(database: str) -> None:
    async with at_work(database) as (url, reactor):
        assert (await readyz(url)).status == 200
        async with reactor.pool.connection(), reactor.pool.connection():  # as many as it has
            await trio.sleep(health.LOOK_EVERY_S)
            assert (await readyz(url)).status == 200


async def test_once_it_was_told_to_stop_it_is_not_ready_any_more(database: str) -> None:
    known = Health()
    async with at_work(database, known) as (url, _):
        assert (await readyz(url)).status == 200
        known.stopping()
        answer = await readyz(url)
    assert (answer.status, answer.json["status"]) == (503, "stopping")


async def test_a_hundred_questions_are_not_a_hundred_for_the_database(database: str) -> None:
    looks = 0

    async def counted(_conn: Connection) -> Mapping[str, float]:
        nonlocal looks
        looks += 1
        return {}

    async with at_work(database, Health(budget=counted)) as (url, _):
        began_at = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(readyz, url)
        assert 1 <= looks <= 1 + int((trio.current_time() - began_at) / health.LOOK_EVERY_S)


async def test_a_set_port_in_use_stops_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        with pytest.RaisesGroup(PortInUse):
            async with web(Health(), port=port):
                raise AssertionError("it started")


async def test_routes_are_laid_beside_the_probes_and_errors_are_problems() -> None:
    async with web(Health()) as url:
        assert (await ask(url, "/more")).text == "more"
        missing = await ask(url, "/nothing")
        assert (missing.status, missing.json["detail"]) == (404, "there is nothing at /nothing")
        wrong = await ask(url, "/healthz", method="POST")
        assert (wrong.status, wrong.json["detail"]) == (405, "POST is not for /healthz")
        assert wrong.headers["content-type"] == "application/problem+json"


async def test_with_a_token_the_metrics_need_it_and_the_probes_do_not() -> None:
    async with web(Health(), api_token="secret") as url:
        assert (await ask(url, "/healthz", Host="anything.example")).status == 200
        assert (await readyz(url)).status == 503
        assert (await ask(url, "/metrics")).status == 401
        assert (await ask(url, "/metrics", Authorization="Bearer secret")).status == 200


async def test_it_stops_within_a_second() -> None:
    known = Health()
    with trio.fail_after(5):
        async with web(known) as url:
            await ask(url, "/healthz")
            began_at = trio.current_time()
        assert trio.current_time() - began_at < 1.0
