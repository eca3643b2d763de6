"""The gateway's guard: the circuit breakers in the database."""

from reactor.errors import CallsPaused
from reactor.pg import Pool
from reactor.store import breakers


class StoredGuard:
    """The breakers in the database, shared by all reactors."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def allow(self, service: str) -> bool:
        """See `reactor.llm.gateway.Guard`.

        This is the last look at the database before a call, so it is where a pause of everything must show.
        Raises: CallsPaused. OpsError: no such service. DatabaseError: it could not be asked.
        """
        async with self._pool.connection() as conn:
            allowed = await breakers.allow_llm_call(conn, service)
        if allowed is None:
            raise CallsPaused("everything is paused")
        return allowed

    async def record(self, service: str, success: bool) -> None:
        """See `reactor.llm.gateway.Guard`. Raises: as ``allow``."""
        async with self._pool.connection() as conn:
            await breakers.record(conn, service, success)
