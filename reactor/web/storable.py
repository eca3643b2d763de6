"""JSON as people send it: that the database can hold it."""

import json
import math
import re
from typing import Any

from reactor.errors import UsageError

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def json_of(text: str, called: str, wanted: str = "JSON") -> Any:
    """The value of ``text``. Raises: UsageError: it is no JSON, or ``called`` holds at a named place what cannot be kept."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = f": {error}" if wanted == "JSON" else f": {text[:60]!r}"
        raise UsageError(f"{called} is no {wanted}{reason}") from None
    found = unstorable(value)
    if found is not None:
        place, why = found
        raise UsageError(f"{'.'.join((called, *place)) if place else called} {why}")
    return value


def unstorable(value: Any) -> tuple[tuple[str, ...], str] | None:
    """The place of the first thing in ``value`` that jsonb cannot hold though Python reads it, and why."""
    open_values: list[tuple[tuple[str, ...], Any]] = [((), value)]
    while open_values:
        place, held = open_values.pop()
        if isinstance(held, float) and not math.isfinite(held):
            return place, "is a number without an end, which cannot be kept"
        if isinstance(held, str) and _UNSTORABLE.search(held):
            return place, "has a null character or half a character in it, which cannot be kept"
        if isinstance(held, dict):
            if any(_UNSTORABLE.search(name) for name in held):
                return (
                    place,
                    "has a name with a null character or half a character in it, which cannot be kept",
                )
            open_values.extend(((*place, name), inner) for name, inner in reversed(held.items()))
        elif isinstance(held, list):
            open_values.extend(((*place, str(i)), inner) for i, inner in reversed(list(enumerate(held))))
    return None
