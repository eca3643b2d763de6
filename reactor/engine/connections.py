"""The connections a reactor works on, and what it knows of the proxies between.

Sessions are only used once they are proven: a ring was heard, on a connection whose backend seems to be its own (see
`reactor.engine.listener`). Until then, and for as long as they do not hold, there is no bell and no liveness lock, and the
fleet knows the process by its heartbeat alone.
"""

from collections.abc import Mapping

import trio

from reactor.errors import DatabaseUnavailable
from reactor.pg import QUIET_SESSION, Connection, ListeningConnection, Pool, connect, open_listener
from reactor.store import workers

LIVENESS_WITHIN_S = 2.0

# Batches are joined to tables of any size: as statistics change the planner would flip to scanning the whole table.
# And while they know nothing of a burst of new rows, it would sort the whole queue for each claim instead of reading
# one end of an index.
PINNED_PLANS = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "enable_incremental_sort": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
}


class Sessions:
    """Whether sessions last at ``direct_dsn``, and the connections that need it; work is done at ``dsn``."""

    def __init__(self, dsn: str, direct_dsn: str, liveness_key: int) -> None:
        self._dsn = dsn
        self._work_shared = False
        self._direct_dsn = direct_dsn
        self._liveness_key = liveness_key
        self._proven = trio.Event()

    @property
    def proven(self) -> bool:
        """Whether locks hold and rings are heard at ``direct_dsn``."""
        return self._proven.is_set()

    @property
    def work_holds_locks(self) -> bool:
        """Whether connections for work are signs of life."""
        return not self._work_shared or (self.proven and self._dsn == self._direct_dsn)

    def prove(self) -> None:
        """They do."""
        self._proven.set()

    def doubt(self) -> None:
        """They do not, or not any more."""
        if self._proven.is_set():
            self._proven = trio.Event()

    async def open_unproven(
        self, name: str, settings: Mapping[str, str] | None = None
    ) -> ListeningConnection:
        """A connection to find out with; it leaves nothing behind on a backend that is not its own."""
        return await open_listener(
            self._direct_dsn, name=name, settings={**QUIET_SESSION, **(settings or {})}
        )

    async def open(self, name: str) -> ListeningConnection:
        """A connection whose session is its own, once that is proven."""
        await self._proven.wait()
        return await open_listener(self._direct_dsn, name=name, settings=QUIET_SESSION, ours=True)

    async def open_work(self) -> Connection:
        """A connection for work: a sign of life too, where its session is its own."""
        ours = self.proven and self._dsn == self._direct_dsn
        conn = await connect(self._dsn, name="work", settings=PINNED_PLANS, ours=ours)
        self._work_shared = conn.shared
        if not conn.shared:
            await self.live(conn)
        return conn

    async def live(self, conn: Connection) -> None:
        """While ``conn`` lasts, the process counts as alive; or ``conn`` is closed.

        Raises: DatabaseUnavailable: somebody has the lock to himself, as he who buries us does; the next may find it free.
        """
        try:
            with trio.fail_after(LIVENESS_WITHIN_S):
                await workers.hold_alive(conn, self._liveness_key)
        except trio.TooSlowError:
            await conn.aclose()
            raise DatabaseUnavailable(
                f"the lock this process lives by was not to be had within {LIVENESS_WITHIN_S:g} s"
            ) from None
        except BaseException:
            await conn.aclose()
            raise


def work_pool(sessions: Sessions, limit: int) -> Pool:
    """A pool whose plans are pinned, and whose connections are signs of life where they can be.

    Each holds the process's liveness lock, shared: the process counts as dead when none of its connections is left.
    """
    return Pool(sessions.open_work, limit=limit)
