"""What every route works with: the database as a viewer sees it, the stream of events, how this process stands.

Reading and changing are apart: a route that reads cannot change anything, its transaction is read-only.
"""

import random
from collections.abc import AsyncIterator
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

CONNECTIONS: Final = 4
ANSWER_WITHIN_S: Final = 5.0
# A plan that is kept was made when the tables were smaller, and for filters of others; so each look has its own.
_PLANS: Final = {"plan_cache_mode": "force_custom_plan"}
_SESSION: Final = {**_PLANS, "statement_timeout": "5s"}


class Desk:
    """The web part's own way to the database. Its connections are few, opened when somebody asks."""

    def __init__(self, settings: Settings, health: Health, rules: Rules | None = None) -> None:
        self.settings = settings
        self.health = health
        self.rules = rules or Rules(settings.api_token, settings.read_token)
        self.feed = Feed(self._listen, self._tell_viewers, chance=random.random)
        self.answers: Shared[Response] = Shared()
        self.looks: Shared[dict[str, Any]] = Shared()
        self._pool = Pool(self._connect, limit=CONNECTIONS, acquire_timeout_s=ANSWER_WITHIN_S)

    async def run(self) -> NoReturn:
        """Read the stream for whoever watches, for ever."""
        try:
            await self.feed.run()
        finally:
            await self._pool.aclose()

    @property
    def reactor(self) -> Reactor:
        """The reactor of this process. Raises NotReady: it has none yet."""
        if self.health.reactor is None:
            raise NotReady("the reactor is starting: ask again in a moment")
        return self.health.reactor

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """A connection for looking; what is asked on it changes nothing. Raises NotReady, DatabaseError."""
        async with self._pool.connection() as conn:
            await conn.set_read_only(True)
            async with conn.transaction():
                yield conn

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Connection]:
        """A connection for one change, all of it or nothing; whoever watches is told. Raises NotReady, DatabaseError."""
        async with self._pool.connection() as conn:
            await conn.set_read_only(None)
            async with conn.transaction():
                yield conn
        self.answers.forget()
        self.looks.forget()
        self.reactor.announcer.written()

    async def _connect(self) -> Connection:
        return await connect(self.reactor.plan.dsn, name="web", settings=_SESSION)

    async def _listen(self) -> ListeningConnection:
        return await self.reactor.sessions.open_unproven("stream", _PLANS)

    async def _tell_viewers(self, conn: Connection, number: int) -> None:
        await viewers.set_viewers(conn, self.reactor.identity.id, number)
