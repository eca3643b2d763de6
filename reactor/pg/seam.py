"""psycopg on trio: the one place that knows how the driver waits.

psycopg keeps the protocol apart from the waiting. Every operation is a generator that talks to libpq without
blocking and yields ``Wait.R``, ``Wait.W`` or both when the socket must become ready; whoever drives it waits
and sends back what became ready. ``AsyncConnection`` drives them on asyncio. `TrioConnection` drives the same
generators with ``trio.lowlevel``, and that is all the port there is: cursors, prepared statements,
transactions, savepoints and COPY come along unchanged, and so does pipeline mode (one that is cancelled while
commands are in flight may cost the connection, which is then closed).

What is different from asyncio, and why this is more than replacing two functions:

* Cancellation on trio is a level, not an edge: in a cancelled scope every wait raises at once. So whatever
  must reach the server after a cancellation (the cancel request, the rest of the answer, a rollback) runs
  shielded, and so that a shield never holds anybody up, within `CANCEL_BOUND_S`; after that the socket is
  closed.
* A cancelled statement is cancelled on the server and its answer read to the end, so the connection can be
  used again. libpq's cancel ends when the server has passed the signal on; only then is the next statement
  sent, which is why a late cancel cannot hit it.
* Closing awaits nothing. libpq's terminate message goes out on a non-blocking socket, so a close works in a
  cancelled scope and leaks nothing there.
* A wait for reading always passes through trio's scheduler, so a long fetch starves nobody. Waits that are
  nearly always satisfied (flushing, COPY, pipelines) are asked of ``poll()`` first and yield to the loop once
  in `BUSY_BOUND_S`.

Private names of psycopg this module and `reactor.pg.connection` lean on, each checked by
``tests/pg/test_seam.py`` so that an upgrade fails there and not in production: ``AsyncConnection.wait(gen,
interval, timeout)`` called with ``AsyncConnection.lock`` held, ``_connect_gen``, ``_cancel_gen``,
``_should_cancel``, ``_autocommit``, ``_adapters``, ``_closed``, ``_pipeline``, ``_num_transactions``;
``AsyncTransaction._check_enter``, ``_enter_gen``, ``_exit_gen``, ``_get_enter_commands``, ``_outer_transaction``, ``_conn``;
``psycopg._conninfo_utils``'s ``split_attempts``, ``get_param`` and ``is_ip_address``; ``psycopg.errors._WaitTimeout``.
"""

import contextlib
import select
from collections.abc import AsyncIterator, Iterator
from time import monotonic
from types import TracebackType
from typing import Any, Self

import psycopg
import trio
from psycopg import errors as e
from psycopg import pq
from psycopg.abc import RV, PQGen, PQGenConn
from psycopg.pq.abc import PGconn
from psycopg.transaction import AsyncTransaction
from psycopg.waiting import Ready, Wait
from trio.lowlevel import checkpoint_if_cancelled, notify_closing, wait_readable, wait_writable

# How long a cancelled statement may take to end on the server before its socket is closed.
CANCEL_BOUND_S = 2.0
# How long work that never has to wait may keep the loop from its other tasks; psycopg's own figure.
BUSY_BOUND_S = 0.005

_INTERRUPTED = (trio.Cancelled, KeyboardInterrupt, SystemExit)
_IN_FLIGHT = (pq.TransactionStatus.ACTIVE, pq.TransactionStatus.UNKNOWN)


class Lock:
    """Mutual exclusion in order of arrival; a free one is taken without a trip through the scheduler.

    What follows an acquisition here is always a wait, so the checkpoint is not missed.
    Cancellation: whoever is cancelled while queueing does not hold the lock.
    """

    __slots__ = ("_owner", "_queue")

    def __init__(self) -> None:
        self._owner: trio.lowlevel.Task | None = None
        self._queue = trio.lowlevel.ParkingLot()

    def locked(self) -> bool:
        """Whether somebody holds it."""
        return self._owner is not None

    async def __aenter__(self) -> None:
        task = trio.lowlevel.current_task()
        if self._owner is None:
            self._owner = task
            return
        if self._owner is task:
            raise RuntimeError("this task is already using the connection: finish that statement first")
        await self._queue.park()  # woken only by __aexit__, which has made us the owner

    async def __aexit__(self, *_: object) -> None:
        woken = self._queue.unpark()
        self._owner = woken[0] if woken else None


async def drive_connecting(gen: PQGenConn[RV]) -> RV:
    """Run a generator that names its socket anew with every wait: connecting and cancelling do.

    Cancellation: the half-made connection is dropped and its socket closed.
    """
    try:
        fd, want = next(gen)
        while True:
            fd, want = gen.send(await ready(fd, want))
    except StopIteration as stop:
        result: RV = stop.value
        return result
    except (OSError, trio.ClosedResourceError) as error:
        raise e.OperationalError("the connection is closed") from error
    finally:
        gen.close()


