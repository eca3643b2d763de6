"""Words on the command line that mean more than text."""

import json
import re
import sys
from typing import Any, NoReturn, cast, get_args

import click

from reactor.errors import UsageError
from reactor.model.queues import Queue, Thing, What

LARGEST_INPUT = 2 * 1024 * 1024  # characters; a payload over 1 MiB is refused by the database anyway
_EXAMPLES = {"object": '{"topic": "weekend engagement"}', "array": '[{"kind": "research", "payload": {}}]'}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST_S = 365 * 86400.0


class Identifier(click.IntRange):
    """The number of a row."""

    name = "id: a whole number"


IDENTIFIER = Identifier(1, 2**63 - 1)
PRIORITY = click.IntRange(1, 10)


def json_text(text: str, what: str, wanted: str | None = None) -> str:
    """``text`` (or stdin for ``-``) when it is JSON, and an ``object`` or ``array`` when one is wanted.

    Raises: UsageError: one line that says what is wrong and how it should look.
    """
    if text == "-":
        text = sys.stdin.read(LARGEST_INPUT + 1)
    if len(text) > LARGEST_INPUT:
        raise UsageError(f"{what} is longer than {LARGEST_INPUT} characters")
    example = f", such as {_EXAMPLES[wanted]}" if wanted else ""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        problem = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UsageError(f"no JSON in {what} ({problem}){example}") from None
    if wanted and _kind(value) != wanted:
        raise UsageError(f"{what} must be a JSON {wanted}, not {_article(_kind(value))}{example}")
    return text


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    kinds = {dict: "object", list: "array", str: "string", int: "number", float: "number"}
    return kinds[type(value)]


def _article(kind: str) -> str:
    return kind if kind == "null" else f"an {kind}" if kind[0] in "ao" else f"a {kind}"


class Span(click.ParamType[float]):
    """A length of time: ``90``, ``90s``, ``5min``, ``2h``, ``1d``; its value is in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds."""
        if isinstance(value, int | float):
            return float(value)
        found = _SPAN.fullmatch(value.strip())
        seconds = float(found[1]) * _SECONDS[found[2] or "s"] if found else -1.0
        if not 0 <= seconds <= _LONGEST_S:
            self.fail(f"{value!r} is no time such as 90s, 5min, 2h or 1d (at most a year)", param, ctx)
        return seconds


class WhatType(click.Choice[str]):
    """step, mission, roundtable (or conversation), initiative."""

    def __init__(self) -> None:
        super().__init__(get_args(What))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> What:
        """The word the database uses."""
        word = "roundtable" if value == "conversation" else value
        return cast("What", super().convert(word, param, ctx))


class ThingType(click.Choice[str]):
    """As WhatType, and proposal."""

    def __init__(self) -> None:
        super().__init__(get_args(Thing))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Thing:
        """The word the database uses."""
        word = "roundtable" if value == "conversation" else value
        return cast("Thing", super().convert(word, param, ctx))


def queue_of(what: What) -> Queue:
    """The queue a thing goes through; a mission goes through that of its steps."""
    return Queue.of_what(what) or Queue.MISSION


def refuse_unknown(what: str, name: str, known: list[str]) -> None:
    """Return when ``name`` is known. Raises UsageError: it is not; the message names the known ones."""
    if name not in known:
        listed = ", ".join(known) if known else "none yet: start a reactor once with `voxyz-reactor run`"
        raise UsageError(f"there is no {what} {name!r}; known are {listed}")
