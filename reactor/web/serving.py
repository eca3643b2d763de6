"""The web part of one process, made of its pieces."""

from collections.abc import Sequence
from typing import NoReturn

import structlog
import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from reactor.engine.metrics import Metrics
from reactor.settings import Settings
from reactor.web.access import Access, Rules
from reactor.web.headers import SecurityHeaders
from reactor.web.health import Health
from reactor.web.limits import Limits
from reactor.web.lingering import Lingering
from reactor.web.ports import open_door
from reactor.web.probes import probes
from reactor.web.problems import broke, refused
from reactor.web.server import Server
from reactor.web.watchdog import Watchdog

log = structlog.get_logger()


def application(health: Health, metrics: Metrics, rules: Rules, routes: Sequence[BaseRoute] = ()) -> ASGIApp:
    """The probes and ``routes``, behind the rules."""
    return Starlette(
        routes=[*probes(health, metrics), *routes],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(Lingering),
            Middleware(Limits),
            Middleware(Access, rules=rules),
        ],
        exception_handlers={HTTPException: refused, Exception: broke},
    )


async def run_web(
    settings: Settings,
    health: Health,
    metrics: Metrics | None = None,
    *,
    rules: Rules | None = None,
    routes: Sequence[BaseRoute] = (),
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Serve probes, metrics and ``routes`` for ever where ``settings`` say; started with the address, such as
    ``http://127.0.0.1:8420``, when connections are accepted.

    Start it before anything touches the database, and tell ``health`` how things go on.
    Raises: PortInUse: before it has started. ConfigurationError: OPS_HOST is no address of this machine.
    Cancellation: within 1 s all connections are closed.
    """
    metrics = metrics or Metrics(lambda: health.reactor)
    rules = rules or Rules(settings.api_token, settings.read_token)
    app = application(health, metrics, rules, routes)
    door = await open_door(settings.host, settings.port if settings.port_is_set else None)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Watchdog(door.sockets).run)
            await nursery.start(Server(app).run, door.sockets)
            log.debug("serving", url=door.url)
            task_status.started(door.url)
    finally:
        door.close()
    raise AssertionError("servers never return")
