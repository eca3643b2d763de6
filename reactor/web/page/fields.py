"""A payload as the fields of a form, and back.

First what the table of its kind knows (``input_schema``), then what the payload holds besides; whatever is no single text,
number, yes or no stays in one text of JSON beside them (`Shape.rest`). A field's name says its control and its place, as
``payload.text:/body/text``, so what comes back is read without the table. A form sent back as it was gives the payload
as it was.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeGuard

from reactor.errors import UsageError
from reactor.web.storable import json_of

MOST: Final = 12  # fields of one payload
DEEPEST: Final = 4
_SHORT: Final = 60  # characters on one line; a longer text gets several
_LONG_ROOM: Final = 300  # a text that may be longer than that gets several lines from the start
_MOST_ROWS: Final = 9
_A_LINE: Final = 48
_NOTHING: Final = object()

Path = tuple[str, ...]


class Field(NamedTuple):
    """One input: ``control`` is text, number or flag; ``rows`` above 0 a text of several lines."""

    control: str
    place: str
    label: str
    hint: str
    value: str
    rows: int
    options: tuple[str, ...]
    limits: Mapping[str, Any]
    required: bool

    @property
    def name(self) -> str:
        """The end of the form's name for it."""
        return f"{self.control}:{self.place}"


class Shape(NamedTuple):
    """A payload in parts; ``rest`` is what has no field. ``typed``: the JSON text in its place, where it cannot be read."""

    fields: list[Field]
    rest: Any
    typed: str | None = None


def shape_of(payload: Any, schema: Any) -> Shape:
    """``payload`` as fields, by ``schema`` where that knows them; a payload that is no object is all rest."""
    if not isinstance(payload, Mapping):
        return Shape([], payload)
    found: list[Field] = []
    rest = _parted(payload, _mapping(schema), (), found)
    return Shape(found, rest)


def shape_of_form(form: Mapping[str, str], name: str, schema: Any) -> Shape:
    """Payload ``name`` of a form as a person left it, right or wrong, so that he finds what he typed."""
    try:
        whole = payload_of(form, name, name)
    except UsageError:
        return shape_of(_readable(form, name), schema)._replace(typed=form.get(name, ""))
    return shape_of({} if whole is None else whole, schema)


def payload_of(form: Mapping[str, str], name: str, called: str) -> Any:
    """What the fields of payload ``name`` and the JSON text beside them say together; None: nothing was sent.

    Raises: UsageError: naming the field that is not as it should be; ``called`` is what a person calls the payload.
    """
    text = form.get(name, "").strip()
    sent = {key[len(name) + 1 :]: value for key, value in form.items() if key.startswith(f"{name}.")}
    if not text and not sent:
        return None
    whole = json_of(text, called) if text else {}
    if not sent:
        return whole
    if not isinstance(whole, dict):
        raise UsageError(f"{called}: what stands beside the fields must be a JSON object")
    for key, value in sent.items():
        control, _, place = key.partition(":")
        path = _path(place)
        read = _read(control, value, f"{called}: {'.'.join(path)}")
        if read is not _NOTHING:
            _put(whole, path, read, called)
    return whole


def _readable(form: Mapping[str, str], name: str) -> dict[str, Any]:
    """What the fields of payload ``name`` say, each by itself; one that cannot be read is a text."""
    held: dict[str, Any] = {}
    for key, value in form.items():
        control, _, place = key.removeprefix(f"{name}.").partition(":")
        if not key.startswith(f"{name}."):
            continue
        with suppress(UsageError):
            path = _path(place)
            try:
                read = _read(control, value, name)
            except UsageError:
                read = value
            if read is not _NOTHING:
                _put(held, path, read, name)
    return held


