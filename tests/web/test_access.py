"""Who may do what over HTTP."""

import socket
from collections.abc import Mapping
from contextlib import suppress

import pytest
import trio
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from reactor.web.access import Access, Grant, Refusal, Rules
from tests.web.client import ask, dial, served

NO_TOKEN = Rules()
TOKENS = Rules(SecretStr("all-of-it"), SecretStr("only-looking"))
ALL = {"authorization": "Bearer all-of-it"}
LOOKING = {"authorization": "Bearer only-looking"}


def judged(rules: Rules, headers: Mapping[str, str], method: str = "GET", path: str = "/ops") -> Grant | int:
    """What is granted, or the status of the refusal."""
    verdict = rules.judge(method, path, [(name.encode(), value.encode()) for name, value in headers.items()])
    return verdict.status if isinstance(verdict, Refusal) else verdict


# -- without a token


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8420",
        "LOCALHOST:8420",
        "127.0.0.1",
        "127.0.0.1:8420",
        "127.1.2.3",
        "[::1]:8420",
    ],
)
def test_this_machine_may_do_everything_under_any_of_its_own_names(host: str) -> None:
    assert judged(NO_TOKEN, {"host": host}) is Grant.ALL
    assert judged(NO_TOKEN, {"host": host}, "POST") is Grant.ALL


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:8420",
        "evil@localhost",
        "localhost@evil.example",
        "10.0.0.7",
        "0.0.0.0",
        "[::]",
        "::1",
        "",
        "localhost:8420:9",
        "localhost, evil.example",
    ],
)
@pytest.mark.parametrize("path", ["/ops", "/healthz", "/readyz", "/metrics"])
def test_any_other_host_is_refused_whatever_is_asked_for(host: str, path: str) -> None:
    assert judged(NO_TOKEN, {"host": host}, path=path) == 403


def test_no_host_or_two_hosts_are_refused() -> None:
    assert isinstance(NO_TOKEN.judge("GET", "/ops", []), Refusal)
    twice = [(b"host", b"localhost"), (b"host", b"localhost")]
    assert isinstance(NO_TOKEN.judge("GET", "/ops", twice), Refusal)


@pytest.mark.parametrize(
    "name", ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via"]
)
def test_what_a_proxy_forwards_is_refused(name: str) -> None:
    assert judged(NO_TOKEN, {"host": "localhost", name: "127.0.0.1"}) == 403


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost:3000",
        "http://localhost",
        "http://127.0.0.1:8420",  # another name of ours is another origin
        "http://evil.example:8420",
        "http://localhost:8420.evil.example",
        "http://[::1",
        "file://",
        "null",
        "",
    ],
)
def test_a_page_of_another_origin_may_change_nothing(origin: str) -> None:
    headers = {"host": "localhost:8420", "origin": origin}
    assert judged(NO_TOKEN, headers, "POST") == 403
    assert judged(NO_TOKEN, headers, "DELETE") == 403
    assert judged(NO_TOKEN, headers) is Grant.ALL


def test_our_own_page_may_change_things() -> None:
    ours = {"host": "localhost:8420", "origin": "http://localhost:8420", "sec-fetch-site": "same-origin"}
    assert judged(NO_TOKEN, ours, "POST") is Grant.ALL
    assert judged(NO_TOKEN, {"host": "[::1]:8420", "origin": "http://[::1]:8420"}, "PATCH") is Grant.ALL
    assert judged(NO_TOKEN, {"host": "localhost", "origin": "http://localhost:80"}, "POST") is Grant.ALL


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_browser_that_says_another_site_asked_is_believed(site: str) -> None:
    assert judged(NO_TOKEN, {"host": "localhost", "sec-fetch-site": site}, "POST") == 403


# -- with tokens


@pytest.mark.parametrize(
    "path", ["/ops", "/metrics", "/api/ops/steps", "/healthz/", "/readyz/x", "//healthz"]
)
def test_with_a_token_nothing_is_served_without_it_not_even_to_this_machine(path: str) -> None:
    assert judged(TOKENS, {"host": "localhost"}, path=path) == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_the_two_probes_are_open(path: str) -> None:
    assert judged(TOKENS, {"host": "10.0.0.7:8420", "x-forwarded-for": "10.0.0.1"}, path=path) is Grant.PROBE
    assert judged(TOKENS, {"authorization": "Bearer wrong"}, path=path) is Grant.PROBE
    assert judged(TOKENS, {}, "POST", path) == 403


def test_the_token_opens_everything_under_any_name_and_through_a_proxy() -> None:
    headers = {**ALL, "host": "ops.example", "x-forwarded-for": "198.51.100.9"}
    assert judged(TOKENS, headers) is Grant.ALL
    assert judged(TOKENS, headers, "POST") is Grant.ALL


