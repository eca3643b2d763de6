"""Errors as ``application/problem+json`` (RFC 9457): what went wrong, and what to do."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from reactor.errors import DatabaseError, OpsError, PayloadRefused, ReactorError, UsageError

BY_CODE: Final = {
    "OP001": 404,
    "OP002": 422,
    "OP003": 422,
    "OP004": 422,
    "OP005": 422,
    "OP006": 409,
    "OP007": 422,
    "OP008": 409,
    "OP009": 409,
    "OP010": 409,
}
RETRY_AFTER_S: Final = 2
_BAD_VALUES: Final = ("22", "23")  # SQLSTATE classes: data that cannot be, rules that forbid it
_PATH = re.compile(r"(?P<field>[a-z_]\S*) (?:must|is) ")
_PAYLOAD = re.compile(r"payload[^\s:]*")


class NotReady(ReactorError):
    """This process cannot ask the database now: it is starting or stopping."""

    transient = True


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of what was sent; ``field`` is its path, such as ``steps.0.kind``."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Explained:
    """An error as its asker is told: the status, one sentence, the SQLSTATE of ours, the fields."""

    status: int
    detail: str
    code: str | None = None
    errors: Sequence[FieldError] = ()


class Refused(ReactorError):
    """A request that is not served, with the answer to it."""

    def __init__(self, status: int, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.explained = Explained(status, detail, None, errors)


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


def explain(error: ReactorError) -> Explained:
    """What to answer when ``error`` came of a request."""
    if isinstance(error, Refused):
        return error.explained
    if isinstance(error, OpsError) and error.sqlstate in BY_CODE:
        told = str(error)
        path = _PATH.match(told) if error.sqlstate == "OP007" else None
        fields = (FieldError(path["field"], told),) if path else ()
        return Explained(BY_CODE[error.sqlstate], told, error.sqlstate, fields)
    if isinstance(error, DatabaseError) and (error.sqlstate or "").startswith(_BAD_VALUES):
        return Explained(422, str(error), error.sqlstate)
    if isinstance(error, PayloadRefused):
        path = _PAYLOAD.search(str(error))
        return Explained(422, str(error), None, (FieldError(path[0], str(error)),) if path else ())
    if isinstance(error, UsageError):
        return Explained(422, str(error))
    if error.transient:
        return Explained(
            503, str(error) if isinstance(error, NotReady) else "the database does not answer now"
        )
    return Explained(500, "the reactor could not answer this; its log says why")


def problem_of(explained: Explained) -> ProblemResponse:
    """The answer that says so."""
    more: dict[str, object] = {}
    if explained.code:
        more["code"] = explained.code
    if explained.errors:
        more["errors"] = [{"field": one.field, "message": one.message} for one in explained.errors]
    headers = {"retry-after": str(RETRY_AFTER_S)} if explained.status == 503 else None
    return problem(explained.status, explained.detail, headers=headers, **more)


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
