"""The gateway's guard: the circuit breakers in the database."""

from typing import Final

from reactor.errors import CallsPaused, DatabaseUnavailable
from reactor.llm.together import Together
from reactor.pg import Pool
from reactor.store import breakers

_ANSWER_WITHIN_S: Final = 10.0
_TOGETHER: Final = 250


class StoredGuard:
    """The breakers in the database, shared by all reactors. Calls that begin together are asked about together."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._allowing = Together(self._allow_all, most=_TOGETHER, within_s=_ANSWER_WITHIN_S, late=_too_late)
        self._recording = Together(
            self._record_all, most=_TOGETHER, within_s=_ANSWER_WITHIN_S, late=_too_late
        )

    async def allow(self, service: str) -> bool:
        """See `reactor.llm.gateway.Guard`.

        This is the last look at the database before a call, so it is where a pause of everything must show.
        Raises: CallsPaused. OpsError: no such service. DatabaseError: it could not be asked.
        """
        allowed = await self._allowing(service)
        if allowed is None:
            raise CallsPaused("everything is paused")
        return allowed

    async def record(self, service: str, success: bool) -> None:
        """See `reactor.llm.gateway.Guard`. Raises: as ``allow``."""
        await self._recording((service, success))

    async def _allow_all(self, services: list[str]) -> list[bool | None]:
        async with self._pool.connection() as conn:
            return await breakers.allow_llm_calls(conn, services)

    async def _record_all(self, reports: list[tuple[str, bool]]) -> list[str]:
        async with self._pool.connection() as conn:
            return await breakers.record_all(conn, reports)


def _too_late() -> DatabaseUnavailable:
    return DatabaseUnavailable("the circuit breaker did not answer in time")