def test_the_reading_token_only_looks() -> None:
    assert judged(TOKENS, LOOKING) is Grant.READ
    assert judged(TOKENS, LOOKING, "HEAD") is Grant.READ
    assert judged(TOKENS, LOOKING, "POST") == 403
    assert judged(TOKENS, LOOKING, "DELETE") == 403


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer all-of-i",
        "Bearer all-of-it2",
        "Bearer ALL-OF-IT",
        "Basic all-of-it",
        "all-of-it",
        "Bearer all-of-it only-looking",
    ],
)
def test_a_wrong_token_opens_nothing(value: str) -> None:
    assert judged(TOKENS, {"host": "localhost", "authorization": value}) == 401


def test_the_scheme_of_a_token_is_spelt_as_one_likes() -> None:
    assert judged(TOKENS, {"authorization": "bearer all-of-it"}) is Grant.ALL


def test_two_tokens_at_once_are_refused() -> None:
    pair = [(b"authorization", b"Bearer all-of-it"), (b"authorization", b"Bearer only-looking")]
    verdict = TOKENS.judge("GET", "/ops", pair)
    assert isinstance(verdict, Refusal)
    assert verdict.status == 401


def test_a_page_of_another_origin_may_change_nothing_even_with_the_token() -> None:
    assert judged(TOKENS, {**ALL, "host": "ops.example", "origin": "https://evil.example"}, "POST") == 403
    assert (
        judged(TOKENS, {**ALL, "host": "ops.example", "origin": "https://ops.example"}, "POST") is Grant.ALL
    )


def test_a_token_with_letters_of_any_alphabet_works() -> None:
    assert judged(Rules(SecretStr("schlüssel-鍵")), {"authorization": "Bearer schlüssel-鍵"}) is Grant.ALL


# -- over the wire


async def granted(request: Request) -> Response:
    return PlainTextResponse(request.state.grant)


def app(rules: Rules) -> Starlette:
    return Starlette(
        routes=[Route("/ops", granted, methods=["GET", "POST"]), Route("/healthz", granted)],
        middleware=[Middleware(Access, rules=rules)],
    )


async def test_a_refusal_is_a_problem_that_says_what_to_do() -> None:
    async with served(app(NO_TOKEN)) as (url, _):
        answer = await ask(url, "/ops", Host="evil.example")
    assert (answer.status, answer.headers["content-type"]) == (403, "application/problem+json")
    assert answer.json["title"] == "Forbidden"
    assert "set OPS_API_TOKEN" in answer.json["detail"]


async def test_who_has_no_token_is_told_to_send_one() -> None:
    async with served(app(TOKENS)) as (url, _):
        answer = await ask(url, "/ops")
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="voxyz-reactor"')
        assert (await ask(url, "/ops", Authorization="Bearer only-looking")).text == "read"
        assert (await ask(url, "/ops", method="POST", Authorization="Bearer all-of-it")).text == "all"
        assert (await ask(url, "/healthz")).text == "probe"


async def test_a_refused_body_is_not_read() -> None:
    async with served(app(TOKENS)) as (url, _):
        assert (await ask(url, "/ops", method="POST", body=b"x" * 1_000_000)).status == 401


@pytest.mark.parametrize("rules", [NO_TOKEN, TOKENS])
async def test_no_websocket_is_opened(rules: Rules) -> None:
    async with served(app(rules)) as (url, _):
        with dial(url) as client:
            client.sendall(
                b"GET /ops HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            assert (await _first_line(client)).startswith("HTTP/1.1 403")


@pytest.mark.parametrize(("host", "served_it"), [(b"localhost", True), (b"evil.example", False)])
async def test_http_2_without_tls_meets_the_same_rules(host: bytes, served_it: bool) -> None:
    async with served(app(NO_TOKEN)) as (url, _):
        with dial(url) as client:
            client.sendall(
                b"GET /ops HTTP/1.1\r\nHost: " + host + b"\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
            )
            answer = await _everything(client)
    assert "HTTP/1.1 101" in answer
    assert ("all" in answer) is served_it


async def _first_line(client: socket.socket) -> str:
    return (await _everything(client)).partition("\r\n")[0]


async def _everything(client: socket.socket) -> str:
    """All that comes until nothing comes for half a second."""

    def read() -> bytes:
        client.settimeout(0.5)
        answer = b""
        with suppress(TimeoutError):
            while part := client.recv(65536):
                answer += part
        return answer

    return (await trio.to_thread.run_sync(read)).decode("latin-1")
