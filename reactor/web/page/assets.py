"""The page's own files: style, script, the vendored libraries beside their licences.

An address carries a print of the file's bytes, so a browser may keep what it got for ever and a new version has a new
address; asked for without the print, or with an old one, the present bytes come and are not kept.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

STATIC: Final = Path(__file__).resolve().parent / "static"
KEPT: Final = "public, max-age=31536000, immutable"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain; charset=utf-8",
}


class Asset(NamedTuple):
    """A file as it is served."""

    body: bytes
    media_type: str
    print: str


@cache
def assets() -> dict[str, Asset]:
    """Every file by its name below ``static/``. Read once a process."""
    found = {}
    for path in sorted(STATIC.rglob("*")):
        if path.suffix in _TYPES:
            body = path.read_bytes()
            name = path.relative_to(STATIC).as_posix()
            found[name] = Asset(body, _TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:12])
    return found


def address(name: str) -> str:
    """Where a browser finds the file; raises KeyError for one there is not."""
    return f"/ops/static/{name}?v={assets()[name].print}"


async def _serve(request: Request) -> Response:
    asset = assets().get(request.path_params["name"])
    if asset is None:
        raise HTTPException(404)
    headers = {"content-type": asset.media_type}
    if request.query_params.get("v") == asset.print:
        headers["cache-control"] = KEPT
    return Response(asset.body, headers=headers)


static = Route("/ops/static/{name:path}", _serve, methods=["GET"])
