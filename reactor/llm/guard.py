"""The gateway's guard: the circuit breakers in the database."""

from reactor.pg import Pool
from reactor.store import breakers


class StoredGuard:
    """The breakers in the database, shared by all reactors."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def allow(self, service: str) -> bool:
        """See `reactor.llm.gateway.Guard`. Raises: OpsError: no such service. DatabaseError: it could not be asked."""
        async with self._pool.connection() as conn:
            return await breakers.allow(conn, service)

    async def record(self, service: str, success: bool) -> None:
        """See `reactor.llm.gateway.Guard`. Raises: as ``allow``."""
        async with self._pool.connection() as conn:
            await breakers.record(conn, service, success)
