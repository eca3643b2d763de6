"""How answers look: aligned for a person, plain in a pipe, JSON for a program."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import click

from reactor.model.wording import size, span, when
from reactor.store.fleet import Wakes

__all__ = [
    "Cell",
    "answer_json",
    "clean",
    "clean_block",
    "document",
    "facts",
    "heading",
    "json_option",
    "line_json",
    "say",
    "size",
    "span",
    "state",
    "table",
    "wake_words",
    "when",
]

json_option = click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")

_STYLES = {
    "succeeded": "green",
    "running": "cyan",
    "failed": "red",
    "dead": "red",
    "cancelled": "yellow",
    "open": "red",
    "half_open": "yellow",
    "closed": "green",
    "ready": "green",
    "paused": "yellow",
    "broken": "red",
    "warning": "yellow",
    "ok": "green",
}


class Cell(NamedTuple):
    """A value with the style of its meaning."""

    text: str
    style: str = ""


def state(word: str) -> Cell:
    """A status in its colour."""
    return Cell(word, _STYLES.get(word, ""))


def clean(value: object) -> str:
    """``value`` on one line, without control characters.

    What is in the database cannot steer the terminal.
    """
    text = value.text if isinstance(value, Cell) else "" if value is None else str(value)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def clean_block(text: str) -> str:
    """``text`` with its line breaks and without other control characters."""
    return "\n".join("".join(c if c.isprintable() else " " for c in line) for line in text.splitlines())


def say(line: object = "") -> None:
    """One line of an answer."""
    sys.stdout.write(f"{clean(line)}\n")


def heading(text: str) -> None:
    """The title of what follows."""
    click.secho(clean(text), bold=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """The rows under their columns: a drawn table on a terminal, words aligned by blanks elsewhere.

    ``right`` names the columns of numbers. Nothing is cut in a pipe; a terminal wraps the last column.
    """
    if sys.stdout.isatty():
        _drawn(columns, rows, right)
        return
    texts = [[clean(cell) for cell in row] for row in rows]
    lines = [list(columns), *texts]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        padded = [
            text.rjust(width) if name in right else text.ljust(width)
            for name, text, width in zip(columns, line, widths, strict=True)
        ]
        sys.stdout.write("  ".join(padded).rstrip() + "\n")


def _drawn(columns: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for place, name in enumerate(columns):
        last = place == len(columns) - 1
        drawn.add_column(
            name,
            justify="right" if name in right else "left",
            no_wrap=not last,
            overflow="fold",
            min_width=len(name),
        )
    for row in rows:
        drawn.add_row(
            *(Text(clean(cell), style=cell.style if isinstance(cell, Cell) else "") for cell in row)
        )
    Console(file=sys.stdout, highlight=False).print(drawn)


def facts(pairs: Sequence[tuple[str, object]]) -> None:
    """Names and values below each other; those without a value are left out."""
    shown = [(name, value) for name, value in pairs if clean(value)]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        style = value.style if isinstance(value, Cell) else ""
        click.echo(f"{name.ljust(width)}  {click.style(clean(value), fg=style or None)}")


def answer_json(value: object) -> None:
    """``value`` as one JSON document."""
    sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False, indent=2) + "\n")


def wake_words(wakes: Wakes | None) -> str:
    """Within how long half of the wakes were, and 99 in 100; nothing for a queue that was never woken."""
    if wakes is None:
        return ""
    half, almost_all = ("more" if part is None else span(part) for part in wakes[1:])
    return f"{half} / {almost_all}"


def line_json(value: object) -> None:
    """``value`` as JSON on one line, sent at once."""
    sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def document(value: object) -> str:
    """A value from the database for a person: JSON over several lines, non-ASCII as it is."""
    return clean_block(json.dumps(value, default=_plain, ensure_ascii=False, indent=2))


def _plain(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "_asdict"):
        return value._asdict()
    raise TypeError(f"{type(value).__name__} has no JSON form")
