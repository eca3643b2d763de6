"""The API under /api/ops: everything a person sees and steers, as JSON.

* ``operation``: what an operation is made of; ``serve`` makes routes of them, ``describe`` the OpenAPI document.
* ``agents``, ``work``, ``proposals``, ``talk``, ``steer``, ``look``: the operations, by topic; ``pieces``: what they share.
* ``paging``: lists by cursor. ``stream``: the events as they happen.

Reading happens in a read-only transaction, so a GET cannot change anything. A change is one transaction together with the
answer kept for its Idempotency-Key: either both are there or neither.
"""

from collections.abc import Sequence
from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from reactor.web.api import agents, look, proposals, steer, talk, work
from reactor.web.api.describe import description
from reactor.web.api.operation import Operation
from reactor.web.api.serve import JSON, PREFIX, route_of
from reactor.web.api.stream import Stream
from reactor.web.desk import Desk
from reactor.web.frames import as_json

TOPICS = (look.TOPIC, work.TOPIC, proposals.TOPIC, talk.TOPIC, agents.TOPIC, steer.TOPIC)

__all__ = ["TOPICS", "api_routes", "document"]


def api_routes(desk: Desk) -> Sequence[BaseRoute]:
    """Every route of the API."""
    paths: dict[str, list[Operation]] = {}
    for topic in TOPICS:
        for operation in topic.operations:
            paths.setdefault(operation.path, []).append(operation)
    # What is spelt out goes before what stands for anything: /roundtable/ask before /roundtable/{id}.
    in_order = sorted(paths, key=lambda path: ("{" in path, path.count("{"), path))
    return [
        Route(f"{PREFIX}/openapi.json", _described),
        Route(f"{PREFIX}/stream", Stream(desk).begin),
        *(route_of(paths[path], desk) for path in in_order),
    ]


@cache
def document() -> bytes:
    """The description of the API."""
    return as_json(description((topic.tag, one) for topic in TOPICS for one in topic.operations))


async def _described(_request: Request) -> Response:
    return Response(document(), 200, None, JSON)
