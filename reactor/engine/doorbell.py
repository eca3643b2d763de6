"""One reactor's hand on the bell of one queue.

The bell is held on a connection that holds nothing else, so that letting go can be "unlock everything": a lock call that
was cancelled has been seen to leave its lock behind. Every letting go, and every loss of the connection once noticed, is
followed by a pass, which starts the other idle reactors over: one of them takes the bell.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn, TypeVar

import structlog
import trio

from reactor.engine.wake import Via, Wake
from reactor.errors import DatabaseError
from reactor.model.backoff import delay
from reactor.model.queues import Queue
from reactor.pg import Connection, ListeningConnection, Pool
from reactor.store import doorbell
from reactor.store.doorbell import Standing

log = structlog.get_logger()

RETRY_BASE_S = 0.05
RETRY_CAP_S = 2.0
UNLOCK_WITHIN_S = 2.0
ANSWER_WITHIN_S = 4.0  # also for the bounded wait, which takes less than one second

T = TypeVar("T")


class Doorbell:
    """Takes, keeps and lets go of one bell; ``held`` says whether this reactor has it."""

    def __init__(
        self,
        queue: Queue,
        wake: Wake,
        open_connection: Callable[[], Awaitable[ListeningConnection]],
        pool: Pool,
        chance: Callable[[], float],
    ) -> None:
        self.queue = queue
        self.held = False
        self.grants = 0
        self.timeouts = 0
        self._wake = wake
        self._open = open_connection
        self._pool = pool
        self._chance = chance
        self._conn: ListeningConnection | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection to hold a bell on."""
        return self._conn is not None

    def own_pid(self) -> int | None:
        """The backend that sends our own passes, which are not for us to hear."""
        return None if self._conn is None else self._conn.server_pid

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Keep a connection for the bell for ever; whenever one is lost, pass the bell on and open the next."""
        failures = 0
        while True:
            try:
                conn = await self._open()
            except DatabaseError as error:
                log.debug("bell_unreachable", queue=self.queue.value, reason=str(error))
                await trio.sleep(
                    delay(failures, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S, chance=self._chance())
                )
                failures += 1
                continue
            failures = 0
            self._conn = conn
            self._wake.ring(Via.NEWS)
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            try:
                while True:
                    await conn.next_batch()  # it listens to nothing: this waits for the end of the connection
            except DatabaseError:
                await self._lost()
            finally:
                self._conn = None
                self.held = False
                await conn.aclose()

    async def take(self) -> Standing | None:
        """Try the bell without waiting. None: there is no connection to take it on."""
        if self._conn is None:
            return None
        standing = await self._ask(doorbell.take, self._conn)
        if standing == "taken":
            self._now_held()
        return standing

    async def wait_for_writers(self) -> bool:
        """Wait at most 0.8 s for silent writers; True when the bell is ours.

        Cancellation: the call is cancelled on the server and everything unlocked before the caller goes on.
        """
        if self._conn is None:
            return False
        granted = await self._ask(doorbell.wait, self._conn)
        if granted:
            self._now_held()
        elif granted is not None:
            self.timeouts += 1
        return bool(granted)

    async def let_go(self) -> None:
        """The bell is free and the others know. Never fails: a lost connection has freed it already."""
        self.held = False
        conn = self._conn
        if conn is not None:
            with suppress(DatabaseError), trio.move_on_after(UNLOCK_WITHIN_S) as scope:
                await doorbell.let_go(conn, self.queue)
            if scope.cancelled_caught:
                await conn.aclose()  # `run` notices the loss of the connection, and passes on

    async def prove(self) -> None:
        """The connection answers, or is given up: for when the bell is held and yet nobody rang it."""
        conn = self._conn
        if conn is not None:
            with suppress(DatabaseError), trio.move_on_after(ANSWER_WITHIN_S) as scope:
                await conn.run("select 1")
            if scope.cancelled_caught:
                await conn.aclose()

    async def give_up(self) -> None:
        """The connection is closed, whatever it is doing; the next one is opened at once."""
        if self._conn is not None:
            await self._conn.aclose()

    async def _ask(self, question: Callable[[Connection, Queue], Awaitable[T]], conn: Connection) -> T | None:
        """The answer, or None when the connection is gone or mute. Whatever ended without an answer is unlocked."""
        try:
            with trio.move_on_after(ANSWER_WITHIN_S):
                return await question(conn, self.queue)
            await conn.aclose()
        except DatabaseError:
            await self.let_go()
        except BaseException:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + UNLOCK_WITHIN_S) as scope:
                await self.let_go()
            if (
                scope.cancelled_caught
            ):  # the lock may be anybody's guess: with its connection it is gone for certain
                await conn.aclose()
            raise
        return None

    def _now_held(self) -> None:
        self.held = True
        self.grants += 1
        # Whoever takes the bell looks after taking it: what was passed on before means nothing now. A ring stays.
        self._wake.forget_pass()

    async def _lost(self) -> None:
        """The connection and the bell on it are gone: somebody else must take it."""
        self.held = False
        self._wake.ring(Via.NEWS)
        with suppress(
            DatabaseError
        ):  # nobody to tell, or nobody left who sleeps: everyone looks when they reconnect
            async with self._pool.connection(timeout_s=UNLOCK_WITHIN_S) as conn:
                await doorbell.pass_on(conn, self.queue)
