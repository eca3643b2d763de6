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

from reactor.web.lingering import Lingering
from tests.support.waiting import until
from tests.web.client import ask, dial, served

MEGABYTE = b"x" * 1024 * 1024


async def hello(_request: Request) -> Response:
    return PlainTextResponse("hello")


async def slowly(_request: Request) -> Response:
    await trio.sleep(2.0)
    return PlainTextResponse("hello")


async def listening(request: Request) -> Response:
    return PlainTextResponse("hello" if await request.body() == b"yes" else "no")


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
        Route("/slowly", slowly),
        Route("/listening", listening, methods=["POST"]),
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


async def test_a_client_that_leaves_after_its_answer_holds_no_connection() -> None:
    async with served(APP) as (url, server):
        for _ in range(20):
            with dial(url) as client:
                client.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await trio.to_thread.run_sync(_read_hello, client)
                await trio.testing.wait_all_tasks_blocked(0.01)  # its connection is kept for another request
        await until(lambda: server.connections == 0, within_s=5.0)


async def test_a_connection_is_kept_for_another_request_and_closed_when_none_comes() -> None:
    async with served(APP, keep_alive_s=1.5) as (url, server):
        with dial(url) as client:
            for path in (
                b"/hello",
                b"/slowly",
                b"/hello",
            ):  # what takes longer than an idle one is kept is answered
                client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await trio.to_thread.run_sync(_read_hello, client)
            await until(lambda: server.connections == 0, within_s=5.0)
            assert client.recv(1) == b""


async def test_a_connection_on_which_nothing_is_ever_asked_is_closed() -> None:
    async with served(APP, keep_alive_s=1.0) as (url, server):
        with dial(url):
            await until(lambda: server.connections == 1)
            await until(lambda: server.connections == 0, within_s=5.0)


async def test_who_asks_before_sending_a_body_is_told_to_go_on() -> None:
    async with served(APP) as (url, _):
        with dial(url) as client:
            client.sendall(
                b"POST /listening HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
            )
            assert (await trio.to_thread.run_sync(client.recv, 65_536)).startswith(b"HTTP/1.1 100")
            client.sendall(b"yes")
            await trio.to_thread.run_sync(_read_hello, client)


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


@pytest.mark.parametrize("announced", [True, False])
async def test_a_client_that_still_sends_when_it_is_answered_gets_the_answer(announced: bool) -> None:
    async with served(Lingering(APP)) as (url, _):
        answer = await trio.to_thread.run_sync(_answered_while_sending, url, announced, 24)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"hello")


async def test_a_client_that_never_ends_its_body_is_let_go_after_a_bound_of_bytes() -> None:
    async with served(Lingering(APP, most_bytes=len(MEGABYTE))) as (url, server):
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            await trio.to_thread.run_sync(_answered_while_sending, url, False, 256)
        await until(lambda: server.connections == 0)


async def test_a_client_that_announces_a_body_and_sends_none_is_let_go_after_a_while() -> None:
    async with served(Lingering(APP, most_s=0.1)) as (url, server):
        with dial(url) as client:
            client.sendall(b"POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
            assert b"hello" in await trio.to_thread.run_sync(_read_all_of, client)
            await until(lambda: server.connections == 0)


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


def _read_hello(client: socket.socket) -> None:
    heard = b""
    while not heard.endswith(b"hello"):
        part = client.recv(65_536)
        assert part, f"hung up after {heard!r}"
        heard += part


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


def _answered_while_sending(url: str, announced: bool, megabytes: int) -> bytes:
    """What is answered to a client that sends its body only once the answer has begun to arrive."""
    length = f"Content-Length: {megabytes * len(MEGABYTE)}" if announced else "Transfer-Encoding: chunked"
    with dial(url) as client:
        client.sendall(f"POST /hello HTTP/1.1\r\nHost: localhost\r\n{length}\r\n\r\n".encode())
        client.recv(1, socket.MSG_PEEK)
        for _ in range(megabytes):
            client.sendall(MEGABYTE if announced else b"%x\r\n%s\r\n" % (len(MEGABYTE), MEGABYTE))
        if not announced:
            client.sendall(b"0\r\n\r\n")
        return _read_all_of(client)


def _read_all_of(client: socket.socket) -> bytes:
    answer = b""
    while b"hello" not in answer:
        piece = client.recv(65536)
        assert piece, "the connection was closed before the answer was whole"
        answer += piece
    return answer