def ready_now(fd: int, want: int) -> Ready:
    """What of ``want`` the socket is ready for at this instant."""
    poll = select.poll()
    poll.register(fd, (select.POLLIN if want & Wait.R else 0) | (select.POLLOUT if want & Wait.W else 0))
    found = 0
    for _, events in poll.poll(0):
        # A socket in error is ready for whatever was asked: the next read or write reports the error.
        trouble = events & ~(select.POLLIN | select.POLLOUT)
        found |= Ready.R if events & select.POLLIN or trouble else 0
        found |= Ready.W if events & select.POLLOUT or trouble else 0
    return Ready(found & want)


async def ready(fd: int, want: int) -> Ready:
    """Wait for any of what ``want`` asks of ``fd``; the result says which came."""
    if want == Wait.R:
        await wait_readable(fd)
        return Ready.R
    if want == Wait.W:
        await wait_writable(fd)
        return Ready.W
    async with trio.open_nursery() as nursery:

        async def readable() -> None:
            with contextlib.suppress(OSError, trio.ClosedResourceError):  # the next read reports it
                await wait_readable(fd)
            nursery.cancel_scope.cancel()

        nursery.start_soon(readable)
        with contextlib.suppress(OSError, trio.ClosedResourceError):  # the next write reports it
            await wait_writable(fd)
        nursery.cancel_scope.cancel()
    return ready_now(fd, want)


class Transaction(AsyncTransaction):
    """psycopg's transaction block, ended also in a cancelled scope.

    A block left by an error or a cancellation is rolled back within `CANCEL_BOUND_S`, or its connection
    closed. Cancellation during the commit: committed or not, only a look at the data can tell.
    """

    _conn: "TrioConnection"

    def _get_enter_commands(self) -> Iterator[bytes]:
        yield from super()._get_enter_commands()
        if self._outer_transaction and self._conn.opening:
            yield self._conn.opening

    async def __aenter__(self) -> Self:
        async with self._conn.lock:
            self._check_enter()
            try:
                await self._conn.wait(self._enter_gen())
            except BaseException as error:
                if self.status is self.Status.ACTIVE:  # else nothing was sent yet
                    await self._undo(type(error), error, None)
                raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool:
        if exc_val is not None or self.force_rollback:
            return await self._undo(exc_type, exc_val, exc_tb, lock=True)
        try:
            await checkpoint_if_cancelled()
            self._check_commit()
            return await super().__aexit__(None, None, None)
        except BaseException as error:
            if self.status is self.Status.ACTIVE:  # no commit was sent
                await self._undo(type(error), error, None, lock=True)
            raise

    def _check_commit(self) -> None:
        """Raises when a commit would be a rollback in silence: psycopg and the server let these two pass."""
        if self.pgconn.status != pq.ConnStatus.OK:
            raise e.OperationalError("the connection broke inside the transaction: nothing of it is kept")
        if self.pgconn.transaction_status == pq.TransactionStatus.INERROR:
            raise e.InFailedSqlTransaction(
                "a statement failed inside the transaction and the error was swallowed: nothing of it is kept"
            )

    async def _undo(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
        *,
        lock: bool = False,
    ) -> bool:
        with trio.move_on_after(CANCEL_BOUND_S, shield=True):
            async with self._conn.lock if lock else contextlib.nullcontext():
                if self.pgconn.status == pq.ConnStatus.OK:
                    self._conn.claim_socket()
                    return await self._conn.drive(self._exit_gen(exc_type, exc_val, exc_tb))
        self.status = self.Status.FAILED
        self._conn.abandon()
        return False


