"""What rows look like in Python where psycopg's own answer could fail on data a user may well insert.

A value that cannot be loaded fails the whole fetch, again and again, and one row would stop a queue. So: JSON
that Python cannot hold, and timestamps outside its years, come as the nearest thing it can hold.
"""

import json
import math
import sys
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import adapters as defaults
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import AdaptersMap, Loader

LATEST = datetime.max.replace(tzinfo=UTC)
EARLIEST = datetime.min.replace(tzinfo=UTC)

_found = defaults.get_loader(defaults.types["timestamptz"].oid, psycopg.pq.Format.TEXT)
assert _found is not None
_UsualTimestamptz = _found


def loads(data: Buffer | str) -> Any:
    """The value of a JSON text; never raises on what PostgreSQL takes for JSON.

    Numbers too long for Python come as the nearest finite float; a text nested deeper than Python recurses
    comes as itself, a str. Half surrogate pairs are kept as they are.
    """
    text = data if isinstance(data, str) else bytes(data).decode()
    try:
        try:
            return json.loads(text)
        except ValueError:  # more digits than sys.get_int_max_str_digits
            return json.loads(text, parse_int=_number)
    except RecursionError:
        return text


def _number(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:
        value = float(digits)
        return math.copysign(sys.float_info.max, value) if math.isinf(value) else value


class JsonLoader(Loader):
    """JSON and jsonb, as `loads` reads them; the empty object, by far the most frequent payload, is not read at all."""

    def load(self, data: Buffer) -> Any:
        """The value ``data`` writes out."""
        return {} if data == b"{}" else loads(data)


class TimestamptzLoader(Loader):
    """Timestamps in UTC; ``infinity`` and years beyond 9999 are `LATEST`, those before 1 `EARLIEST`."""

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self._load = _UsualTimestamptz(oid, context).load

    def load(self, data: Buffer) -> datetime:
        """The point in time ``data`` writes out."""
        try:
            moment: datetime = self._load(data)
        except psycopg.DataError:
            text = bytes(data)
            return EARLIEST if text.startswith(b"-") or text.endswith(b"BC") else LATEST
        return moment


class _Adapters:
    """The adapters every connection here starts with."""

    connection = None

    def __init__(self) -> None:
        self.adapters = AdaptersMap(defaults)
        self.adapters.register_loader("json", JsonLoader)
        self.adapters.register_loader("jsonb", JsonLoader)
        self.adapters.register_loader("timestamptz", TimestamptzLoader)


ADAPTERS = _Adapters()
