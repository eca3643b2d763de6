"""Signing in with a browser: the cookie, the word against forged forms, the link that works once."""

from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
import trio
from pydantic import SecretStr

from reactor.web.sessions import LASTS_S, TICKET_LASTS_S, Grant, Sessions
from tests.web.client import Answer, ask
from tests.web.house import API, House, house

Session = psycopg.Connection[tuple[Any, ...]]
TOKENS: dict[str, Any] = {"api_token": "all-of-it", "read_token": "only-looking"}
FORM = "application/x-www-form-urlencoded"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def sessions(clock: Clock, api: str = "all-of-it", read: str = "only-looking") -> Sessions:
    return Sessions(SecretStr(api), SecretStr(read), clock=clock)


def test_a_cookie_grants_what_its_token_did_until_it_is_over() -> None:
    clock = Clock()
    ours = sessions(clock)
    cookie = ours.cookie(Grant.READ)
    found = ours.read(cookie)
    assert found is not None
    assert found.grant is Grant.READ
    clock.now += LASTS_S + 1
    assert ours.read(cookie) is None


def test_reactors_with_the_same_tokens_take_each_others_cookies_and_no_others_do() -> None:
    clock = Clock()
    cookie = sessions(clock).cookie(Grant.ALL)
    assert sessions(clock).read(cookie) is not None
    assert sessions(clock, api="another").read(cookie) is None
    assert sessions(clock, read="another").read(cookie) is None


def test_a_cookie_that_was_touched_is_worth_nothing() -> None:
    ours = sessions(Clock())
    cookie = ours.cookie(Grant.READ)
    for wrong in (
        cookie.replace("read", "all"),
        cookie[:-1],
        "",
        ".",
        "session.all.9999999999.x.y",
        cookie + "é",
    ):
        assert ours.read(wrong) is None
    assert ours.read(ours.ticket()) is None  # a ticket is no cookie


def test_every_session_has_a_word_of_its_own() -> None:
    ours = sessions(Clock())
    one, other = ours.read(ours.cookie(Grant.ALL)), ours.read(ours.cookie(Grant.ALL))
    assert one is not None
    assert other is not None
    assert one.csrf != other.csrf


def test_a_link_signs_in_soon_and_tells_nothing_by_its_digest() -> None:
    clock = Clock()
    ours = sessions(clock)
    link = ours.link(ours.ticket())
    assert link is not None
    assert link.grant is Grant.ALL
    assert ours.link(link.digest) is None
    late = ours.ticket()
    clock.now += TICKET_LASTS_S + 1
    assert ours.link(late) is None
    assert ours.link(ours.cookie(Grant.ALL)) is None


# -- over the wire


async def sign_in(it: House, token: str = "all-of-it", **fields: str) -> Answer:
    body = urlencode({"token": token, **fields}).encode()
    return await ask(it.url, "/ops/login", method="POST", body=body, Content_Type=FORM)


def cookie_from(answer: Answer) -> str:
    assert answer.status == 303, answer.text
    return answer.headers["set-cookie"].partition(";")[0]


async def word_of(it: House, cookie: str) -> str:
    told = (await it.get("/session", Cookie=cookie)).json
    assert isinstance(told["csrf"], str)
    return str(told["csrf"])


async def test_a_browser_without_a_session_is_led_to_the_form_and_back(database: str) -> None:
    async with house(database, **TOKENS) as it:
        away = await ask(it.url, "/ops/mission/7", Accept="text/html,*/*")
        assert (away.status, away.headers["location"]) == (303, "/ops/login?next=/ops/mission/7")
        form = await ask(it.url, away.headers["location"])
        assert form.status == 200
        assert 'name="next" value="/ops/mission/7"' in form.text
        answer = await sign_in(it, next="/ops/mission/7")
        assert answer.headers["location"] == "/ops/mission/7"
        kept = answer.headers["set-cookie"].lower()
        assert "httponly" in kept
        assert "samesite=strict" in kept
        assert "secure" not in kept  # the connection is not either
        program = await ask(it.url, "/ops")
        assert program.status == 401


@pytest.mark.parametrize(
    "wanted", ["https://evil.example", "//evil.example", "/ops\\evil", "/api/ops", "/opsx", ""]
)
async def test_nobody_is_led_away_from_here(database: str, wanted: str) -> None:
    async with house(database, **TOKENS) as it:
        assert (await sign_in(it, next=wanted)).headers["location"] == "/ops"


async def test_a_session_looks_and_with_its_word_changes(database: str) -> None:
    async with house(database, **TOKENS) as it:
        cookie = cookie_from(await sign_in(it))
        assert (await it.get("/steps", Cookie=cookie)).status == 200
        refused = await it.post("/control/pause", {}, Cookie=cookie)
        assert refused.status == 403
        word = await word_of(it, cookie)
        assert (await it.post("/control/pause", {}, Cookie=cookie, X_CSRF_Token="wrong")).status == 403
        assert (await it.post("/control/pause", {}, Cookie=cookie, X_CSRF_Token=word)).status == 200
        other = await word_of(it, cookie_from(await sign_in(it)))
        assert (await it.post("/control/resume", {}, Cookie=cookie, X_CSRF_Token=other)).status == 403


