"""Looks after the peers that have rows running: twice a second whether they still live.

The beat looks at every peer each 5 s, which is soon enough for one that has nothing in hand. One that has rows running says
so once, after they have run for a moment, and its beats repeat it; whoever hears it, or finds it in a beat, looks from then
on at the next two such peers in the ring of ids, until nobody works any more. So an idle fleet asks nothing, and of a busy
one every member is looked at by two others however large it is.
"""

from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import NoReturn
from uuid import UUID

import trio

from reactor.engine.lifeline import Lifeline
from reactor.errors import DatabaseError
from reactor.store import workers

LOOK_S = 0.5
A_MOMENT_S = 0.25  # rows that end within it are not worth telling anybody
SAY_AGAIN_S = 5.0  # at most so often: in between the beats say it
WORKING = "working"  # the word on the control channel


class Lookout:
    """``working`` says whether we have rows running; ``found_dead`` hears of peers that nobody saw alive."""

    def __init__(
        self,
        worker: UUID,
        lifeline: Lifeline,
        *,
        working: Callable[[], bool],
        found_dead: Callable[[Collection[UUID]], Awaitable[None]],
    ) -> None:
        self._worker = worker
        self._lifeline = lifeline
        self._working = working
        self._found_dead = found_dead
        self._somebody_works = trio.Event()

    def hear(self, word: str) -> None:
        """What the control channel says."""
        if word == WORKING:
            self.somebody_works()

    def somebody_works(self) -> None:
        """A peer has rows running, as far as anybody knows."""
        self._somebody_works.set()

    async def run(self) -> NoReturn:
        """Say that we work, and look after those who do, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._say)
            nursery.start_soon(self._look)
        raise AssertionError("roles never return")

    async def _say(self) -> NoReturn:
        while True:
            await trio.sleep(A_MOMENT_S)
            if not self._working():
                continue
            await trio.sleep(A_MOMENT_S)
            if self._working():
                with suppress(DatabaseError):  # the beat says it
                    await self._lifeline.ask(lambda conn: workers.say_working(conn, self._worker))
                await trio.sleep(SAY_AGAIN_S)

    async def _look(self) -> NoReturn:
        while True:
            await self._somebody_works.wait()
            looked_at = trio.current_time()
            with suppress(DatabaseError):
                working, dead = await self._lifeline.ask(lambda conn: workers.look(conn, self._worker))
                if not working:
                    self._somebody_works = trio.Event()
                if dead:
                    await self._found_dead(dead)
                    continue
            await trio.sleep_until(looked_at + LOOK_S)
