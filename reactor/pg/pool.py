"""A small pool of connections.

A semaphore holds the limit and the order of arrival; a stack holds the idle connections, the last used on
top, so that a pool with little to do lets the others reach their lifetime, when they are closed. Whoever has
a permit takes from the stack or opens a new connection: permits in use plus idle connections never exceed the
limit.

A connection is looked at before it is lent: a closed one, one past its lifetime, one whose socket has
something to say although nobody asked (the server ended it) is dropped; one idle for long must answer first.
It is looked at when it comes back: one inside a transaction is rolled back, one with a statement in flight
closed. Session state (settings, advisory locks) is the borrower's to undo.

A line that swallows what it is given never ends by itself: what only the borrowers of others can tell, `sever` and
`drop_unanswered` act upon.

When opening fails for a reason that may pass, borrowers keep trying until their time is up; but only one at a
time knocks, at jittered, growing intervals, and the others wait for what it finds.
"""

import contextlib
import math
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType

import trio

from reactor.errors import DatabaseError, DatabaseUnavailable, PoolTimeout
from reactor.model.backoff import delay
from reactor.pg.connection import Connection

_ANSWER_WITHIN_S = 5.0
_ROLLBACK_WITHIN_S = 2.0
_BACKOFF_BASE_S = 0.05
_BACKOFF_CAP_S = 2.0
_CLOSED = "the pool is closed: this process is stopping"


def _nothing() -> None:
    """Nobody wants to know."""


@dataclass(slots=True)
class _Idle:
    connection: Connection
    since: float


