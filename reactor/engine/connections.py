"""The connections a reactor works on."""

import trio

from reactor.pg import Connection, Pool, connect
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


def work_pool(dsn: str, liveness_key: int, limit: int) -> Pool:
    """A pool whose plans are pinned, and whose connections are signs of life.

    Each holds the process's liveness lock, shared: the process counts as dead when none of its connections is left.
    """

    async def open_work() -> Connection:
        conn = await connect(dsn, name="work", settings=PINNED_PLANS)
        try:
            with trio.fail_after(LIVENESS_WITHIN_S):
                await workers.hold_alive(conn, liveness_key)
        except BaseException:
            await conn.aclose()
            raise
        return conn

    return Pool(open_work, limit=limit)
