"""The page, as a browser without scripts gets it."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlencode

import psycopg
import trio

from reactor.settings import Settings
from reactor.web import Health, run_web
from reactor.web.desk import Desk
from reactor.web.page import page_routes
from reactor.web.page.deeds import DEEDS
from reactor.web.page.panels import PANELS
from reactor.web.page.sheets import SHEETS
from tests.engine.support import Memory, reactor_on
from tests.web.client import Answer, ask

Sql = psycopg.Connection[tuple[Any, ...]]
HOSTILE = "<script>alert(1)</script>\" onload='x"
FORM = {"content_type": "application/x-www-form-urlencoded"}


@asynccontextmanager
async def paged(database: str | None) -> AsyncIterator[str]:
    """The address of a page, with a reactor behind it unless there is no database."""
    chosen: dict[str, Any] = {"port": 0}
    settings, known = Settings(**chosen), Health()
    desk = Desk(settings, known)
    async with trio.open_nursery() as nursery:
        web = partial(run_web, settings, known, rules=desk.rules, routes=page_routes(desk))
        url: str = await nursery.start(web)
        nursery.start_soon(desk.run)
        if database is None:
            yield url
        else:
            async with reactor_on(database, Memory()) as reactor:
                known.ready(reactor)
                yield url
        nursery.cancel_scope.cancel()


async def post(url: str, deed: str, *, script: bool = False, **fields: object) -> Answer:
    more = {"hx_request": "true"} if script else {}
    body = urlencode(fields).encode()
    return await ask(url, f"/ops/do/{deed}", method="POST", body=body, **FORM, **more)


async def test_the_page_has_every_panel_and_texts_stay_texts(database: str, sql: Sql) -> None:
    sql.execute(
        "insert into ops_agent_events (kind, title, summary) values ('mission_failed', %s, %s)",
        (HOSTILE, HOSTILE),
    )
    async with paged(database) as url:
        page = await ask(url, "/ops")
    assert page.status == 200
    for name in PANELS:
        assert f'data-panel="{name}"' in page.text
    assert 'id="company-unknown"' in page.text, "it says so as long as nobody has said what the company is"
    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text
    assert not re.search(r"""\sstyle=|\son[a-z]+=["']""", page.text)
    assert "script-src 'self'" in page.headers["content-security-policy"]


async def test_before_anything_is_ready_the_page_says_what_is_under_way() -> None:
    async with paged(None) as url:
        page = await ask(url, "/ops")
    assert page.status == 503
    assert "it has only just begun" in page.text


async def test_a_form_leads_back_to_where_it_was_sent_from_and_nowhere_else(database: str, sql: Sql) -> None:
    async with paged(database) as url:
        paused = await post(url, "pause", queue="all", back="/ops#queues")
        assert (paused.status, paused.headers["location"]) == (303, "/ops#queues")
        assert sql.execute("select count(*) from ops_pauses").fetchone() == (3,)
        for elsewhere in (
            "https://evil.example/",
            "//evil.example",
            "/api/ops/status",
            "/ops/../x",
            "/ops\r\nx: y",
        ):
            resumed = await post(url, "resume", queue="all", back=elsewhere)
            assert resumed.headers["location"] == "/ops"


async def test_what_the_database_refuses_is_said_in_its_words(database: str) -> None:
    async with paged(database) as url:
        plain = await post(url, "approve", id=4711)
        script = await post(url, "approve", id=4711, script=True)
        nothing = await post(url, "reject", id=1, reason="  ")
        wrong = await post(url, "approve", id="1; drop table")
        unknown = await post(url, "explode")
    assert (plain.status, script.status) == (404, 404)
    assert "4711" in plain.text
    assert "<html" in plain.text
    assert "<html" not in script.text
    assert (nothing.status, wrong.status, unknown.status) == (422, 422, 404)
    assert "the reason is missing" in nothing.text


