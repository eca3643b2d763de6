"""Errors as ``application/problem+json`` (RFC 9457): what went wrong, and what to do."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class ProblemResponse(JSONResponse):
    """A problem; never kept by a cache."""

    media_type = "application/problem+json"


def problem(
    status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: object
) -> ProblemResponse:
    """The answer to a request that cannot be served: ``detail`` is one sentence, ``more`` are further members."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **more,
    }
    return ProblemResponse(body, status, {"cache-control": "no-store", **(headers or {})})


async def refused(request: Request, error: Exception) -> Response:
    """What the router refuses, such as an unknown path, as a problem."""
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"there is nothing at {request.url.path[:200]}"
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.method[:20]} is not for {request.url.path[:200]}"
    return problem(error.status_code, detail, headers=error.headers)


async def broke(_request: Request, _error: Exception) -> Response:
    """A route of ours raised: the log has it, the client learns only that."""
    return problem(500, "the reactor could not answer this; its log says why")
