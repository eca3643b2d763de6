"""Telling those who watch that there are new events.

A notification takes a lock of the whole cluster at its commit, so it is sent beside the work, never in it, and waits for no
disk: at most 20 a second from this process, ever fewer in a flood, of which watchers are told the sum, and none while
``ops_workers`` shows nobody who watches. It goes over the listener's own connection. Whoever gives a connection of the pool
back may have written events; that is all that is asked. One look too many costs a watcher one indexed read.

That work has begun is no event, yet whoever looks at the room wants to see who thinks. So a claim that found rows leaves a
mark, and when some of them still run a moment later those who watch hear a word, at most once a second.
"""

from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

import structlog
import trio

from reactor.errors import DatabaseError
from reactor.pg import Connection
from reactor.store import viewers

log = structlog.get_logger()

GAP_S: Final = 0.05  # 20 a second
LONGEST_GAP_S: Final = 0.4  # while there is always more to tell
A_MOMENT_S: Final = 0.25  # what ends within it is told by its end
BEGAN_EVERY_S: Final = 1.0


class Announcer:
    """``watched``: somebody looks at the stream, here or at a peer. ``connection``: the one that listens, if any.

    ``running``: how many handlers run now. ``sent`` counts what was said.
    """

    def __init__(self, connection: Callable[[], Connection | None], running: Callable[[], int]) -> None:
        self.sent = 0
        self._watched = False
        self._connection = connection
        self._running = running
        self._news = trio.Event()
        self._begun = trio.Event()

    @property
    def watched(self) -> bool:
        """Whether anything is said at all."""
        return self._watched

    @watched.setter
    def watched(self, watched: bool) -> None:
        if watched and not self._watched:
            self._begun.set()  # what began since they looked, and before we heard of them, is not missed
        self._watched = watched

    def written(self) -> None:
        """There may be new events; never fails, costs nothing while nobody watches."""
        if self._watched:
            self._news.set()

    def took(self) -> None:
        """Rows were claimed; as `written`."""
        if self._watched:
            self._begun.set()

    async def run(self) -> NoReturn:
        """Announce for ever; what cannot be sent is not: watchers also look by themselves."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_news)
            nursery.start_soon(self._tell_beginnings)
        raise AssertionError("roles never return")

    async def _tell_news(self) -> NoReturn:
        gap_s = GAP_S
        while True:
            if not self._news.is_set():
                gap_s = GAP_S
            await self._news.wait()
            self._news = trio.Event()
            await self._say(viewers.announce)
            await trio.sleep(gap_s)
            gap_s = min(gap_s * 2, LONGEST_GAP_S)

    async def _tell_beginnings(self) -> NoReturn:
        while True:
            await self._begun.wait()
            await trio.sleep(A_MOMENT_S)
            self._begun = trio.Event()
            if self._running():
                await self._say(viewers.say_begun)
            await trio.sleep(BEGAN_EVERY_S - A_MOMENT_S)

    async def _say(self, word: Callable[[Connection], Awaitable[None]]) -> None:
        conn = self._connection()
        if conn is None:
            return
        try:
            await word(conn)
            self.sent += 1
        except DatabaseError as error:
            log.debug("events_not_announced", reason=str(error))
