"""The reactors there are and were, for people. Twin of ``queries/fleet.sql``."""

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from reactor.model.queues import Queue
from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("fleet")


class SlowClaim(NamedTuple):
    """A claim the database took ``took_s`` over."""

    at: datetime
    queue: str
    took_s: float
    rows: int


class Wakes(NamedTuple):
    """Of ``times`` wakes half were within ``half_s``, and 99 in 100 within ``almost_all_s``; None: over every bound."""

    times: int
    half_s: float | None
    almost_all_s: float | None


class Worker(NamedTuple):
    """One reactor process. ``live``: it beats, and holds its liveness lock unless it never can.

    ``vitals``: how it did at its last heartbeat, in its own words.
    """

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
    viewers: int
    vitals: dict[str, Any]

    @property
    def missed_wakes(self) -> int:
        """How many rows only a sweep found, in all its queues."""
        return sum(self.vitals.get("missed_wakes", {}).values())

    @property
    def slow_claims(self) -> list[SlowClaim]:
        """Its last slow claims, the latest first."""
        told = self.vitals.get("slow_claims", [])
        return [
            SlowClaim(datetime.fromisoformat(one["at"]), one["queue"], one["took_s"], one["rows"])
            for one in told
        ]

    @property
    def wakes(self) -> dict[str, Wakes]:
        """How soon it wakes, by queue; those never woken are left out."""
        return {queue: Wakes(**told) for queue, told in self.vitals.get("wakes", {}).items()}

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


def worst_wakes(workers: Iterable[Worker]) -> dict[str, Wakes]:
    """By queue the wakes of the living reactor that is slowest to wake."""
    worst: dict[str, Wakes] = {}
    for one in workers:
        for queue, wakes in one.wakes.items() if one.live else ():
            if queue not in worst or _slowness(wakes) > _slowness(worst[queue]):
                worst[queue] = wakes
    return worst


def _slowness(wakes: Wakes) -> float:
    return math.inf if wakes.almost_all_s is None else wakes.almost_all_s


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
