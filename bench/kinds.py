"""Our side's handlers: the reactor is started with ``VOXYZ_KINDS=bench.kinds``."""

import json
import os
from functools import cache
from typing import TYPE_CHECKING

import trio

from bench.marks import FirstEntry, mark
from reactor.handlers import Step, step_kind
from reactor.llm.metering import DEFAULT_MODEL
from reactor.llm.request import LLMRequest, Message

if TYPE_CHECKING:
    from reactor.llm.anthropic import AnthropicProvider

_first = FirstEntry()


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
    """The same through the SDK, as the reactor asks a real model: one client a process."""
    question = LLMRequest(purpose="step:bench", messages=(Message("user", str(step.id)),))
    return {"text": (await _provider().answer(question, DEFAULT_MODEL, None)).text}


@cache
def _provider() -> "AnthropicProvider":
    from reactor.llm.anthropic import AnthropicProvider

    return AnthropicProvider("sk-bench", base_url=f"http://127.0.0.1:{os.environ['BENCH_MODEL_PORT']}")
