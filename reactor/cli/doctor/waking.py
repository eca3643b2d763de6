"""Proxies, locks, rings, bells: what wakes a reactor."""

import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing

import trio

from reactor.cli.doctor.finding import Finding, session, since
from reactor.cli.output import span
from reactor.cli.runtime import Database
from reactor.errors import DatabaseError
from reactor.model.queues import Queue
from reactor.pg import Connection, ListeningConnection, keeps_sessions, open_listener
from reactor.pg.dsn import pooler_remedy
from reactor.store import doctor as questions

RING_HEARD_WITHIN_S = 2.0


async def sessions_and_ring(place: Database, conn: Connection) -> AsyncIterator[Finding]:
    """Whether sessions hold, and then whether a ring is heard; nothing is left behind on a proxy's backends."""

    async def another() -> ListeningConnection:
        return await open_listener(place.direct_dsn, name="doctor ear")

    try:
        async with aclosing(await another()) as ear:
            sound = await keeps_sessions(ear, another)
            yield _pooler(place, conn, ear, sound)
            yield await _ring(ear, conn) if sound else _not_asked(place)
    except DatabaseError as error:
        yield Finding("ring", "broken", f"nobody can listen ({error})", pooler_remedy(place.direct_dsn))


def _pooler(place: Database, conn: Connection, ear: Connection, sound: bool) -> Finding:
    if not sound:
        name = "DATABASE_URL" if place.direct_dsn == place.dsn else "DIRECT_URL"
        return Finding(
            "pooler",
            "broken",
            f"{name} leads through a proxy that pools transactions: locks do not hold and rings are not heard,"
            " so that reactors work on sweeps alone",
            pooler_remedy(place.direct_dsn),
        )
    if ear.shared:
        return Finding("pooler", "ok", "a proxy stands between that keeps sessions apart")
    if conn.shared:
        return Finding("pooler", "ok", "work goes through a proxy, sessions over DIRECT_URL")
    return Finding("pooler", "ok", "no proxy stands between")


def _not_asked(place: Database) -> Finding:
    return Finding(
        "ring",
        "broken",
        "nobody can listen behind a proxy that pools transactions",
        f"{pooler_remedy(place.direct_dsn)}; until then only the sweeps find new rows",
    )


async def _ring(ear: ListeningConnection, conn: Connection) -> Finding:
    """Whether a NOTIFY of one session is heard by another, within 2 s and without a query in between."""
    word = secrets.token_hex(8)
    await ear.listen("ops_doctor")
    began = trio.current_time()
    await conn.run("select pg_notify('ops_doctor', %s)", (word,))
    with trio.move_on_after(RING_HEARD_WITHIN_S):
        while not any(heard.payload == word for heard in await ear.next_batch()):
            pass
        return Finding("ring", "ok", f"heard after {span(trio.current_time() - began)}")
    await ear.run("unlisten *")
    return Finding(
        "ring",
        "broken",
        f"a NOTIFY was not heard within {span(RING_HEARD_WITHIN_S)}",
        "let DIRECT_URL name the same database as DATABASE_URL, without a pooler between; until then only the sweeps"
        " find new rows",
    )


async def bells(conn: Connection) -> Finding:
    """Whether somebody's open transaction keeps reactors from sleeping."""
    keepers = await questions.bell_keepers(conn)
    if not keepers:
        return Finding("doorbell", "ok", "nobody keeps it")
    one = keepers[0]
    queue = next(queue for queue in Queue if queue.number == one.queue_number)
    return Finding(
        "doorbell",
        "warning",
        f"{session(one.pid, one.application, one.user)} inserted in silence and keeps the bell of queue {queue}"
        f" {since(one.since, one.open_s)}",
        "reactors look every second instead of sleeping until its transaction ends; let it commit sooner",
    )
