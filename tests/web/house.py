"""The whole web part on a reactor of the test's own, as `run` puts it together."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio
from pydantic import SecretStr

from reactor.engine.supervisor import Reactor
from reactor.model.queues import Queue
from reactor.settings import Settings
from reactor.web import Health, run_web
from reactor.web.api import api_routes
from reactor.web.desk import Desk
from reactor.web.login import login_routes
from reactor.web.page import page_routes
from tests.engine.support import Memory, reactor_on
from tests.web.client import Answer, ask

API = "/api/ops"


def told(answer: Answer, status: int) -> Any:
    """The body, once the status is as expected."""
    assert answer.status == status, answer.text
    return answer.json


def is_problem(answer: Answer, status: int, *words: str) -> Any:
    """The body, once it is a problem of that status whose detail has the words."""
    body = told(answer, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["status"] == status
    assert all(word in body["detail"] for word in words), body
    return body


@dataclass
class House:
    """Where it answers, and what it is made of."""

    url: str
    desk: Desk
    reactor: Reactor

    async def get(self, path: str, **headers: str) -> Answer:
        """GET below /api/ops."""
        return await ask(self.url, API + path, **dict[str, Any](headers))

    async def post(self, path: str, body: object = None, **headers: str) -> Answer:
        """POST below /api/ops."""
        return await self.send("POST", path, body, **headers)

    async def patch(self, path: str, body: object = None, **headers: str) -> Answer:
        """PATCH below /api/ops."""
        return await self.send("PATCH", path, body, **headers)

    async def send(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """A change below /api/ops; a body that is no bytes goes as JSON."""
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        given: dict[str, Any] = {"Content-Type": "application/json", **headers}
        return await ask(self.url, API + path, method=method, body=raw, **given)

    async def made(self, path: str, body: object) -> int:
        """The id of what was created."""
        answer = await self.post(path, body)
        assert answer.status == 201, answer.text
        return int(answer.json["id"])


@asynccontextmanager
async def house(
    database: str, memory: Memory | None = None, *, works: bool = False, **chosen: Any
) -> AsyncIterator[House]:
    """It answers while one is inside. ``works``: the reactor takes rows; else every queue is somebody else's."""
    tokens = {name: SecretStr(value) for name, value in chosen.items() if name.endswith("_token")}
    settings = Settings(**{"port": 0, "llm": "mock", **chosen, **tokens})
    health = Health()
    desk = Desk(settings, health)
    routes = [*login_routes(desk), *api_routes(desk), *page_routes(desk)]
    queues = tuple(Queue) if works else (Queue.INITIATIVE,)
    async with reactor_on(database, memory or Memory(known=()), queues=queues) as reactor:
        health.ready(reactor)
        async with trio.open_nursery() as nursery:

            async def serve(task_status: trio.TaskStatus[str]) -> None:
                await run_web(settings, health, rules=desk.rules, routes=routes, task_status=task_status)

            url: str = await nursery.start(serve)
            nursery.start_soon(desk.run)
            yield House(url, desk, reactor)
            nursery.cancel_scope.cancel()
