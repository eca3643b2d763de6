"""The SDK's way to the wire: what is said in any manner HTTP allows is heard, and lines are kept only in order."""

import gzip
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from reactor.errors import LLMUnavailable
from reactor.llm import transport
from reactor.llm.anthropic import AnthropicProvider
from reactor.llm.metering import DEFAULT_MODEL
from reactor.llm.request import LLMRequest, Message
from tests.support.waiting import until

BODY = json.dumps({"content": [{"type": "text", "text": "Yes."}], "stop_reason": "end_turn"}).encode()
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
Script = Callable[["Server", trio.abc.Stream, bytes], Awaitable[bool]]


class Server:
    """Says, to each request, what ``script`` says; a script that returns false hangs up."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.lines = self.hung_up = 0
        self.heard: list[bytes] = []
        self.port = 0

    def has_hung_up(self, times: int) -> bool:
        return self.hung_up == times

    async def talk(self, stream: trio.abc.Stream) -> None:
        self.lines += 1
        try:
            heard = b""
            while part := await stream.receive_some():
                heard += part
                head, end, body = heard.partition(b"\r\n\r\n")
                if end and len(body) >= int(head.lower().partition(b"content-length:")[2].split()[0]):
                    self.heard.append(head)
                    heard = b""
                    if not await self.script(self, stream, head):
                        break
        except trio.BrokenResourceError:
            pass
        self.hung_up += 1
        await trio.aclose_forcefully(stream)


@asynccontextmanager
async def server(script: Script, certificate: Path | None = None) -> AsyncIterator[Server]:
    serving = Server(script)
    async with trio.open_nursery() as nursery:
        serve: partial[Any]
        if certificate is None:
            serve = partial(trio.serve_tcp, serving.talk, 0, host="127.0.0.1")
        else:
            identity = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            identity.load_cert_chain(certificate)
            serve = partial(
                trio.serve_ssl_over_tcp, serving.talk, 0, identity, host="127.0.0.1", https_compatible=True
            )
        [listener] = await nursery.start(serve)
        inner = getattr(listener, "transport_listener", listener)
        serving.port = inner.socket.getsockname()[1]
        yield serving
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def asking(url: str) -> AsyncIterator[Callable[..., Awaitable[str]]]:
    provider = AnthropicProvider("sk-test", base_url=url)

    async def ask(timeout_s: float = 20.0) -> str:
        question = LLMRequest(purpose="turn", messages=(Message("user", "Well?"),), timeout_s=timeout_s)
        return (await provider.answer(question, DEFAULT_MODEL, None)).text

    try:
        yield ask
    finally:
        await provider.aclose()


def saying(*words: bytes, stay: bool = True) -> Script:
    async def script(serving: Server, stream: trio.abc.Stream, head: bytes) -> bool:
        for word in words:
            await stream.send_all(word)
        return stay

    return script


async def test_a_line_left_in_order_serves_the_next_call() -> None:
    async with server(saying(PLAIN)) as serving, asking(f"http://127.0.0.1:{serving.port}") as ask:
        assert [await ask() for _ in range(3)] == ["Yes."] * 3
    assert serving.lines == 1


async def test_a_line_that_the_server_ended_meanwhile_is_not_used_again() -> None:
    async with (
        server(saying(PLAIN, stay=False)) as serving,
        asking(f"http://127.0.0.1:{serving.port}") as ask,
    ):
        for call in range(1, 4):
            assert await ask() == "Yes."
            await until(partial(serving.has_hung_up, call))
    assert serving.lines == 3


async def test_a_line_that_the_server_says_it_will_end_is_not_used_again() -> None:
    last = PLAIN.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
    async with server(saying(last)) as serving, asking(f"http://127.0.0.1:{serving.port}") as ask:
        assert [await ask(), await ask()] == ["Yes."] * 2
    assert serving.lines == 2


async def test_calls_at_once_have_a_line_each_of_which_a_bounded_number_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport, "_KEPT", 5)
    together = trio.Event()

    async def script(serving: Server, stream: trio.abc.Stream, head: bytes) -> bool:
        if len(serving.heard) == 20:
            together.set()
        await together.wait()
        await stream.send_all(PLAIN)
        return True

    async with server(script) as serving, asking(f"http://127.0.0.1:{serving.port}") as ask:
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask)
        assert serving.lines == 20
        await until(lambda: serving.hung_up == 15)
        assert await ask() == "Yes."
        assert serving.lines == 20


PIECES = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (BODY[:9], BODY[9:])) + b"0\r\n\r\n"
PACKED = gzip.compress(BODY)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param((b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", PIECES), id="in pieces"),
        pytest.param(
            (
                b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(PACKED),
                PACKED,
            ),
            id="packed",
        ),
        pytest.param((b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", PLAIN), id="after a hint"),
        pytest.param((b"HTTP/1.0 200 OK\r\n\r\n", BODY), id="until it hangs up"),
    ],
)
async def test_an_answer_may_come_in_any_manner(said: tuple[bytes, ...]) -> None:
    stay = b"HTTP/1.0" not in said[0]
    async with (
        server(saying(*said, stay=stay)) as serving,
        asking(f"http://127.0.0.1:{serving.port}") as ask,
    ):
        assert [await ask(), await ask()] == ["Yes."] * 2


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"", "hung up"),
        (PLAIN[:-3], "hung up"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "hung up"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", "no content"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{{{", "JSONDecodeError"),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc", "hung up"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + b"[" * 200_000, "RecursionError"),
    ],
)
async def test_what_is_no_answer_is_said_to_be_none(said: bytes, reason: str) -> None:
    async with (
        server(saying(said, stay=False)) as serving,
        asking(f"http://127.0.0.1:{serving.port}") as ask,
    ):
        with pytest.raises(LLMUnavailable, match=reason):
            await ask()


async def test_an_answer_without_an_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_MOST_BYTES", 1_000_000)

    async def script(serving: Server, stream: trio.abc.Stream, head: bytes) -> bool:
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await stream.send_all(b" " * 65_536)

    async with server(script) as serving, asking(f"http://127.0.0.1:{serving.port}") as ask:
        with pytest.raises(LLMUnavailable, match="hung up"):
            await ask()
        await until(lambda: serving.hung_up == 1)


async def test_silence_ends_with_the_time_of_the_call_and_with_the_line() -> None:
    async with server(saying(b"")) as serving, asking(f"http://127.0.0.1:{serving.port}") as ask:
        with pytest.raises(LLMUnavailable, match="in time"):
            await ask(timeout_s=0.2)
        await until(lambda: serving.hung_up == 1)


async def test_a_call_that_is_dropped_ends_its_line() -> None:
    async with server(saying(b"")) as serving, asking(f"http://127.0.0.1:{serving.port}") as ask:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await until(lambda: len(serving.heard) == 1)
            nursery.cancel_scope.cancel()
        await until(lambda: serving.hung_up == 1)


async def test_nobody_there_is_said_at_once() -> None:
    async with server(saying(PLAIN)) as serving:
        port = serving.port
    async with asking(f"http://127.0.0.1:{port}") as ask:
        with pytest.raises(LLMUnavailable, match="could not be reached"):
            await ask()


async def test_a_redirect_is_followed() -> None:
    async def script(serving: Server, stream: trio.abc.Stream, head: bytes) -> bool:
        moved = b"HTTP/1.1 307 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"
        await stream.send_all(PLAIN if head.startswith(b"POST /elsewhere ") else moved)
        return True

    async with server(script) as serving, asking(f"http://127.0.0.1:{serving.port}/api/") as ask:
        assert await ask() == "Yes."
        assert serving.heard[0].startswith(b"POST /api/v1/messages ")


async def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(saying(PLAIN)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with asking("http://model.example") as ask:
            assert await ask() == "Yes."
        assert proxy.heard[0].startswith(b"POST http://model.example/v1/messages ")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and its certificate for localhost, in one file, signed by itself."""
    both = tmp_path / "both.pem"
    words = (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run(
        ["openssl", *words.split(), "-keyout", tmp_path / "key", "-out", tmp_path / "cert"],
        check=True,
        capture_output=True,
    )
    both.write_text((tmp_path / "key").read_text() + (tmp_path / "cert").read_text())
    return both


async def test_a_line_is_secured_by_a_certificate_that_is_trusted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with server(saying(PLAIN), certificate) as serving:
        async with asking(f"https://localhost:{serving.port}") as ask:
            with pytest.raises(LLMUnavailable, match="could not be reached"):
                await ask()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with asking(f"https://localhost:{serving.port}") as ask:
            assert [await ask(), await ask()] == ["Yes."] * 2
        async with asking(f"https://127.0.0.1:{serving.port}") as ask:
            with pytest.raises(LLMUnavailable, match="could not be reached"):
                await ask()