async def test_a_form_brings_the_word_in_a_field_and_its_body_still_arrives(database: str) -> None:
    async with house(database, **TOKENS) as it:
        cookie = cookie_from(await sign_in(it))
        word = await word_of(it, cookie)
        for fields, status in (({"csrf": word}, 303), ({"csrf": "wrong"}, 403), ({}, 403)):
            body = urlencode(fields).encode()
            left = await ask(
                it.url, "/ops/logout", method="POST", body=body, Cookie=cookie, Content_Type=FORM
            )
            assert left.status == status
            if status == 303:
                assert 'voxyz_session=""' in left.headers["set-cookie"]
        again = urlencode({"csrf": word, "token": "only-looking"}).encode()
        answer = await ask(it.url, "/ops/login", method="POST", body=again, Cookie=cookie, Content_Type=FORM)
        assert answer.status == 303


async def test_the_reading_token_signs_in_to_look(database: str) -> None:
    async with house(database, **TOKENS) as it:
        cookie = cookie_from(await sign_in(it, "only-looking"))
        assert (await it.get("/session", Cookie=cookie)).json["grant"] == "read"
        word = await word_of(it, cookie)
        refused = await it.post("/control/pause", {}, Cookie=cookie, X_CSRF_Token=word)
        assert refused.status == 403
        assert "may only look" in refused.json["detail"]


async def test_a_bearer_token_needs_no_word(database: str) -> None:
    async with house(database, **TOKENS) as it:
        assert (await it.post("/control/pause", {}, Authorization="Bearer all-of-it")).status == 200
        assert (await it.post("/control/resume", {}, Authorization="Bearer only-looking")).status == 403


async def test_wrong_tokens_are_tried_a_few_times_and_no_more(database: str) -> None:
    async with house(database, **TOKENS) as it:
        forms = [(await sign_in(it, "guess")).status for _ in range(11)]
        assert forms == [401] * 10 + [429]
        assert (await sign_in(it)).status == 429
        bearers = [(await it.get("/steps", Authorization="Bearer guess")).status for _ in range(11)]
        assert bearers == [401] * 10 + [429]
        assert (await it.get("/steps", Authorization="Bearer all-of-it")).status == 429
        assert (await ask(it.url, "/healthz", Authorization="Bearer guess")).status == 200


async def test_another_site_cannot_sign_somebody_in(database: str) -> None:
    async with house(database, **TOKENS) as it:
        body = urlencode({"token": "all-of-it"}).encode()
        answer = await ask(
            it.url, "/ops/login", method="POST", body=body, Content_Type=FORM, Origin="https://evil.example"
        )
        assert answer.status == 403


async def test_without_tokens_there_is_nothing_to_sign_in_for(database: str) -> None:
    async with house(database) as it:
        answer = await ask(it.url, "/ops/login")
        assert (answer.status, answer.headers["location"]) == (303, "/ops")
        assert (await it.get("/session")).json == {"grant": "all", "csrf": ""}
        assert (await ask(it.url, f"{API}/steps", Cookie="voxyz_session=x")).status == 200


async def test_a_link_signs_in_once_at_whichever_process_it_is_shown_first(
    database: str, sql: Session
) -> None:
    tokens: dict[str, Any] = {"api_token": "all-of-it"}
    async with house(database, **tokens) as one, house(database, **tokens) as other:
        ticket = Sessions(SecretStr("all-of-it")).ticket()
        answers: list[Answer] = []

        async def follow(it: House) -> None:
            answers.append(await ask(it.url, f"/ops/login?ticket={ticket}"))

        async with trio.open_nursery() as nursery:
            for it in (one, other) * 3:
                nursery.start_soon(follow, it)
        assert sorted(answer.status for answer in answers) == [303] + [401] * 5
        cookie = cookie_from(next(answer for answer in answers if answer.status == 303))
        assert (await other.get("/status", Cookie=cookie)).status == 200
        row = sql.execute("select digest, expires_at > now() from ops_login_links").fetchall()
        assert row == [(sha256(ticket.encode()).hexdigest(), True)]


async def test_a_page_that_was_left_open_too_long_says_so_in_words_with_and_without_scripts(
    database: str,
) -> None:
    async with house(database, **TOKENS) as it:
        signed_in = await ask(it.url, "/ops/login", method="POST", body=b"token=all-of-it", content_type=FORM)
        cookie = signed_in.headers["set-cookie"].partition(";")[0]

        async def press(**headers: str) -> Answer:
            given: dict[str, Any] = {"content_type": FORM, **headers}
            return await ask(it.url, "/ops/do/pause", method="POST", body=b"queue=all&csrf=old", **given)

        by_script, by_form = (
            await press(cookie=cookie, hx_request="true"),
            await press(cookie=cookie, accept="text/html"),
        )
        assert (by_script.status, by_form.status) == (403, 403)
        assert by_script.text.startswith(
            '<p class="toast trouble" role="alert">the page was opened too long ago'
        )
        assert "<h1>Nothing was done</h1>" in by_form.text
        gone = await press(hx_request="true")
        assert (gone.status, "you are signed out" in gone.text) == (401, True)
        led = await press(accept="text/html")
        assert (led.status, led.headers["location"]) == (303, "/ops/login?next=/ops")
        assert (await press(cookie=cookie)).headers["content-type"] == "application/problem+json"
