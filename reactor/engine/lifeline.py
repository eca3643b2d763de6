"""The line to the database, and whether it has gone silent.

A broken line says so. One that swallows what it is given does not: a statement on it waits for ever. So the regular
questions (heartbeat, look at the peers) have a deadline, and when one of them is not answered in time nor anything else was
meanwhile, every line is given up: what was under way on them is in doubt, as after any broken commit, and is settled on new
ones.

By then the server may be about to give us up as well: it ends a session that is silent for 10 s, our liveness lock with
it, and our peers take our rows over. The last answer is at most 9 s old at that moment (a beat each 5 s, its answer within
4), so handlers that are stopped now have stopped before anybody else begins their rows. A server that refuses us, or has
hung up, stops nobody: the rows are looked at when it is back, and what was taken over meanwhile is fenced out.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from reactor.engine.listener import Listener
from reactor.errors import DatabaseError, DatabaseUnavailable
from reactor.pg import Connection, Pool

T = TypeVar("T")

ANSWER_WITHIN_S = 4.0
UNANSWERED_S = 75.0  # the server itself ends a statement after 60 s


class Lifeline:
    """Asks the regular questions: on the listener's own connection, which proves that it lives; on the pool without one."""

    def __init__(self, listener: Listener, pool: Pool, cut_off: Callable[[], Awaitable[None]]) -> None:
        self._listener = listener
        self._pool = pool
        self._cut_off = cut_off

    async def ask(self, question: Callable[[Connection], Awaitable[T]]) -> T:
        """The answer, within 4 s of asking.

        Raises: DatabaseError: there is none; after a silent line everything that hung on it was given up.
        """
        listening = self._listener.conn
        if listening is None:
            return await self.ask_pool(question)
        return await self._answer(listening, question)

    async def ask_pool(self, question: Callable[[Connection], Awaitable[T]]) -> T:
        """As `ask`, on a connection for work."""
        async with self._pool.connection(timeout_s=ANSWER_WITHIN_S) as conn:
            return await self._answer(conn, question)

    async def drop_unanswered(self) -> None:
        """Lines of the pool on which a statement has waited for longer than any may run are given up."""
        await self._pool.drop_unanswered(UNANSWERED_S)

    async def _answer(self, conn: Connection, question: Callable[[Connection], Awaitable[T]]) -> T:
        """The answer on ``conn``. Without one it is closed and not cancelled: a cancellation has its own patience."""
        late = False
        answers: list[T | DatabaseError] = []
        async with trio.open_nursery() as nursery:

            async def give_up() -> None:
                nonlocal late
                await trio.sleep(ANSWER_WITHIN_S)
                late = True
                await conn.aclose()

            nursery.start_soon(give_up)
            try:
                answers.append(await question(conn))
            except DatabaseError as error:
                answers.append(error)
            nursery.cancel_scope.cancel()
        [answer] = answers
        if late:
            await self._silent()
            raise DatabaseUnavailable(f"the database has not answered for {ANSWER_WITHIN_S:g} s")
        if isinstance(answer, DatabaseError):
            raise answer
        return answer

    async def _silent(self) -> None:
        if trio.current_time() - self._pool.answered_at > ANSWER_WITHIN_S:
            await self._pool.sever()
            await self._cut_off()