def _parted(
    held: Mapping[str, Any], schema: Mapping[str, Any], path: Path, found: list[Field]
) -> dict[str, Any]:
    """The fields of ``held`` are in ``found``; what has none is answered."""
    known, needed = _mapping(schema.get("properties")), schema.get("required")
    rest: dict[str, Any] = {}
    for name in (*known, *(name for name in held if name not in known)):
        value, rule, here = held.get(name, _NOTHING), _mapping(known.get(name)), (*path, name)
        if isinstance(value, Mapping) and value and len(here) < DEEPEST:
            if inner := _parted(value, rule, here, found):
                rest[name] = inner
            continue
        control = _control(value, rule)
        if control is not None and len(found) < MOST:
            found.append(
                _field(control, here, value, rule, required=isinstance(needed, list) and name in needed)
            )
        elif value is not _NOTHING:
            rest[name] = value
    return rest


def _control(value: Any, rule: Mapping[str, Any]) -> str | None:
    """By what it is, or may be; None: only JSON says it."""
    if value is _NOTHING:
        kinds = {"string": "text", "number": "number", "integer": "number", "boolean": "flag"}
        kind = rule.get("type")
        return kinds.get(kind) if isinstance(kind, str) else None
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int | float):
        return "number"
    # Browsers make every line end alike; an empty text and none look the same.
    return "text" if isinstance(value, str) and value and "\r" not in value else None


def _field(control: str, path: Path, value: Any, rule: Mapping[str, Any], *, required: bool) -> Field:
    text = "" if value is _NOTHING else value if isinstance(value, str) else json.dumps(value)
    choice = rule.get("enum")
    options = tuple(one for one in choice if isinstance(one, str)) if isinstance(choice, list) else ()
    if control != "text" or (text and text not in options):
        options = ()
    names = {"text": {"maxLength": "maxlength"}, "number": {"minimum": "min", "maximum": "max"}}
    limits = {
        there: rule[here] for here, there in names.get(control, {}).items() if _is_number(rule.get(here))
    }
    if control == "number":
        limits["step"] = "1" if rule.get("type") == "integer" else "any"
    label = rule.get("title") or " › ".join(path).replace("_", " ")
    return Field(
        control, _pointer(path), str(label), str(rule.get("description", "")), text,
        0 if control != "text" or options else _rows(text, path[-1], rule), options, limits, required,
    )  # fmt: skip


def _rows(text: str, name: str, rule: Mapping[str, Any]) -> int:
    """0: one line is enough."""
    if "\n" not in text and (name == "url" or name.endswith("_url")):
        return 0
    most = rule.get("maxLength")
    roomy = rule.get("type") == "string" and not (_is_number(most) and most <= _LONG_ROOM)
    if not roomy and len(text) <= _SHORT and "\n" not in text:
        return 0
    lines = sum(1 + len(line) // _A_LINE for line in text.split("\n"))
    return min(max(lines, 2), _MOST_ROWS)


def _read(control: str, text: str, called: str) -> Any:
    """The value a field holds; `_NOTHING` when it is empty."""
    if not text.strip() and control != "text":
        return _NOTHING
    match control:
        case "text":
            return text.replace("\r\n", "\n") or _NOTHING
        case "number":
            value = json_of(text, called, "number")
            if not _is_number(value):
                raise UsageError(f"{called} is no number: {text[:60]!r}")
            return value
        case "flag" if text in ("true", "false"):
            return text == "true"
    raise UsageError(f"{called} cannot be {text[:60]!r}")


def _put(whole: dict[str, Any], path: Path, value: Any, called: str) -> None:
    at: Any = whole
    for name in path[:-1]:
        at = at.setdefault(name, {}) if isinstance(at, dict) else None
    if not isinstance(at, dict) or path[-1] in at:
        raise UsageError(f"{called}: {'.'.join(path)} is in a field and in the JSON text: keep one of them")
    at[path[-1]] = value


def _pointer(path: Path) -> str:
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in path)


def _path(pointer: str) -> Path:
    names = pointer.split("/")[1 : DEEPEST + 1]
    if not names:
        raise UsageError("the form has a field that is of no payload")
    return tuple(name.replace("~1", "/").replace("~0", "~") for name in names)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
