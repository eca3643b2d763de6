"""A client in a thread: what a server on this event loop says to somebody outside of it."""

import http.client
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import trio
from starlette.types import ASGIApp

from reactor.web.ports import Door, open_door
from reactor.web.server import Server

PATIENCE_S = 10.0


@dataclass(frozen=True)
class Answer:
    """What came back; ``headers`` by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


async def ask(
    url: str,
    path: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    **headers: str,
) -> Answer:
    """One request; ``_`` in the names of headers is sent as ``-``, and a Host replaces the usual one."""

    def in_thread() -> Answer:
        where = urlsplit(url)
        assert where.hostname is not None
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=PATIENCE_S)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return Answer(
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                response.read(),
            )
        finally:
            connection.close()

    with trio.fail_after(PATIENCE_S):
        return await trio.to_thread.run_sync(in_thread, abandon_on_cancel=True)


def dial(url: str) -> socket.socket:
    """A connection without any protocol, with patience."""
    where = urlsplit(url)
    return socket.create_connection((where.hostname, where.port), timeout=PATIENCE_S)


@asynccontextmanager
async def served(app: ASGIApp, **options: Any) -> AsyncIterator[tuple[str, Server]]:
    """``app`` on a free port of this machine, for as long as one is inside: its address and its server."""
    door: Door = await open_door("127.0.0.1", 0)
    server = Server(app, **options)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run, door.sockets)
            yield door.url, server
            nursery.cancel_scope.cancel()
    finally:
        door.close()
