"""The three routes every process has.

``/healthz`` is answered by the event loop alone: the answer is the proof that it turns. When it does not, the watchdog
answers. ``/readyz`` and ``/metrics`` ask the database, not more often than they say in `reactor.web.health` and
`reactor.engine.metrics`, however often they are asked.
"""

from collections.abc import Sequence
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from reactor.engine.metrics import Metrics
from reactor.web.health import Health

NOT_KEPT = {"cache-control": "no-store"}


def probes(health: Health, metrics: Metrics) -> Sequence[BaseRoute]:
    """``/healthz``, ``/readyz`` and ``/metrics``."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=NOT_KEPT)

    async def readyz(_request: Request) -> Response:
        report = await health.report()
        return JSONResponse(asdict(report), 200 if report.ready else 503, NOT_KEPT)

    async def scraped(request: Request) -> Response:
        body, content_type = await metrics.exposition(request.headers.get("accept", ""))
        return Response(body, headers={**NOT_KEPT, "content-type": content_type})

    return (Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", scraped))