class TrioConnection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """psycopg's connection, waiting on trio; always in autocommit unless a `transaction` block is open."""

    lock: Lock  # type: ignore[assignment]  # psycopg asks of it only ``async with``
    opening = b""  # a command that every transaction begins with

    def __init__(self, pgconn: PGconn) -> None:
        super().__init__(pgconn)
        self.lock = Lock()
        self._autocommit = True
        # Somebody waiting for the socket while no statement runs; see reactor.pg.notifications.
        self._watch: trio.CancelScope | None = None
        self._yielded_at = 0.0
        self._asked_at = 0.0
        self._abandoned = False

    @classmethod
    async def connect(cls, conninfo: str = "", **_: Any) -> Self:
        """Not this way: psycopg would wait on asyncio."""
        raise RuntimeError("connections are opened by reactor.pg.connect")

    async def wait(self, gen: PQGen[RV], interval: float = 0.0, timeout: float | None = None) -> RV:
        """Run ``gen`` on this connection's socket; the caller holds the lock.

        Raises: psycopg's errors; ``_WaitTimeout`` after ``timeout`` seconds.
        Cancellation: the statement is cancelled on the server and the connection usable again within
            `CANCEL_BOUND_S`, or closed. Nothing is sent at all in a scope that is cancelled already.
        """
        self.claim_socket()
        self._asked_at = monotonic()
        try:
            await checkpoint_if_cancelled()
            if timeout is None:
                return await self.drive(gen)
            with trio.move_on_after(timeout):
                return await self.drive(gen)
        except _INTERRUPTED:
            if self.pgconn.transaction_status in _IN_FLIGHT:
                await self._settle(gen)
            raise
        raise e._WaitTimeout

    async def drive(self, gen: PQGen[RV]) -> RV:
        """Run ``gen`` to its end, waiting on the socket whenever it asks; the caller holds the lock.

        Raises: what the generator raises; OperationalError when the socket was closed under us.
        Cancellation: the generator stays where it is and can be driven on.
        """
        fd = self.pgconn.socket
        try:
            want: int = next(gen)
            while True:
                if want == Wait.R:
                    await wait_readable(fd)
                    self._yielded_at = monotonic()
                    found = Ready.R
                else:
                    await self._breathe()
                    found = ready_now(fd, want) or await ready(fd, want)
                self._refuse_if_abandoned()
                want = gen.send(found)
        except StopIteration as stop:
            result: RV = stop.value
        except (OSError, trio.ClosedResourceError) as error:
            raise e.OperationalError("the connection is closed") from error
        await self._breathe()
        return result

    @property
    def unanswered_s(self) -> float:
        """How long the statement in flight has been waiting for its answer, in seconds; 0 when there is none."""
        in_flight = self.pgconn.transaction_status == pq.TransactionStatus.ACTIVE
        return monotonic() - self._asked_at if in_flight else 0.0

    def _refuse_if_abandoned(self) -> None:
        """Raise when the connection was closed while we waited.

        Somebody may close it between the moment the socket is ready and the moment we run again. psycopg's generators keep
        libpq's bare pointer, so one that is driven on after that reads freed memory.
        """
        if self._abandoned:
            raise e.OperationalError("the connection is closed")

    async def _breathe(self) -> None:
        """Let the other tasks run, if this connection has kept them from it for long."""
        if monotonic() - self._yielded_at >= BUSY_BOUND_S:
            await (
                trio.lowlevel.cancel_shielded_checkpoint()
            )  # what was done must not be forgotten on the way out
            self._yielded_at = monotonic()

    def claim_socket(self) -> None:
        """Nobody else waits on the socket afterwards; the caller holds the lock."""
        if self._watch is not None:
            self._watch.cancel()  # trio takes its hands off the socket before this call returns

    async def _settle(self, gen: PQGen[Any]) -> None:
        """The statement has ended on the server and its answer is read, or the socket is closed."""
        try:
            with trio.move_on_after(CANCEL_BOUND_S, shield=True):
                with contextlib.suppress(
                    psycopg.Error
                ):  # a cancel nobody takes: the statement may end anyway
                    await self._request_cancel()
                with contextlib.suppress(
                    psycopg.Error
                ):  # "canceling statement" as a rule, any other end is as good
                    await self.drive(gen)
        except BaseException:
            self.abandon()
            raise
        if self.pgconn.transaction_status in _IN_FLIGHT:
            self.abandon()

    async def _request_cancel(self) -> None:
        if psycopg.capabilities.has_cancel_safe():
            await drive_connecting(self._cancel_gen())
        else:  # libpq before 17 can only block
            await trio.to_thread.run_sync(self.cancel, abandon_on_cancel=True)

    async def cancel_safe(self, *, timeout: float = CANCEL_BOUND_S) -> None:
        """Ask the server to cancel the statement in flight, shielded, within ``timeout`` seconds.

        Raises: CancellationTimeout: the server did not take the request in time.
        """
        if not self._should_cancel():
            return
        with trio.move_on_after(min(timeout, CANCEL_BOUND_S), shield=True) as scope:
            await self._request_cancel()
        if scope.cancelled_caught:
            raise e.CancellationTimeout("cancellation timeout expired")

    @contextlib.asynccontextmanager
    async def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncIterator[AsyncTransaction]:
        """Open a transaction, or a savepoint inside one; left by an error or cancelled it is rolled back.

        Cancellation: as `Transaction` says; the connection is usable afterwards, or closed.
        """
        block = Transaction(self, savepoint_name, force_rollback)
        if self._pipeline:
            async with self.pipeline(), block, self.pipeline():
                yield block
        else:
            async with block:
                yield block

    def abandon(self) -> None:
        """Close the socket now, whatever is in flight; awaits nothing. A task waiting on it gets an error."""
        with contextlib.suppress(psycopg.OperationalError):  # libpq has closed the socket already
            notify_closing(self.pgconn.socket)
        self._abandoned = True
        self.pgconn.finish()

    async def close(self) -> None:
        """Close the connection; awaits nothing, so it works in a cancelled scope. Safe to repeat."""
        self._closed = True
        self.abandon()

    async def __aexit__(self, *_: object) -> None:
        await self.close()
