"""Whole reactors that ask a Messages API of this machine: SDK, gateway, books and queue, nothing left out."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg

from reactor.cli.run import _reactor
from reactor.cli.runtime import Database
from reactor.cli.terminal import LogWatcher
from reactor.engine.supervisor import Reactor
from reactor.handlers.kinds import KindRegistry
from reactor.handlers.thinking import house_kinds
from reactor.settings import Settings

Sql = psycopg.Connection[tuple[Any, ...]]
KEY = "sk-test-0123456789"


@asynccontextmanager
async def asking_reactor(
    dsn: str, url: str, *, parts: Sequence[str] = ("mission",), key: str = KEY, **settings: str
) -> AsyncIterator[Reactor]:
    """A reactor as ``run`` makes it, with ``settings`` as in its environment, whose model is asked at ``url``."""
    environ = {"DATABASE_URL": dsn, "ANTHROPIC_API_KEY": key, "ANTHROPIC_BASE_URL": url, **settings}
    loaded = Settings.load(environ, cwd=Path("/"))
    registry = KindRegistry(house_kinds())
    async with _reactor(loaded, Database(dsn, dsn), parts, registry, LogWatcher()) as reactor:
        yield reactor
