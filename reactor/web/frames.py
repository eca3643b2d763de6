"""Server-sent events, as bytes; and values as JSON."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from reactor.store.events import Event, Place, Skipped

PULSE = b": \n\n"
_PLAIN = frozenset((str, int, float, bool, type(None)))


def as_json(value: object) -> bytes:
    """``value`` as JSON: named tuples and dataclasses as objects, times in ISO 8601, amounts as numbers."""
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
        "utf-8", "replace"
    )


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is dict:  # as most are; asking what else a value might be costs a page of them a millisecond
        return {str(name): part if type(part) in _PLAIN else _plain(part) for name, part in value.items()}
    if kind is list:
        return [part if type(part) in _PLAIN else _plain(part) for part in value]
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return _plain(dict(value))
    if isinstance(value, list | tuple | set | frozenset):
        return _plain(list(value))
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return float(value)
    return str(value) if isinstance(value, UUID) else value


def frame(name: str, data: object, id: str | None = None) -> bytes:
    """One event of that name; JSON has no line breaks, so the data is one line."""
    place = f"id: {id}\n".encode() if id is not None else b""
    return b"event: %s\n%sdata: %s\n\n" % (name.encode(), place, as_json(data))


def event_frames(events: Iterable[Event]) -> bytes:
    """What happened, one frame each; only final ones have an id."""
    return b"".join(
        frame("event", one, cursor(Place(one.xact, one.id)) if one.final else None) for one in events
    )


def gap_frame(skipped: Skipped) -> bytes:
    """What was left out, by kind, and where it can be read; empty when it was nothing."""
    if not skipped.kinds:
        return b""
    since, before = cursor(skipped.since), cursor(skipped.before)
    told = {
        "events": sum(skipped.kinds.values()),
        "kinds": skipped.kinds,
        "since": since,
        "before": before,
        "url": f"/api/ops/events?since={since}&after={before}",
    }
    return frame("gap", told, cursor(skipped.until))


def cursor(place: Place) -> str:
    """A place as the text that a client gives back."""
    return f"{place.xact}-{place.id}"


def place_of(text: str) -> Place | None:
    """The place that ``text`` is the cursor of, None when it is none."""
    xact, dash, id = text.partition("-")
    if not dash or not _number(xact, 20) or not _number(id, 19) or int(xact) >= 2**64 or int(id) >= 2**63:
        return None
    return Place(xact, int(id))


def _number(text: str, digits: int) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= digits
