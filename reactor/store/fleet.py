"""The reactors there are and were, for people. Twin of ``queries/fleet.sql``."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from reactor.model.queues import Queue
from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("fleet")


class Worker(NamedTuple):
    """One reactor process. ``live``: it beats, and holds its liveness lock unless it never can."""

    id: UUID
    hostname: str
    pid: int
    version: str
    generation: int
    parts: list[str]
    kinds: list[str]
    agent_id: str | None
    state: str
    started_at: datetime
    heartbeat_at: datetime
    live: bool
    viewers: int = 0

    def takes(self, queue: Queue, kind: str | None = None, agent: str | None = None) -> bool:
        """Whether it would take a row of ``queue``, a step of that kind and agent."""
        if not self.live or self.state == "stopping" or queue.value not in self.parts:
            return False
        if queue is not Queue.MISSION:
            return True
        return kind in self.kinds and (self.agent_id is None or agent is None or agent == self.agent_id)


async def fleet(conn: Connection, limit: int = 1000) -> list[Worker]:
    """Up to ``limit`` reactors, the living first, then by start, newest first."""
    return [Worker._make(row) for row in await conn.fetch_all(_SQL["fleet"], {"limit": limit})]


def anybody_takes(
    workers: Iterable[Worker], queue: Queue, kind: str | None = None, agent: str | None = None
) -> bool:
    """Whether one of ``workers`` would take such a row."""
    return any(worker.takes(queue, kind, agent) for worker in workers)


async def pages(conn: Connection) -> dict[UUID, str]:
    """The address of the page of each reactor that serves or served one, by its id."""
    return dict(await conn.fetch_all(_SQL["pages"]))


async def say_page(conn: Connection, worker: UUID, url: str) -> None:
    """Whoever looks for the page of ``worker`` finds it at ``url``."""
    await conn.run(_SQL["say_page"], {"id": worker, "url": url})
