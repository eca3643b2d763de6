"""Sums up the day before, once, whichever process comes first; asleep until the next time."""

from typing import NoReturn

import structlog
import trio

from reactor.errors import DatabaseError
from reactor.pg import Pool
from reactor.store import outside

log = structlog.get_logger()

LONGEST_SLEEP_S = 3600.0  # the hour of the digest is a policy, and clocks are set
LOOK_AGAIN_S = 60.0  # after an answer that did not come


class Digest:
    """One a process; they need not agree, the day's row is unique."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def run(self) -> NoReturn:
        """Every day is summed up for ever. Cancellation: nothing is half done."""
        while True:
            try:
                async with self._pool.connection() as conn:
                    due_s = await outside.daily_digest(conn)
            except DatabaseError as error:
                log.debug("digest_waits", reason=str(error))
                due_s = LOOK_AGAIN_S
            await trio.sleep(min(max(due_s, 1.0), LONGEST_SLEEP_S))
