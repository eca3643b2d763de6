"""A server that speaks the Messages API on a real socket, and misbehaves on demand.

What it answers is decided request by request by a `Behaviour`: a function from what was `Asked` to a `Say`. It remembers
what it was asked. ``python -m tests.support.messages_api`` serves until killed and prints its address.
"""

import json
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from threading import Semaphore, Thread
from typing import Any

import trio

from reactor.llm.metering import estimate_tokens
from reactor.llm.mock import compose
from reactor.llm.request import LLMRequest, Material, Message, Said
from reactor.model.people import Agent

_ONE = re.compile(r"([a-z][a-z0-9_-]*) \(([^()]*)\)")  # of the cast: id and name
_TURN = re.compile(r"^(\d+)\. ([^:]+): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Asked:
    """One request: its headers (lower case), its body, and when it was whole, by `trio.current_time`."""

    headers: dict[str, str]
    body: dict[str, Any]
    at: float
    path: str = "/v1/messages"

    @property
    def prompt(self) -> str:
        """All text of the request, system prompt included."""
        system = self.body.get("system", "")
        system = system if isinstance(system, str) else "".join(block["text"] for block in system)
        return "\n".join((system, *(message["content"] for message in self.body["messages"])))


@dataclass(frozen=True)
class Say:
    """One response. ``after_s``: it thinks so long. ``gap_s``: it pauses before each byte of the body.

    ``cut_at``: it hangs up after so many bytes of the body; 0: without a word.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    gap_s: float = 0.0
    cut_at: int | None = None


Behaviour = Callable[[Asked], Say]


def message(asked: Asked, text: str | None = None, **other: Any) -> bytes:
    """The body of a message as the provider writes it; ``other`` replaces parts of it."""
    text = good_answer(asked) if text is None else text
    whole = {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": asked.body["model"],
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": estimate_tokens(asked.prompt), "output_tokens": estimate_tokens(text)},
    }
    return json.dumps({**whole, **other}).encode()


def good_answer(asked: Asked) -> str:
    """Words, or JSON of the shape that was asked for."""
    shape = asked.body.get("output_config", {}).get("format")
    purpose, material = "step:plan", Material()
    if shape and "drifts" in shape["schema"]["properties"]:
        purpose, material = "distil", _talk(asked)
    question = LLMRequest(purpose=purpose, messages=(Message("user", asked.prompt),), material=material)
    return compose(question, shape["schema"]) if shape else compose(question, None)


def _talk(asked: Asked) -> Material:
    """The conversation to be distilled: who took part, and what they said, as the prompt has it."""
    cast, _, rest = asked.body["messages"][0]["content"].partition("\n")
    people = tuple(Agent(id, name) for id, name in _ONE.findall(cast))
    ids = {one.display_name: one.id for one in people}
    said = (Said(ids[who], words, int(turn)) for turn, who, words in _TURN.findall(rest) if who in ids)
    return Material(participants=people, said=tuple(said))


def well(asked: Asked) -> Say:
    """A good answer; to whoever only asks what models there are, a list without any."""
    return (
        Say(body=message(asked)) if "messages" in asked.body else Say(body=b'{"data": [], "has_more": false}')
    )


def saying(text: str, **other: Any) -> Behaviour:
    """Always the same words."""
    return lambda asked: Say(body=message(asked, text, **other))


def failing(status: int, kind: str = "api_error", said: str = "no", **headers: str) -> Behaviour:
    """Always this error, as the provider writes it; underscores in names of headers are dashes."""
    body = json.dumps({"type": "error", "error": {"type": kind, "message": said}}).encode()
    return lambda asked: Say(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """One after the other, the last one for ever."""
    left = deque(behaviours)
    return lambda asked: (left.popleft() if len(left) > 1 else left[0])(asked)


def allowing(calls: int, window_s: float, then: Behaviour = well) -> Behaviour:
    """At most so many in any window of that length, else 429 with an honest retry-after."""
    answered: deque[float] = deque()

    def behave(asked: Asked) -> Say:
        while answered and answered[0] <= asked.at - window_s:
            answered.popleft()
        if len(answered) < calls:
            answered.append(asked.at)
            return then(asked)
        wait_s = answered[0] + window_s - asked.at
        return failing(429, "rate_limit_error", "too many requests", retry_after=f"{wait_s:.3f}")(asked)

    return behave


class MessagesAPI:
    """The server: `behave` may be replaced at any time; ``asked`` is what it was asked, ``most_at_once`` how many."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.asked: list[Asked] = []
        self.answered: list[int] = []  # statuses
        self.open = self.most_at_once = 0
        self.url = ""

    async def serve(self, *, task_status: trio.TaskStatus[str]) -> None:
        """Serve for ever on a free port of this machine; started with its address."""
        async with trio.open_nursery() as nursery:
            [listener] = await nursery.start(
                partial(trio.serve_tcp, self._talk, 0, host="127.0.0.1", backlog=4096)
            )
            self.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
            task_status.started(self.url)

    async def _talk(self, stream: trio.SocketStream) -> None:
        try:
            heard = b""
            while True:
                while b"\r\n\r\n" not in heard:
                    if not (part := await stream.receive_some()):
                        return
                    heard += part
                head, _, rest = heard.partition(b"\r\n\r\n")
                first, *lines = head.decode("latin-1").split("\r\n")
                headers = {
                    name.strip().lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in lines)
                }
                length = int(headers.get("content-length", "0"))
                while len(rest) < length:
                    if not (part := await stream.receive_some()):
                        return
                    rest += part
                heard = rest[length:]
                asked = Asked(
                    headers, json.loads(rest[:length] or b"{}"), trio.current_time(), first.split()[1]
                )
                if not await self._answer(stream, asked):
                    await stream.aclose()
                    return
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await trio.aclose_forcefully(stream)

    async def _answer(self, stream: trio.SocketStream, asked: Asked) -> bool:
        self.asked.append(asked)
        say = self.behave(asked)
        self.open += 1
        self.most_at_once = max(self.most_at_once, self.open)
        try:
            await trio.sleep(say.after_s)
        finally:
            self.open -= 1
        self.answered.append(say.status)
        if say.cut_at == 0:
            return False
        headers = {"content-type": "application/json", "request-id": "req_1", **say.headers}
        head = [f"HTTP/1.1 {say.status} x", f"content-length: {len(say.body)}"]
        head += [f"{name}: {value}" for name, value in headers.items()]
        await stream.send_all("\r\n".join((*head, "", "")).encode())
        body = say.body if say.cut_at is None else say.body[: say.cut_at]
        if say.gap_s:
            for place in range(len(body)):
                await trio.sleep(say.gap_s)
                await stream.send_all(body[place : place + 1])
        else:
            await stream.send_all(body)
        return say.cut_at is None


@asynccontextmanager
async def messages_api(behave: Behaviour = well) -> AsyncIterator[MessagesAPI]:
    """The server, in this event loop."""
    api = MessagesAPI(behave)
    async with trio.open_nursery() as nursery:
        await nursery.start(api.serve)
        yield api
        nursery.cancel_scope.cancel()


@contextmanager
def messages_api_beside(behave: Behaviour = well) -> Iterator[MessagesAPI]:
    """The server, in a thread of its own, for tests of other processes."""
    api = MessagesAPI(behave)
    scope = trio.CancelScope()
    started = Semaphore(0)
    tokens: deque[trio.lowlevel.TrioToken] = deque()

    async def serve() -> None:
        with scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(api.serve)
                tokens.append(trio.lowlevel.current_trio_token())
                started.release()

    thread = Thread(target=trio.run, args=(serve,), daemon=True)
    thread.start()
    assert started.acquire(timeout=10)
    try:
        yield api
    finally:
        tokens[0].run_sync_soon(scope.cancel)
        thread.join(10)


async def _main() -> None:
    async with messages_api() as api:
        print(f"ready {api.url}", flush=True)  # who started it waits for this
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(_main)
