"""The fleet: registering, beating, burying. Twin of ``queries/workers.sql``."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from reactor.model.queues import Queue
from reactor.pg import Connection, Jsonb
from reactor.store.named import statements
from reactor.store.terms import Terms, terms_of

_SQL = statements("workers")


@dataclass(slots=True)
class Identity:
    """One reactor process. ``liveness_key`` names the advisory lock it holds, shared, while it lives; 0: it holds none.

    ``slots``: how many rows of each queue it runs at once.
    """

    id: UUID
    hostname: str
    pid: int
    version: str
    generation: int
    parts: Sequence[str]
    kinds: Sequence[str]
    agent: str | None
    liveness_key: int
    slots: Mapping[str, int] = field(default_factory=dict)


class Beat(NamedTuple):
    """What a heartbeat finds out.

    ``registered`` is false when our own row is gone; ``working``: some peer has rows running; ``strangers``: there are due
    steps of kinds we do not have; ``watched``: somebody watches events, at a living reactor.
    """

    registered: bool
    dead: list[UUID]
    working: bool
    due: dict[Queue, bool]
    strangers: bool
    watched: bool
    terms: Terms


async def register(conn: Connection, identity: Identity) -> None:
    """The process has a row, ``starting``; one it had already stays as it is."""
    await conn.run(
        _SQL["register"],
        {
            "id": identity.id,
            "hostname": identity.hostname,
            "pid": identity.pid,
            "version": identity.version,
            "generation": identity.generation,
            "parts": list(identity.parts),
            "kinds": list(identity.kinds),
            "agent": identity.agent,
            "liveness_key": identity.liveness_key,
            "slots": Jsonb(dict(identity.slots)),
        },
    )


async def database_birth(conn: Connection) -> str:
    """The moment its schema was first made, to the microsecond: it tells this database from others."""
    moment: str = await conn.fetch_value(_SQL["database_birth"])
    return moment


async def set_state(conn: Connection, worker: UUID, state: str) -> None:
    """The process is ``starting``, ``ready``, ``stopping`` or ``stopped``."""
    await conn.run(_SQL["set_state"], {"id": worker, "state": state})


async def set_liveness(conn: Connection, identity: Identity) -> None:
    """The fleet knows by which lock the process lives, or that it holds none."""
    await conn.run(_SQL["set_liveness"], {"id": identity.id, "liveness_key": identity.liveness_key})


async def hold_alive(conn: Connection, liveness_key: int) -> None:
    """The process counts as alive for as long as this session lasts, also when it was taken for dead before.

    The lock is shared, so it waits only while somebody probes it or gives our rows back; the caller sets a deadline.
    """
    await conn.run(_SQL["live"], {"liveness_key": liveness_key})
    await conn.run(_SQL["revive"], {"liveness_key": liveness_key})


async def say_working(conn: Connection, worker: UUID) -> None:
    """The peers know that the process has rows running."""
    await conn.run(_SQL["say_working"], {"id": worker})


async def look(conn: Connection, worker: UUID) -> tuple[bool, list[UUID]]:
    """Whether any peer has rows running, and who of the two next after ``worker`` in the ring of those is dead."""
    row = await conn.fetch_row(_SQL["look"], {"id": worker})
    assert row is not None
    return row[0], row[1]


async def beat(
    conn: Connection,
    worker: UUID,
    *,
    working: bool,
    kinds: Sequence[str],
    agent: str | None,
    queues: Collection[Queue],
    vitals: Mapping[str, object],
) -> Beat:
    """The heartbeat is written, with how we do.

    Returns: which peers are dead and which of ``queues`` have due rows we may take, among other things.
    """
    row = await conn.fetch_row(
        _SQL["beat"],
        {
            "id": worker,
            "working": working,
            "kinds": list(kinds),
            "agent": agent,
            "mission": Queue.MISSION in queues,
            "roundtable": Queue.ROUNDTABLE in queues,
            "initiative": Queue.INITIATIVE in queues,
            "vitals": Jsonb(dict(vitals)),
        },
    )
    assert row is not None
    return Beat(
        row[0],
        row[1],
        row[2],
        dict(zip(Queue, row[3:6], strict=True)),
        row[6],
        row[7],
        terms_of(*row[8:11]),
    )


async def bury(conn: Connection, worker: UUID) -> bool:
    """The process is marked dead and cannot come back before this transaction ends; True for whoever did it first."""
    return bool(await conn.fetch_value(_SQL["bury"], {"id": worker}))
