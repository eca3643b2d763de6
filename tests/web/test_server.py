"""HTTP on sockets of our own: what clients may do to it, and how it ends."""

import socket
import threading
import time
from collections.abc import AsyncIterator

import pytest
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from structlog.testing import capture_logs

from tests.support.waiting import until
from tests.web.client import ask, dial, served

MEGABYTE = b"x" * 1024 * 1024


async def hello(_request: Request) -> Response:
    return PlainTextResponse("hello")


async def broken(_request: Request) -> Response:
    raise ValueError("a bug of ours")


class Endless(AsyncIterator[bytes]):
    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        return MEGABYTE


async def endless(_request: Request) -> Response:
    return StreamingResponse(Endless())


async def patient(_request: Request) -> Response:
    await trio.sleep_forever()
    return Response()


APP = Starlette(
    routes=[
        Route("/hello", hello, methods=["GET", "POST"]),
        Route("/broken", broken),
        Route("/endless", endless),
        Route("/patient", patient),
    ]
)


async def test_it_answers() -> None:
    async with served(APP) as (url, _):
        answer = await ask(url, "/hello")
    assert (answer.status, answer.text) == (200, "hello")
    assert "server" not in answer.headers


async def test_a_route_that_raises_is_a_500_in_the_log_and_the_next_request_is_served() -> None:
    with capture_logs() as logs:
        async with served(APP) as (url, _):
            assert (await ask(url, "/broken")).status == 500
            assert (await ask(url, "/hello")).status == 200
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["request_failed"]


async def test_words_that_are_no_http_end_their_own_connection_only() -> None:
    async with served(APP) as (url, server):
        for words in (
            b"\x16\x03\x01\x02\x00\x01\x00\x01",
            b"GET / HTTP/9.9\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ):
            with dial(url) as rude:
                rude.sendall(words)
        await until(lambda: server.connections == 0)
        assert (await ask(url, "/hello")).status == 200


async def test_clients_that_vanish_in_the_middle_leave_no_connection_behind() -> None:
    async with served(APP) as (url, server):
        for path in (b"/endless", b"/hello"):
            with dial(url) as client:
                client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await until(lambda: server.connections > 0)
        await until(lambda: server.connections == 0)


async def test_a_body_nobody_reads_holds_no_connection() -> None:
    async with served(APP) as (url, server):
        with dial(url) as client:
            client.setblocking(False)
            length = str(64 * len(MEGABYTE)).encode()
            client.sendall(
                b"POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + length + b"\r\n\r\n"
            )
            await _push(client)
        await until(lambda: server.connections == 0)
        assert (await ask(url, "/hello")).status == 200


async def test_more_connections_than_allowed_are_closed_at_once_and_the_others_live() -> None:
    async with served(APP, most=2) as (url, server):
        with dial(url) as first, dial(url) as second:
            first.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await until(lambda: server.connections == 2)
            with dial(url) as third:
                assert await trio.to_thread.run_sync(third.recv, 1) == b""
            second.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"hello" in await trio.to_thread.run_sync(_read_all_of, second)


@pytest.mark.parametrize("path", ["/endless", "/patient"])
async def test_it_ends_within_a_second_though_a_client_reads_nothing(path: str) -> None:
    async with served(APP) as (url, server):
        client, idle = dial(url), dial(url)
        hangs_up = threading.Timer(3.0, client.close)  # lest a failure last for ever
        hangs_up.start()
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await until(lambda: server.connections == 2)
        await trio.testing.wait_all_tasks_blocked(0.05)
        began_at = time.monotonic()
    hangs_up.cancel()
    assert time.monotonic() - began_at < 1.0
    assert server.connections == 0
    with client, idle, pytest.raises(ConnectionRefusedError):
        dial(url)


async def _push(client: socket.socket) -> None:
    """Send until the other side takes no more or hangs up, for a second at most."""
    with trio.move_on_after(1.0):
        while True:
            try:
                client.send(MEGABYTE)
            except BlockingIOError:
                await trio.sleep(0.01)
            except OSError:
                return


def _read_all_of(client: socket.socket) -> bytes:
    answer = b""
    while b"hello" not in answer:
        answer += client.recv(65536)
    return answer
