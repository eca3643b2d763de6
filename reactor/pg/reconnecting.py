"""Getting a connection back, for ever."""

import random
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import trio

from reactor.errors import DatabaseError
from reactor.model.backoff import delay

T = TypeVar("T")


class Reconnecting(Generic[T]):
    """Opens connections for somebody who must always have one, at growing, jittered intervals while it fails.

    A connection that did not live for ``cap_s`` seconds does not count as a success: a server that lets us in
    only to hang up is knocked at as slowly as one that refuses.
    """

    def __init__(
        self,
        open_connection: Callable[[], Awaitable[T]],
        *,
        first_s: float = 0.1,
        cap_s: float = 5.0,
        rng: random.Random | None = None,
        on_failure: Callable[[DatabaseError, float], None] | None = None,
    ) -> None:
        self._open_connection = open_connection
        self._first_s = first_s
        self._cap_s = cap_s
        self._rng = rng or random.Random()
        self._on_failure = on_failure
        self._attempt = 0
        self._opened_at: float | None = None

    async def open(self) -> T:
        """A new connection, however long it takes; the first try is made at once after a long life.

        ``on_failure`` hears each failure, also one that no waiting will mend (a password may be put right
        while we wait), with the seconds until the next try.
        Cancellation: nothing is left open.
        """
        if self._opened_at is not None:
            if trio.current_time() - self._opened_at >= self._cap_s:
                self._attempt = 0
            else:
                await trio.sleep(self._pause_s())
        while True:
            try:
                connection = await self._open_connection()
            except DatabaseError as error:
                pause_s = self._pause_s()
                if self._on_failure is not None:
                    self._on_failure(error, pause_s)
                await trio.sleep(pause_s)
            else:
                self._opened_at = trio.current_time()
                return connection

    def _pause_s(self) -> float:
        pause_s = delay(self._attempt, base_s=self._first_s, cap_s=self._cap_s, chance=self._rng.random())
        self._attempt += 1
        return pause_s
