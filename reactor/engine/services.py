"""Which outside services may be called now: the gate in front of every claim.

A closed service (its breaker is open, its budget spent) means *wait*, not *fail*: kinds that need it are left out of the
claim, their rows stay queued. What opens the gate again is a message on the control channel or a timer.
"""

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn

import structlog
import trio

from reactor.errors import DatabaseError
from reactor.pg import Connection, Pool

log = structlog.get_logger()

LOOK_AGAIN_S = 1.0  # after an answer that did not come


class Services:
    """The closed services; ``version`` grows whenever the set changes."""

    def __init__(
        self,
        pool: Pool,
        ask: Callable[[Connection], Awaitable[Mapping[str, float]]],
        opened: Callable[[], None],
    ) -> None:
        self.closed: frozenset[str] = frozenset()
        self.version = 0
        self._pool = pool
        self._ask = ask
        self._opened = opened
        self._stale = trio.Event()

    def invalidate(self) -> None:
        """Something about a service changed: ask the database again."""
        self._stale.set()

    def close(self, service: str) -> None:
        """A call to the service was just refused: no more claims for it until the database says otherwise."""
        if service not in self.closed:
            self._set(self.closed | {service})
        self._stale.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Keep the set current for ever: asked at the start, on every message, and when a closed service may be tried."""
        started = False
        while True:
            self._stale = trio.Event()
            try:
                async with self._pool.connection() as conn:
                    closed = await self._ask(conn)
                self._set(frozenset(closed))
                pause_s = min(closed.values(), default=math.inf)
            except DatabaseError as error:
                log.debug("services_unknown", reason=str(error))
                pause_s = LOOK_AGAIN_S
            if not started:
                started = True
                task_status.started()
            with trio.move_on_after(max(pause_s, 0.01)):
                await self._stale.wait()

    def _set(self, closed: frozenset[str]) -> None:
        reopened = self.closed - closed
        if closed != self.closed:
            self.closed = closed
            self.version += 1
        if reopened:
            self._opened()
