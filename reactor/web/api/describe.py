"""The description of the API (OpenAPI 3.1), made of the same operations that are served."""

import re
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from pydantic import TypeAdapter

from reactor import __version__
from reactor.web.api.operation import LARGEST_ID, Listed, NoQuery, Operation
from reactor.web.api.serve import JSON, PREFIX

_PROBLEM: Final = "Problem"
_PART = re.compile(r"\{(\w+)\}")
_PLAIN: Final[Mapping[Any, dict[str, Any]]] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    Decimal: {"type": "number"},
    bool: {"type": "boolean"},
    str: {"type": "string"},
    UUID: {"type": "string", "format": "uuid"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    type(None): {"type": "null"},
    Any: {},
    object: {},
}
PROBLEM: Final = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "one sentence that says what to do"},
        "code": {"type": "string", "description": "SQLSTATE, where the database refused"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "the same key with the same request is done once; its answer is repeated for a day",
    "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
}


class Shapes:
    """JSON schemas of answers; named ones are collected."""

    def __init__(self) -> None:
        self.named: dict[str, dict[str, Any]] = {_PROBLEM: PROBLEM}

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of values of that type."""
        if isinstance(kind, Listed):
            return self._page(kind.item)
        if kind in _PLAIN:
            return dict(_PLAIN[kind])
        origin = get_origin(kind)
        if origin in (Union, types.UnionType):
            return {"anyOf": [self.of(part) for part in get_args(kind)]}
        if origin is Literal:
            return {"enum": list(get_args(kind))}
        if origin is not None and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.of(get_args(kind)[1])}
        if origin is not None and issubclass(origin, Sequence):
            return {"type": "array", "items": self.of(get_args(kind)[0])}
        return self._named(kind)

    def _named(self, kind: Any) -> dict[str, Any]:
        if isinstance(kind, type) and issubclass(kind, StrEnum):
            return {"enum": [one.value for one in kind]}
        name = kind.__name__
        if name not in self.named:
            self.named[name] = {}  # a type may hold others of its own
            hints = get_type_hints(kind)
            known = [one.name for one in fields(kind)] if is_dataclass(kind) else list(kind._fields)
            self.named[name] = {
                "type": "object",
                "required": known,
                "properties": {part: self.of(hints[part]) for part in known},
            }
        return _ref(name)

    def _page(self, item: Any) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["items", "next"],
            "properties": {
                "items": {"type": "array", "items": self.of(item)},
                "next": {"type": ["string", "null"]},
            },
        }

    def taken(self, kind: Any) -> dict[str, Any]:
        """The schema of a body; what it refers to is collected."""
        schema = TypeAdapter(kind).json_schema(ref_template="#/components/schemas/{model}")
        self.named.update(schema.pop("$defs", {}))
        return schema


def description(operations: Iterable[tuple[str, Operation]]) -> dict[str, Any]:
    """The whole document for operations with their tags."""
    shapes = Shapes()
    paths: dict[str, dict[str, Any]] = {}
    for tag, operation in operations:
        at = paths.setdefault(PREFIX + operation.path, {})
        at[operation.method.lower()] = _described(operation, tag, shapes)
    paths[f"{PREFIX}/stream"] = {"get": _stream()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "voxyz ops",
            "version": __version__,
            "description": "See and steer a team of agents. GET changes nothing; lists page by cursor.",
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}, {"cookie": []}],
        "paths": paths,
        "components": {
            "schemas": shapes.named,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "voxyz_session"},
            },
        },
    }


def _described(operation: Operation, tag: str, shapes: Shapes) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [tag],
        "parameters": [*_path(operation.path), *_query(operation.query, shapes), *_headers(operation)],
        "responses": {str(operation.status): _answer(shapes.of(operation.answer)), **_problems(operation)},
    }
    if 304 in operation.may:
        told["responses"]["304"] = {"description": "it is what you have"}
    if operation.body is not None:
        told["requestBody"] = {
            "required": operation.body_needed,
            "content": {JSON: {"schema": shapes.taken(operation.body)}},
        }
    return told


def _answer(schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": "done", "content": {JSON: {"schema": schema}}}


def _problems(operation: Operation) -> dict[str, Any]:
    statuses = [400, 401, 403, 404, 429, 503, *(status for status in operation.may if status >= 400)]
    if operation.changes:
        statuses += [409, 413, 415, 422]
    elif operation.query is not NoQuery:
        statuses.append(422)
    problem = {
        "description": "a problem",
        "content": {"application/problem+json": {"schema": _ref(_PROBLEM)}},
    }
    return {str(status): problem for status in sorted(set(statuses))}


def _path(path: str) -> list[dict[str, Any]]:
    ids = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}
    names = {"type": "string", "minLength": 1, "maxLength": 253, "pattern": "^[a-z0-9][a-z0-9._:-]*$"}
    whats = {"enum": ["step", "mission", "roundtable", "initiative", "proposal"]}
    return [
        {
            "name": part,
            "in": "path",
            "required": True,
            "schema": ids if part == "id" else whats if part == "what" else names,
        }
        for part in _PART.findall(path)
    ]


def _query(query: type[NoQuery], shapes: Shapes) -> list[dict[str, Any]]:
    schema = shapes.taken(query)
    return [
        {"name": name, "in": "query", "required": False, "schema": _without_null(one)}
        for name, one in schema.get("properties", {}).items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query cannot say null: what may be null may be left out."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) == 1:
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
        return {**rest, **kinds[0]}
    return schema


def _headers(operation: Operation) -> list[dict[str, Any]]:
    own = [
        {
            "name": name,
            "in": "header",
            "description": meaning,
            "schema": {"type": "string", "pattern": "^[!-~]+$"},
        }
        for name, meaning in operation.headers.items()
    ]
    return [*own, IDEMPOTENCY_KEY] if operation.changes else own


def _stream() -> dict[str, Any]:
    return {
        "operationId": "stream",
        "summary": "What happens, as it happens: messages hello, event, gap, began, horizon",
        "tags": ["events"],
        "parameters": [
            {
                "name": "after",
                "in": "query",
                "description": "the place to go on from; the header Last-Event-ID outranks it",
                "schema": {"type": "string", "pattern": "^[0-9]{1,19}-[0-9]{1,18}$"},
            }
        ],
        "responses": {
            "200": {
                "description": "it goes on until one of us ends it",
                "content": {"text/event-stream": {}},
            },
            "400": {
                "description": "after is no place",
                "content": {"application/problem+json": {"schema": _ref(_PROBLEM)}},
            },
        },
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
