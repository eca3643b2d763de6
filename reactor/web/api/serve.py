"""From a request to an answer: understood, done in one transaction, told as JSON or as a problem."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reactor.errors import ReactorError
from reactor.pg import Connection
from reactor.store import requests
from reactor.web.api.operation import LARGEST_ID, Asking, Operation, Reply
from reactor.web.desk import Desk
from reactor.web.frames import as_json
from reactor.web.problems import FieldError, Refused, explain, problem_of
from reactor.web.sessions import csrf_of
from reactor.web.storable import unstorable

log = structlog.get_logger()

PREFIX: Final = "/api/ops"
JSON: Final = "application/json"
_MAYBE_UNSTORABLE = re.compile(rb"\\u0000|NaN|Infinity|[0-9][eE]")
_KEY = re.compile(r"[!-~]{1,200}")


def route_of(operations: list[Operation], desk: Desk) -> Route:
    """The route of one path and all its methods."""
    by_method = {one.method: one for one in operations}

    async def serve(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        try:
            return await _answer(by_method[method], desk, request)
        except ReactorError as error:
            explained = explain(error)
            if explained.status == 500:
                log.error("request_failed", path=request.url.path, reason=str(error), exc_info=True)
            return problem_of(explained)

    return Route(PREFIX + operations[0].path, serve, methods=list(by_method))


async def _answer(operation: Operation, desk: Desk, request: Request) -> Response:
    raw = await request.body() if operation.changes else b""
    asking = Asking(
        desk,
        _path_of(request),
        _query_of(operation, request),
        _body_of(operation, request, raw),
        {name.lower(): value for name, value in request.headers.items()},
        str(request.state.grant),
        csrf_of(request),
    )
    if operation.shared_s:
        return await desk.answers.get(
            request.url.path + "?" + request.url.query,
            operation.shared_s,
            lambda: _read(operation, desk, asking),
        )
    if not operation.changes:
        return await _read(operation, desk, asking)
    key = asking.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise Refused(400, "Idempotency-Key must be 1 to 200 printable characters")
    async with desk.changing() as conn:
        if key is None:
            return _told(operation, await operation.run(conn, asking))
        return await _once(conn, operation, asking, key, _digest(request, raw))


async def _read(operation: Operation, desk: Desk, asking: Asking) -> Response:
    async with desk.reading() as conn:
        return _told(operation, await operation.run(conn, asking))


async def _once(conn: Connection, operation: Operation, asking: Asking, key: str, digest: str) -> Response:
    """The change is made once for its key, and told every time."""
    answered = await requests.begin(conn, key, digest)
    if answered is None:
        answer = _told(operation, await operation.run(conn, asking))
        kept = {name: value for name, value in answer.headers.items() if name in ("etag", "location")}
        await requests.keep(conn, key, answer.status_code, kept, bytes(answer.body).decode())
        return answer
    if answered.request != digest:
        raise Refused(422, "this Idempotency-Key came with another request before: take a new one")
    headers = {**answered.headers, "idempotency-replayed": "true"}
    return Response(answered.body.encode(), answered.status, headers, JSON)


def _digest(request: Request, raw: bytes) -> str:
    """What makes two requests the same."""
    asked = (
        f"{request.method} {request.url.path}?{request.url.query}\n{request.headers.get('if-match', '')}\n"
    )
    return hashlib.sha256(asked.encode() + raw).hexdigest()


def _told(operation: Operation, value: object) -> Response:
    reply = value if isinstance(value, Reply) else Reply(value)
    status = reply.status or operation.status
    body = b"" if status in (204, 304) else as_json(reply.value)
    return Response(body, status, dict(reply.headers), JSON)


def _path_of(request: Request) -> dict[str, Any]:
    """The parts of the path, the id as a number. Raises Refused: no thing is called so."""
    found: dict[str, Any] = dict(request.path_params)
    id = found.get("id", "1")
    if not (id.isascii() and id.isdecimal() and len(id) <= 19 and 1 <= int(id) <= LARGEST_ID):
        raise Refused(404, f"there is nothing at {request.url.path[:200]}: an id is a whole number")
    if any("\x00" in value for value in found.values()):
        raise Refused(404, "there is nothing with a null character in its name")
    return {**found, "id": int(id)}


def _query_of(operation: Operation, request: Request) -> Any:
    given = request.query_params.multi_items()
    names = [name for name, _ in given]
    for name in names:
        if names.count(name) > 1:
            raise Refused(400, f"{name[:100]} is there twice", [FieldError(name[:100], "is there twice")])
    return _checked(lambda: operation.query.model_validate(dict(given)), 400)


def _body_of(operation: Operation, request: Request, raw: bytes) -> Any:
    if operation.body is None:
        if raw.strip() not in (b"", b"{}"):
            raise Refused(422, "nothing is wanted in the body")
        return None
    if not raw and not operation.body_needed:
        raw = b"{}"
    content_type = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if content_type != JSON and not content_type.endswith("+json"):
        raise Refused(415, f"send the body as {JSON}")
    adapter: TypeAdapter[Any] = TypeAdapter(operation.body)
    body = _checked(lambda: adapter.validate_json(raw), 422)
    if _MAYBE_UNSTORABLE.search(raw):
        _refuse_unstorable(raw)
    return body


def _refuse_unstorable(raw: bytes) -> None:
    """Raises Refused: the body, which is JSON, holds what jsonb does not."""
    found = unstorable(json.loads(raw))
    if found is not None:
        field, why = ".".join(found[0])[:300], found[1]
        raise Refused(422, f"{field or 'the body'} {why}", [FieldError(field, why)])


def _checked(check: Callable[[], Any], status: int) -> Any:
    """What ``check`` gives. Raises Refused: naming every field that is not as it should be."""
    try:
        return check()
    except ValidationError as error:
        fields = [_field_error(one) for one in error.errors(include_url=False, include_input=False)[:20]]
        told = "; ".join(f"{one.field}: {one.message}" if one.field else one.message for one in fields)
        raise Refused(status, told[:1000], fields) from None


def _field_error(error: Mapping[str, Any]) -> FieldError:
    path = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    return FieldError(path[:300], message[:300])


def sent(body: Any) -> dict[str, Any]:
    """The fields of a body that were sent, null or not."""
    assert isinstance(body, BaseModel)
    return {name: getattr(body, name) for name in body.model_fields_set}
