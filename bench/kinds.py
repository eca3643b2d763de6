"""Our side's handlers: the reactor is started with ``VOXYZ_KINDS=bench.kinds``."""

import json
import os

import httpx2
import trio

from bench.marks import FirstEntry, mark
from reactor.handlers import Step, step_kind

_first = FirstEntry()
_client: httpx2.AsyncClient | None = None


@step_kind("bench_mark")
async def bench_mark(step: Step) -> None:
    """Tell when it was entered, and what the payload holds."""
    mark(step.payload["at"])


@step_kind("bench_noop")
async def bench_noop(step: Step) -> None:
    """Do nothing; the first one ever tells when."""
    _first()


@step_kind("bench_sleep")
async def bench_sleep(step: Step) -> None:
    """Tell which step it is, then wait for 10 ms."""
    mark(step.id)
    await trio.sleep(0.010)


@step_kind("bench_long")
async def bench_long(step: Step) -> None:
    """Run until stopped, or timed out."""
    await trio.sleep(250)


@step_kind("bench_ask")
async def bench_ask(step: Step) -> dict[str, str]:
    """Ask the model that takes a second over a connection of its own."""
    port = int(os.environ["BENCH_MODEL_PORT"])
    question = json.dumps({"messages": [{"role": "user", "content": str(step.id)}]}).encode()
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(
            b"POST /v1/messages HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(question) + question
        )
        heard = b""
        while not heard.endswith(b"}"):
            heard += await stream.receive_some()
    return {"text": json.loads(heard.partition(b"\r\n\r\n")[2])["content"][0]["text"]}


@step_kind("bench_ask_sdk")
async def bench_ask_sdk(step: Step) -> dict[str, str]:
    """The same through the HTTP client below the SDK, with the SDK's limits: one client and its pool a process."""
    global _client
    if _client is None:
        limits = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
        address = f"http://127.0.0.1:{os.environ['BENCH_MODEL_PORT']}"
        _client = httpx2.AsyncClient(timeout=60, limits=limits, trust_env=False, base_url=address)
    response = await _client.post(
        "/v1/messages", json={"messages": [{"role": "user", "content": str(step.id)}]}
    )
    return {"text": response.raise_for_status().json()["content"][0]["text"]}
