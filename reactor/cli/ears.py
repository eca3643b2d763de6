"""Hearing of new events while a command follows them.

A connection beside the one that reads listens, and holds a lock that says so: while anybody does, reactors announce what
they write. Where no notification gets through, as behind a transaction pooler, that is said once and the command looks more
often; either way it also looks by itself, for whoever writes by hand announces nothing.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import trio

from reactor.cli.endings import complain
from reactor.cli.runtime import Database
from reactor.errors import DatabaseError
from reactor.pg import ListeningConnection, keeps_sessions, open_listener
from reactor.pg.dsn import pooler_remedy
from reactor.store import viewers

CHANNEL: Final = "ops_events"
LOOK_S: Final = 2.0
DEAF_LOOK_S: Final = 0.5
GAP_S: Final = 0.05  # between two looks, however much is announced
AGAIN_S: Final = 2.0


class Ears:
    """``hear`` is false while notifications do not get through."""

    def __init__(self) -> None:
        self.hear = False
        self._news = trio.Event()

    async def wait(self) -> None:
        """Until there may be something new; what comes from now on is not forgotten."""
        await trio.sleep(GAP_S)
        with trio.move_on_after(LOOK_S if self.hear else DEAF_LOOK_S):
            await self._news.wait()
        self._news = trio.Event()

    def ring(self) -> None:
        """There may be something new."""
        self._news.set()


@asynccontextmanager
async def ears(database: Database) -> AsyncIterator[Ears]:
    """They listen for as long as one is inside; what is raised inside comes out as it was."""
    ours = Ears()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_listen, database, ours)
            yield ours
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise


async def _listen(database: Database, ours: Ears) -> None:
    """Until cancelled, or until it is clear that nothing gets through."""
    while True:
        conn: ListeningConnection | None = None
        try:
            conn = await open_listener(database.direct_dsn, name="events ears")
            if not await keeps_sessions(
                conn, partial(open_listener, database.direct_dsn, name="events ears")
            ):
                complain(
                    f"no notification gets through here, as behind a transaction pooler: looking every {DEAF_LOOK_S:g} s;"
                    f" {pooler_remedy(database.direct_dsn)}"
                )
                return
            await conn.listen(CHANNEL)
            await viewers.watch(conn)
            ours.hear = True
            ours.ring()  # what was written until now was announced to nobody
            while True:
                await conn.next_batch()
                ours.ring()
        except DatabaseError:
            pass  # whoever reads says that the database is away
        finally:
            ours.hear = False
            if conn is not None:
                await conn.aclose()
        await trio.sleep(AGAIN_S)