async def test_what_is_no_character_is_kept_as_a_sign_that_there_was_one(database: str, sql: Sql) -> None:
    async with paged(database) as url:
        assert (await post(url, "talk", format="debate", topic="a\0b")).status == 303
    assert sql.execute("select topic from ops_roundtable_queue").fetchone() == ("a\ufffdb",)


async def test_nothing_of_that_name_is_a_page_that_says_so(database: str) -> None:
    async with paged(database) as url:
        for what in SHEETS:
            for name in ("999999", "nobody:noone", "0x10", "9" * 40):
                answer = await ask(url, f"/ops/{what}/{name}")
                assert answer.status == 404, (what, name)
                assert f"there is no {what}" in answer.text
        assert (await ask(url, "/ops/panel/nonsense")).status == 404
        assert (await ask(url, "/ops/nonsense/1")).status == 404
        assert (await ask(url, "/ops/static/../routes.py")).status == 404


async def test_files_are_kept_for_ever_under_the_print_of_their_bytes(database: str) -> None:
    async with paged(database) as url:
        page = await ask(url, "/ops")
        for address in re.findall(r'(?:src|href)="(/ops/static/[^"]+)"', page.text):
            file = await ask(url, address)
            assert file.status == 200
            assert "immutable" in file.headers["cache-control"]
            stale = await ask(url, address.partition("?")[0])
            assert stale.headers["cache-control"] == "no-store"


async def test_the_page_behind_a_deed_is_no_older_than_the_deed(database: str, sql: Sql) -> None:
    async with paged(database) as url:
        for _ in range(3):
            [(id,)] = sql.execute("insert into ops_mission_steps (kind) values ('webhook') returning id")
            await trio.sleep(0.6)  # nothing older is shown by now
            assert f'id="held-{id}"' in (await ask(url, "/ops")).text
            assert (await post(url, "release", id=str(id))).status == 303
            assert f'id="held-{id}"' not in (await ask(url, "/ops")).text


async def test_a_conversation_that_still_waits_is_shown_with_why_but_not_before_one_that_is_spoken(
    database: str, sql: Sql
) -> None:
    insert = (
        "insert into ops_roundtable_queue (format, topic, status, claimed_by, claim_token, started_at, attempt)"
        " select 'standup', %s, %s, token, token, at, tries from (values (null::uuid, null::timestamptz, 0),"
        " (gen_random_uuid(), ops_now(), 1)) as claimed (token, at, tries) where (token is not null) = %s"
    )
    sql.execute("select ops_pause('roundtable', 'a holiday')")
    async with paged(database) as url:
        sql.execute(insert, ("Later?", "queued", False))
        waits = (await ask(url, "/ops/panel/talk")).text
        assert '<p class="topic">Later?</p>' in waits
        assert waits.count("a holiday") == 2
        assert "Say something into the round" in waits
        sql.execute(insert, ("Now!", "running", True))
        sql.execute(insert, ("Later still?", "queued", False))
        assert '<p class="topic">Now!</p>' in (await ask(url, "/ops/panel/talk")).text


async def test_a_name_is_kept_and_decides(database: str, sql: Sql) -> None:
    id = sql.execute("insert into ops_mission_steps (kind) values ('webhook') returning id").fetchone()
    async with paged(database) as url:
        named = await post(url, "name", name="Jürgen <b>")
        cookie = named.headers["set-cookie"].partition(";")[0]
        body = urlencode({"id": (id or (0,))[0]}).encode()
        await ask(url, "/ops/do/release", method="POST", body=body, cookie=cookie, **FORM)
    assert sql.execute("select released_by from ops_mission_steps").fetchone() == ("Jürgen b",)


def test_every_deed_has_a_form_and_every_form_a_deed() -> None:
    from reactor.web.page.render import TEMPLATES

    texts = "\n".join(path.read_text() for path in TEMPLATES.rglob("*.html"))
    wanted = set(re.findall(r"""(?:press|deed)\(\s*"([a-z-]+)\"""", texts))
    assert wanted == set(DEEDS)
