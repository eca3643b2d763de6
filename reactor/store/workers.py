"""The fleet: registering, beating, burying. Twin of ``queries/workers.sql``."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from reactor.model.queues import Queue
from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("workers")


@dataclass(frozen=True, slots=True)
class Identity:
    """One reactor process. ``liveness_key`` names the advisory lock it holds, shared, while it lives."""

    id: UUID
    hostname: str
    pid: int
    version: str
    parts: Sequence[str]
    kinds: Sequence[str]
    agent: str | None
    liveness_key: int


class Beat(NamedTuple):
    """What a heartbeat finds out.

    ``registered`` is false when our own row is gone; ``strangers``: there are due steps of kinds we do not have.
    """

    registered: bool
    dead: list[UUID]
    due: dict[Queue, bool]
    strangers: bool


async def register(conn: Connection, identity: Identity) -> None:
    """The process has a row, ``starting``; one it had already stays as it is."""
    await conn.run(
        _SQL["register"],
        {
            "id": identity.id,
            "hostname": identity.hostname,
            "pid": identity.pid,
            "version": identity.version,
            "parts": list(identity.parts),
            "kinds": list(identity.kinds),
            "agent": identity.agent,
            "liveness_key": identity.liveness_key,
        },
    )


async def set_state(conn: Connection, worker: UUID, state: str) -> None:
    """The process is ``starting``, ``ready``, ``stopping`` or ``stopped``."""
    await conn.run(_SQL["set_state"], {"id": worker, "state": state})


async def hold_alive(conn: Connection, liveness_key: int) -> None:
    """The process counts as alive for as long as this session lasts.

    The lock is shared, so it waits only while somebody probes it, which takes one statement; the caller sets a deadline.
    """
    await conn.run(_SQL["live"], {"liveness_key": liveness_key})


async def beat(
    conn: Connection, worker: UUID, *, kinds: Sequence[str], agent: str | None, queues: Collection[Queue]
) -> Beat:
    """The heartbeat is written; returns which peers are dead and which of ``queues`` have due rows we may take."""
    row = await conn.fetch_row(
        _SQL["beat"],
        {
            "id": worker,
            "kinds": list(kinds),
            "agent": agent,
            "mission": Queue.MISSION in queues,
            "roundtable": Queue.ROUNDTABLE in queues,
            "initiative": Queue.INITIATIVE in queues,
        },
    )
    assert row is not None
    return Beat(row[0], row[1], dict(zip(Queue, row[2:5], strict=True)), row[5])


async def bury(conn: Connection, worker: UUID) -> bool:
    """The process is marked dead; True for whoever did it first."""
    return bool(await conn.fetch_value(_SQL["bury"], {"id": worker}))
