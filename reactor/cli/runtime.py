"""What a command stands on: settings, one trio run, the database in use."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import trio

from reactor.errors import DatabaseUnavailable
from reactor.home import find_home
from reactor.pg import Connection, connect
from reactor.pg.dsn import ChangingAddress
from reactor.pg.embedded import EmbeddedServer, connect_if_running, ensure_running
from reactor.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Database:
    """The database in use: ``dsn`` for work, ``direct_dsn`` for sessions.

    ``embedded`` when it is our own server.
    """

    dsn: str
    direct_dsn: str
    embedded: EmbeddedServer | None = None

    async def connect(self, name: str) -> Connection:
        """A new connection for work; the caller closes it."""
        return await connect(self.dsn, name=name)


def home_of(settings: Settings) -> Path:
    """Where the embedded database of these settings lives, whether or not it is there."""
    env = {"VOXYZ_HOME": str(settings.voxyz_home)} if settings.voxyz_home else {}
    return find_home(settings.cwd, env)


@asynccontextmanager
async def database(
    settings: Settings, *, create: bool = False, start: bool = False
) -> AsyncIterator[Database]:
    """The database that ``settings`` name, else the embedded one, which is kept running inside.

    ``create`` starts the embedded server, and makes it when there is none; ``start`` only starts it; without them a
    server that is not running is a DatabaseUnavailable that says what to start.
    """
    if settings.database_url is not None:
        dsn = ChangingAddress(settings.database_url, partial(settings.address_now, "database_url"))
        direct = settings.direct_url and ChangingAddress(
            settings.direct_url, partial(settings.address_now, "direct_url")
        )
        yield Database(dsn, direct or dsn)
        return
    home = home_of(settings)
    server = await (ensure_running(home, create=create) if create or start else connect_if_running(home))
    if server is None:
        raise DatabaseUnavailable(
            f"no reactor is running here ({home} has no database up): start one with `voxyz-reactor run`,"
            " or set DATABASE_URL"
        )
    try:
        yield Database(server.dsn, server.dsn, server)
    finally:
        await server.leave()


@asynccontextmanager
async def connection(settings: Settings, name: str) -> AsyncIterator[Connection]:
    """One connection to the database in use, closed afterwards; nothing is started or created."""
    async with database(settings) as place:
        conn = await place.connect(name)
        try:
            yield conn
        finally:
            await conn.aclose()


def run(command: Callable[..., Awaitable[T]], *args: Any, **named: Any) -> T:
    """Run the async part of a command; what it raises comes out as it was."""
    return trio.run(partial(command, *args, **named))


def ask(name: str, question: Callable[[Connection], Awaitable[T]]) -> T:
    """Load the settings, put one question to the database in use, return its answer."""

    async def asked() -> T:
        async with connection(Settings.load(), name) as conn:
            return await question(conn)

    return run(asked)