class Pool:
    """At most ``limit`` connections, opened when needed, each lent to one borrower, in order of arrival.

    ``returned`` is called when a borrower is done; it must not fail.
    """

    def __init__(
        self,
        open_connection: Callable[[], Awaitable[Connection]],
        *,
        limit: int = 4,
        max_lifetime_s: float = 3600,
        check_after_idle_s: float = 30,
        acquire_timeout_s: float = 30,
        rng: random.Random | None = None,
    ) -> None:
        self._open_connection = open_connection
        self._limit = limit
        self._max_lifetime_s = max_lifetime_s
        self._check_after_idle_s = check_after_idle_s
        self._acquire_timeout_s = acquire_timeout_s
        self._rng = rng or random.Random()
        self._permits = trio.Semaphore(limit, max_value=limit)
        self._stack: list[_Idle] = []
        self._expires_at: dict[Connection, float] = {}
        self._opened_at: dict[Connection, float] = {}
        self.answered_at = -math.inf  # when a borrower last gave a connection back in order
        self._waiting: set[trio.CancelScope] = set()
        self._closed = False
        self._knocking = trio.Lock()
        self._failures = 0
        self._trouble = ""  # why the last try to open one failed, while that is so
        self._next_knock_at = 0.0
        self._came_back = trio.Event()
        self.returned: Callable[[], None] = _nothing

    @property
    def size(self) -> int:
        """Connections open now, lent or idle."""
        return len(self._expires_at)

    @property
    def idle(self) -> int:
        """Connections open and not lent."""
        return len(self._stack)

    def connection(self, *, timeout_s: float | None = None) -> AbstractAsyncContextManager[Connection]:
        """Borrow a connection for the block, waiting for it at most ``timeout_s``, else the pool's own time.

        Raises: PoolTimeout: all stayed busy. DatabaseUnavailable: none could be opened in that time, or the
            pool is closed. AccessDenied: at once, waiting does not help.
        Cancellation: while waiting, nothing is taken; inside, the connection comes back usable or is closed.
        """
        return _Loan(self, self._acquire_timeout_s if timeout_s is None else timeout_s)

    async def aclose(self) -> None:
        """Close idle connections now, lent ones when they come back; borrowers still waiting get an error."""
        self._closed = True
        self.refuse_waiting()
        while self._stack:
            await self._drop(self._stack.pop().connection)

    def refuse_waiting(self) -> None:
        """Whoever waits for a connection now gets DatabaseUnavailable at once."""
        for scope in self._waiting:
            scope.cancel()

    async def sever(self) -> None:
        """Every connection is closed, lent ones too: their borrowers get ConnectionLost. The next are opened anew."""
        for connection in list(self._expires_at):
            await connection.aclose()

    async def drop_unanswered(self, longer_than_s: float) -> int:
        """Lent connections whose statement got no answer in that time are closed; returns how many."""
        silent = [one for one in self._expires_at if not one.closed and one.unanswered_s > longer_than_s]
        for connection in silent:
            await connection.aclose()
        return len(silent)

    def has_since(self, at: float) -> bool:
        """Whether a connection opened before ``at``, by trio's clock, is still there."""
        idle = {entry.connection for entry in self._stack}
        return any(
            opened_at < at and not (one.hung_up() if one in idle else one.closed)
            for one, opened_at in self._opened_at.items()
        )

    def renew(self) -> None:
        """Connections open now are replaced as they are next looked at; borrowers keep theirs."""
        now = trio.current_time()
        self._expires_at = dict.fromkeys(self._expires_at, now)

    async def acquire(self, timeout_s: float) -> Connection:
        """A connection of the caller's own until `release`; without a checkpoint when one is ready to go."""
        if self._closed:
            raise DatabaseUnavailable(_CLOSED)
        try:
            self._permits.acquire_nowait()
        except trio.WouldBlock:
            return await self._acquire_slowly(timeout_s, permit=False)
        if self._stack and self._is_usable(self._stack[-1]) and not self._is_stale(self._stack[-1]):
            return self._stack.pop().connection
        return await self._acquire_slowly(timeout_s, permit=True)

    async def _acquire_slowly(self, timeout_s: float, *, permit: bool) -> Connection:
        connection: Connection | None = None
        with trio.CancelScope(deadline=trio.current_time() + timeout_s) as scope:
            self._waiting.add(scope)
            try:
                if not permit:
                    await self._permits.acquire()
                    permit = True
                while connection is None:
                    try:
                        connection = await self._take() or await self._open()
                    except DatabaseError as error:
                        if not error.transient:
                            raise
            finally:
                self._waiting.discard(scope)
                if connection is None and permit:
                    self._permits.release()
        if connection is not None:
            return connection
        if self._closed:
            raise DatabaseUnavailable(_CLOSED)
        if permit:
            raise DatabaseUnavailable(
                self._trouble or f"no connection could be opened within {timeout_s:g} s"
            )
        raise PoolTimeout(
            f"all {self._limit} connections of the pool stayed busy for {timeout_s:g} s:"
            " look for long statements, or raise POOL_MAX"
        )

    async def _take(self) -> Connection | None:
        """The idle connection used last, if it is good; those found dead on the way are closed."""
        while self._stack:
            entry = self._stack.pop()
            good = False
            try:
                good = self._is_usable(entry) and (not self._is_stale(entry) or await self._answers(entry))
            finally:
                if not good:
                    await self._drop(entry.connection)
            if good:
                return entry.connection
        return None

    def _is_usable(self, entry: _Idle) -> bool:
        connection = entry.connection
        return trio.current_time() < self._expires_at[connection] and not connection.hung_up()

    def _is_stale(self, entry: _Idle) -> bool:
        return trio.current_time() - entry.since >= self._check_after_idle_s

    async def _answers(self, entry: _Idle) -> bool:
        with trio.move_on_after(_ANSWER_WITHIN_S):
            try:
                await entry.connection.run("select 1")
            except DatabaseError:
                return False
            return True
        return False

    async def _open(self) -> Connection | None:
        """A new connection; None when one came back while waiting for the turn to knock."""
        if not self._failures:
            return await self._open_now()
        async with self._knocking:
            if self._failures and not self._stack:
                with trio.move_on_at(self._next_knock_at):
                    await self._came_back.wait()
            return None if self._stack else await self._open_now()

    async def _open_now(self) -> Connection:
        try:
            connection = await self._open_connection()
        except DatabaseError as error:
            self._trouble = str(error)
            pause_s = delay(
                self._failures, base_s=_BACKOFF_BASE_S, cap_s=_BACKOFF_CAP_S, chance=self._rng.uniform(0.5, 1)
            )
            self._failures += 1
            self._next_knock_at = trio.current_time() + pause_s
            raise
        self._failures = 0
        self._trouble = ""
        # Connections opened together must not all end together.
        life_s = self._max_lifetime_s * self._rng.uniform(0.9, 1.0)
        self._opened_at[connection] = now = trio.current_time()
        self._expires_at[connection] = now + life_s
        return connection

    async def release(self, connection: Connection) -> None:
        """Give back what `acquire` lent. Cancellation: shielded; it takes 2 s at most."""
        try:
            if not connection.closed and not connection.idle:
                await self._roll_back(connection)
            if self._closed or not connection.idle or trio.current_time() >= self._expires_at[connection]:
                await self._drop(connection)
            else:
                self.answered_at = now = trio.current_time()
                self._stack.append(_Idle(connection, now))
                if self._failures:
                    self._came_back.set()
                    self._came_back = trio.Event()
            self.returned()
            while self._stack and trio.current_time() >= self._expires_at[self._stack[0].connection]:
                await self._drop(self._stack.pop(0).connection)
        finally:
            self._permits.release()

    async def _roll_back(self, connection: Connection) -> None:
        if connection.in_flight:
            return
        with trio.move_on_after(_ROLLBACK_WITHIN_S, shield=True), contextlib.suppress(DatabaseError):
            await connection.run("rollback")

    async def _drop(self, connection: Connection) -> None:
        self._expires_at.pop(connection, None)
        self._opened_at.pop(connection, None)
        await connection.aclose()


class _Loan(AbstractAsyncContextManager[Connection]):
    __slots__ = ("_connection", "_pool", "_timeout_s")

    def __init__(self, pool: Pool, timeout_s: float) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        self._connection: Connection | None = None

    async def __aenter__(self) -> Connection:
        self._connection = connection = await self._pool.acquire(self._timeout_s)
        return connection

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._connection is not None
        await self._pool.release(self._connection)
