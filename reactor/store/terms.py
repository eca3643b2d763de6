"""What the database asks of every reactor: its generation, and limits over all of them. Twin of ``queries/terms.sql``."""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from reactor.model.queues import Queue
from reactor.pg import Connection
from reactor.store.arrays import bigints
from reactor.store.named import statements

_SQL = statements("terms")


class Terms(NamedTuple):
    """Programs under generation ``minimum`` must leave, for ``reason``; running rows of ``limited`` queues are counted."""

    minimum: int
    reason: str | None
    limited: frozenset[Queue]


def terms_of(minimum: int | None, reason: str | None, limited: Iterable[str]) -> Terms:
    """The terms as a row has them; without a row nobody has to leave. Queues unknown here are a newer program's."""
    known = {queue.value for queue in Queue}
    return Terms(minimum or 0, reason, frozenset(Queue(name) for name in limited if name in known))


async def terms(conn: Connection) -> Terms:
    """The terms now."""
    row = await conn.fetch_row(_SQL["terms"])
    return terms_of(None, None, ()) if row is None else terms_of(*row)


async def slots_free(conn: Connection, queue: Queue) -> int | None:
    """How many more rows of ``queue`` may run over all reactors; None: no limit is set.

    The queue's claims wait for the end of this transaction. 0 also when the lock was not to be had within half a second.
    """
    free: int | None = await conn.fetch_value(
        _SQL["slots_free"], {"queue": queue.value, "number": queue.number}
    )
    return free


async def hold_slots(conn: Connection, queue: Queue, ids: Iterable[int], token: UUID) -> None:
    """The rows count against the limit while they run under ``token``."""
    await conn.run(_SQL["hold_slots"], {"queue": queue.value, "ids": bigints(ids), "token": token})
