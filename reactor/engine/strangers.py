"""Steps of kinds that nobody here knows.

A plain insert may name any kind. One that was never registered anywhere fails at once; one that no live reactor has had for
a minute fails then; one that a peer has is the peer's. The reason names the kinds there are.
"""

from collections.abc import Sequence

import structlog

from reactor.errors import DatabaseError
from reactor.pg import Pool
from reactor.store import steps

log = structlog.get_logger()


class Strangers:
    """Fails what no reactor can do."""

    def __init__(self, pool: Pool, own_kinds: Sequence[str]) -> None:
        self._pool = pool
        self._own_kinds = own_kinds

    async def fail(self) -> None:
        """Due steps of unknown kinds have failed and their missions with them; never raises, the next sweep tries again."""
        try:
            async with self._pool.connection() as conn:
                failed = await steps.fail_orphaned_kinds(conn, self._own_kinds)
                missions = {mission for _, _, mission in failed if mission is not None}
                if missions:
                    async with conn.transaction():
                        await steps.lock_missions(conn, missions)
                        await steps.roll_up(conn, missions)
        except DatabaseError as error:
            log.debug("strangers_left", reason=str(error))
            return
        for id, kind, mission_id in failed:
            log.warning("unknown_kind", queue="mission", id=id, mission_id=mission_id, kind=kind)
