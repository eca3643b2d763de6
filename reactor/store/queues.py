"""Claiming and settling rows, the same for all three queues.

Twins: ``queries/steps.sql``, ``queries/roundtables.sql``, ``queries/initiatives.sql``; each has the statements claim,
next_due, succeed, settle, interrupt, still_mine and finished_under with the same parameters and answers.

Lock order in a batch with missions: the missions by id in a statement of their own, then the steps.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from reactor.model.queues import Queue
from reactor.pg import Connection
from reactor.store import steps, terms
from reactor.store.arrays import bigints, booleans, floats, uuids, words
from reactor.store.claimed import ClaimedInitiative, ClaimedRoundtable, ClaimedRow, ClaimedStep
from reactor.store.named import statements

_TOPICS = {Queue.MISSION: "steps", Queue.ROUNDTABLE: "roundtables", Queue.INITIATIVE: "initiatives"}
_SQL = {queue: statements(topic) for queue, topic in _TOPICS.items()}
_ROWS: dict[Queue, Any] = {
    Queue.MISSION: ClaimedStep,
    Queue.ROUNDTABLE: ClaimedRoundtable,
    Queue.INITIATIVE: ClaimedInitiative,
}


@dataclass(frozen=True, slots=True)
class Taker:
    """Who claims, and what it may take: kinds it has whose services are open, its own agent's rows and nobody's."""

    worker: UUID
    kinds: Sequence[str]
    agent: str | None


class Place(NamedTuple):
    """How far claims have read one priority."""

    priority: int
    run_at: datetime
    id: int


class Success(NamedTuple):
    """A row that succeeded. ``waited_s``: how long it lay read ahead before its handler began."""

    id: int
    token: UUID
    mission_id: int | None
    waited_s: float
    simulated: bool
    result: str  # JSON text of an object


class Settlement(NamedTuple):
    """A row that did not succeed. ``attempts`` is added to the row's attempt: -1 takes the claim's back."""

    id: int
    token: UUID
    mission_id: int | None
    status: str  # queued, failed or cancelled
    attempts: int
    delay_s: float
    reason: str | None


class Interruption(NamedTuple):
    """A row whose handler lost its line to the database in the middle of a statement."""

    id: int
    token: UUID
    mission_id: int | None
    reason: str


async def claim(
    conn: Connection,
    queue: Queue,
    taker: Taker,
    *,
    token: UUID,
    limit: int,
    places: Sequence[Place] = (),
) -> list[ClaimedRow]:
    """Claim up to ``limit`` due rows of ``queue``, highest priority first, then oldest.

    With ``places`` each priority is read from its place on, and priorities without one are left out: only a scan without
    places proves that there is nothing; a queue that `claims_from_places` denies takes none. At most 32 MiB come back.

    Returns: 0 to ``limit`` rows, already ``running``, attempt counted, fenced by ``token``.
    Raises: ConnectionLost: the socket died; whatever was claimed is rescued.
    Cancellation: nothing is claimed, unless it struck during commit; then the rescuer returns the rows.
    """
    values: dict[str, Any] = {
        "kinds": list(taker.kinds),
        "agent": taker.agent,
        "worker": taker.worker,
        "token": token,
        "limit": limit,
    }
    statement = "claim"
    if places:
        statement = "claim_from"
        values["priorities"] = bigints(place.priority for place in places)
        values["after_run_at"] = [place.run_at for place in places]
        values["after_id"] = bigints(place.id for place in places)
    return rows_of(queue, await conn.fetch_all(_SQL[queue][statement], values))


def rows_of(queue: Queue, rows: Iterable[Sequence[Any]]) -> list[ClaimedRow]:
    """The rows of ``queue`` as handlers get them, from the columns a claim returns."""
    make = _ROWS[queue]._make
    return [make(row) for row in rows]


async def claim_within_limit(
    conn: Connection,
    queue: Queue,
    taker: Taker,
    *,
    token: UUID,
    limit: int,
    places: Sequence[Place] = (),
) -> list[ClaimedRow]:
    """As `claim`, but no more rows than policy ``queue_limits`` lets run at once over all reactors.

    Claims of a limited queue take one lock and so come one after another, in the order: lock, count, claim, note.
    """
    async with conn.transaction():
        free = await terms.slots_free(conn, queue)
        if free == 0:
            return []
        most = limit if free is None else min(limit, free)
        rows = await claim(conn, queue, taker, token=token, limit=most, places=places)
        if free is not None and rows:
            await terms.hold_slots(conn, queue, [row.id for row in rows], token)
    return rows


async def count_in(conn: Connection, queue: Queue, held: Iterable[tuple[int, UUID]]) -> None:
    """Rows that run, each as (id, token), count against the queue's limit from now on, whenever they were claimed."""
    by_token: defaultdict[UUID, list[int]] = defaultdict(list)
    for id, token in held:
        by_token[token].append(id)
    async with conn.transaction():
        await terms.slots_free(conn, queue)  # for its lock, which comes before any row
        for token, ids in by_token.items():
            await terms.hold_slots(conn, queue, ids, token)


