"""Somebody who watches the stream, and what he is shown."""

import http.client
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
import trio

from tests.web.client import PATIENCE_S
from tests.web.house import API, House

Session = psycopg.Connection[tuple[Any, ...]]


class Message(NamedTuple):
    """One server-sent event."""

    name: str
    id: str | None
    data: Any


class Ear:
    """Somebody who watches, in a thread."""

    def __init__(self, url: str, **given: str) -> None:
        where = urlsplit(url)
        assert where.hostname is not None
        self._connection = http.client.HTTPConnection(where.hostname, where.port, timeout=PATIENCE_S)
        headers = {name.replace("_", "-"): value for name, value in given.items()}
        self._connection.request(
            "GET", where.path + (f"?{where.query}" if where.query else ""), headers=headers
        )
        self.response = self._connection.getresponse()
        self.last_id: str | None = None

    def hear(self) -> Message:
        """The next message, comments left out."""
        fields: dict[str, str] = {}
        while True:
            raw = self.response.readline()
            assert raw, "the stream has ended"
            line = raw.decode().rstrip("\n")
            if not line:
                if "data" in fields:
                    self.last_id = fields.get("id", self.last_id)
                    return Message(fields["event"], fields.get("id"), json.loads(fields["data"]))
                continue
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value

    def close(self) -> None:
        self._connection.close()


class Watcher:
    """An `Ear` on the event loop."""

    def __init__(self, ear: Ear) -> None:
        self.ear = ear

    async def hear(self) -> Message:
        with trio.fail_after(PATIENCE_S * 3):
            return await trio.to_thread.run_sync(self.ear.hear, abandon_on_cancel=True)

    async def event(self, title: str) -> Message:
        """The next message about the event of that title."""
        while True:
            message = await self.hear()
            if message.name == "event" and message.data["title"] == title:
                return message

    async def hears_of_a_beginning(self) -> None:
        """The next word that some work has begun has come."""
        while (await self.hear()).name != "began":
            pass


@asynccontextmanager
async def watching(it: House, after: str | None = None, **headers: str) -> AsyncIterator[Watcher]:
    path = f"{it.url}{API}/stream" + (f"?after={after}" if after else "")
    with trio.fail_after(PATIENCE_S):
        ear = await trio.to_thread.run_sync(lambda: Ear(path, **headers), abandon_on_cancel=True)
    try:
        assert ear.response.status == 200
        watcher = Watcher(ear)
        assert (await watcher.hear()).name == "hello"
        yield watcher
    finally:
        ear.close()


def tell(session: Session, title: str) -> None:
    session.execute("insert into ops_agent_events (kind, title) values ('told', %s)", (title,))


def flood(session: Session, number: int, summary: int = 0) -> None:
    session.execute(
        "insert into ops_agent_events (kind, title, summary)"
        " select 'told', 'flood ' || one, repeat('x', %s) from generate_series(1, %s) as one",
        (summary, number),
    )
