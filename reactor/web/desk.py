"""What every route works with: the database as a viewer sees it, the stream of events, how this process stands.

Reading and changing are apart: what reads does so on sessions that cannot change anything, statement by statement; what
changes does it in one transaction.
"""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NoReturn

from starlette.responses import Response

from reactor.engine.supervisor import Reactor
from reactor.pg import Connection, ListeningConnection, Pool, connect
from reactor.settings import Settings
from reactor.store import viewers
from reactor.web.access import Rules
from reactor.web.feed import Feed
from reactor.web.health import Health
from reactor.web.problems import NotReady
from reactor.web.shared import Shared

READERS: Final = 3
CHANGERS: Final = 2
ANSWER_WITHIN_S: Final = 5.0
# A plan that is kept was made when the tables were smaller, and for filters of others; so each look has its own.
_PLANS: Final = {"plan_cache_mode": "force_custom_plan"}
_CHANGING: Final = {**_PLANS, "statement_timeout": "5s"}
# For sessions of our own the first, for a backend that others use too the second, set in each transaction.
_READING: Final = {**_CHANGING, "default_transaction_read_only": "on", "transaction_read_only": "on"}


class Desk:
    """The web part's own way to the database. Its connections are few, opened when somebody asks."""

    def __init__(self, settings: Settings, health: Health, rules: Rules | None = None) -> None:
        self.settings = settings
        self.health = health
        self.rules = rules or Rules(settings.api_token, settings.read_token)
        self.feed = Feed(self._listen, self._tell_viewers, chance=random.random)
        self.answers: Shared[Response] = Shared()
        self.looks: Shared[dict[str, Any]] = Shared()
        self._readers = self._pool(_READING, READERS)
        self._changers = self._pool(_CHANGING, CHANGERS)

    async def run(self) -> NoReturn:
        """Read the stream for whoever watches, for ever."""
        try:
            await self.feed.run()
        finally:
            await self._readers.aclose()
            await self._changers.aclose()

    @property
    def reactor(self) -> Reactor:
        """The reactor of this process. Raises NotReady: it has none yet."""
        if self.health.reactor is None:
            raise NotReady("the reactor is starting: ask again in a moment")
        return self.health.reactor

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """A connection for looking; what is asked on it changes nothing. Raises NotReady, DatabaseError."""
        async with self._readers.connection() as conn:
            yield conn

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Connection]:
        """A connection for one change, all of it or nothing; whoever watches is told. Raises NotReady, DatabaseError."""
        async with self._changers.connection() as conn, conn.transaction():
            yield conn
        self.answers.forget()  # looks need no such word: they are found out after the question
        self.reactor.announcer.written()

    def _pool(self, settings: Mapping[str, str], limit: int) -> Pool:
        async def open_connection() -> Connection:
            return await connect(self.reactor.plan.dsn, name="web", settings=settings)

        return Pool(open_connection, limit=limit, acquire_timeout_s=ANSWER_WITHIN_S)

    async def _listen(self) -> ListeningConnection:
        return await self.reactor.sessions.open_unproven("stream", _PLANS)

    async def _tell_viewers(self, conn: Connection, number: int) -> None:
        await viewers.set_viewers(conn, self.reactor.identity.id, number)
