"""The page, as a browser without scripts gets it."""

from typing import Any

import psycopg
import trio

from reactor.settings import Settings
from reactor.web import Health, run_web
from reactor.web.page import ops_page
from tests.engine.support import Memory, reactor_on
from tests.web.client import Answer, ask

HOSTILE = "<script>alert(1)</script>\" onload='x"


def _settings() -> Settings:
    chosen: dict[str, Any] = {"port": 0}
    return Settings(**chosen)


async def look(known: Health) -> Answer:
    async with trio.open_nursery() as nursery:

        async def serve(task_status: trio.TaskStatus[str]) -> None:
            await run_web(_settings(), known, routes=[ops_page(known)], task_status=task_status)

        url: str = await nursery.start(serve)
        answer = await ask(url, "/ops")
        nursery.cancel_scope.cancel()
    return answer


async def test_the_page_shows_queues_and_events_and_texts_stay_texts(
    database: str, sql: psycopg.Connection[tuple[Any, ...]]
) -> None:
    sql.execute(
        "insert into ops_agent_events (kind, title, summary) values ('mission_failed', %s, %s)",
        (HOSTILE, HOSTILE),
    )
    known = Health()
    async with reactor_on(database, Memory()) as reactor:
        known.ready(reactor)
        page = await look(known)
    assert page.status == 200
    body = page.body.decode()
    assert "<td>mission</td>" in body
    assert "mission_failed" in body
    assert "<script" not in body
    assert "&lt;script&gt;" in body
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_before_anything_is_ready_the_page_says_what_is_under_way() -> None:
    page = await look(Health())
    assert page.status == 200
    assert "starting" in page.body.decode()