def claims_from_places(queue: Queue) -> bool:
    """Whether claims of ``queue`` may be given places: only steps come in numbers that make it worth a statement."""
    return "claim_from" in _SQL[queue]


async def next_due(conn: Connection, queue: Queue, taker: Taker) -> float | None:
    """Seconds until the next row is due that the claim would take; 0 or less: due now; None: none at all."""
    due: float | None = await conn.fetch_value(
        _SQL[queue]["next_due"], {"kinds": list(taker.kinds), "agent": taker.agent}
    )
    return due


async def finish(
    conn: Connection,
    queue: Queue,
    successes: Sequence[Success],
    settlements: Sequence[Settlement],
    interruptions: Sequence[Interruption] = (),
) -> tuple[set[int], dict[int, str]]:
    """All outcomes are written in one transaction, with their events, and their missions rolled up.

    Returns: the ids that succeeded, and the others' ids with the status they have now. A row that is missing in both
        was not ours any more: it ran under another token or had been cancelled, and nothing of it changed.
    Raises: ConnectionLost: nothing or all of it was committed; ``finished_under`` tells.
    """
    missions = {o.mission_id for o in successes if o.mission_id is not None}
    missions |= {o.mission_id for o in settlements if o.mission_id is not None}
    missions |= {o.mission_id for o in interruptions if o.mission_id is not None}
    if not missions and not settlements and not interruptions:
        return await _succeed(conn, queue, successes), {}
    async with conn.transaction():
        if missions:
            await steps.lock_missions(conn, missions)
        done = await _succeed(conn, queue, successes) if successes else set()
        settled = await _settle(conn, queue, settlements) if settlements else {}
        if interruptions:
            settled |= await _interrupt(conn, queue, interruptions)
        if missions:
            await steps.roll_up(conn, missions)
    return done, settled


async def still_mine(conn: Connection, queue: Queue, held: Sequence[tuple[int, UUID]]) -> set[int]:
    """Of the (id, token) pairs the ids that are still running under their token."""
    rows = await conn.fetch_all(
        _SQL[queue]["still_mine"],
        {"ids": bigints(id for id, _ in held), "tokens": uuids(token for _, token in held)},
    )
    return {row[0] for row in rows}


async def finished_under(conn: Connection, queue: Queue, held: Sequence[tuple[int, UUID]]) -> dict[int, str]:
    """Of the (id, token) pairs those that left ``running`` under their token, with the status they have."""
    rows = await conn.fetch_all(
        _SQL[queue]["finished_under"],
        {"ids": bigints(id for id, _ in held), "tokens": uuids(token for _, token in held)},
    )
    return {row[0]: row[1] for row in rows}


async def release(conn: Connection, queue: Queue, worker: UUID, token: UUID | None = None) -> int:
    """What ``worker`` still has running, under ``token`` or at all, goes back as if never taken; returns how many rows."""
    return await conn.run(_SQL[queue]["release"], {"worker": worker, "token": token})


async def _succeed(conn: Connection, queue: Queue, batch: Sequence[Success]) -> set[int]:
    rows = await conn.fetch_all(
        _SQL[queue]["succeed"],
        {
            "ids": bigints(o.id for o in batch),
            "tokens": uuids(o.token for o in batch),
            "waited_s": floats(o.waited_s for o in batch),
            "simulated": booleans(o.simulated for o in batch),
            "results": "[" + ",".join(o.result for o in batch) + "]",
        },
    )
    return {row[0] for row in rows}


async def _settle(conn: Connection, queue: Queue, batch: Sequence[Settlement]) -> dict[int, str]:
    rows = await conn.fetch_all(
        _SQL[queue]["settle"],
        {
            "ids": bigints(o.id for o in batch),
            "tokens": uuids(o.token for o in batch),
            "statuses": words(o.status for o in batch),
            "attempts": bigints(o.attempts for o in batch),
            "delay_s": floats(o.delay_s for o in batch),
            "reasons": [o.reason for o in batch],
        },
    )
    return dict(rows)


async def _interrupt(conn: Connection, queue: Queue, batch: Sequence[Interruption]) -> dict[int, str]:
    rows = await conn.fetch_all(
        _SQL[queue]["interrupt"],
        {
            "ids": bigints(o.id for o in batch),
            "tokens": uuids(o.token for o in batch),
            "reasons": [o.reason for o in batch],
        },
    )
    return dict(rows)


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encode_result(result: object) -> str:
    """The JSON text of a handler's result. Raises TypeError or ValueError for what JSON cannot say."""
    return _ENCODER.encode(result) if result else "{}"
