"""State machines as pictures, drawn from their tables: states in a row, moves forward as arcs above it, back below.

Nothing is placed by hand: where a state stands follows from its place in the table, how high an arc goes from how far
it reaches, so that no two labels meet. A picture is an SVG file of its own and loads nothing.
"""

from collections.abc import Iterator, Mapping
from html import escape
from typing import TypeVar

from reactor.model import breaker, queues

APART = 150  # from one state to the next, in pixels
WIDE, HIGH = 104, 34  # a state's box
RISE = 58  # what an arc gains in height for each state it reaches farther
MARGIN = 40

S = TypeVar("S", bound=str)
M = TypeVar("M", bound=str)


def files() -> dict[str, str]:
    """Every picture."""
    return {
        "docs/charts/row.svg": chart("The life of a row", queues.TRANSITIONS),
        "docs/charts/breaker.svg": chart("A circuit breaker", breaker.TRANSITIONS),
    }


def chart(title: str, table: Mapping[S, Mapping[M, S]]) -> str:
    """The picture of a state machine; a state without moves has a double frame."""
    places = {str(state): number for number, state in enumerate(table)}
    arcs = {
        (places[str(state)], places[str(end)]): " / ".join(
            str(move) for move, other in moves.items() if other == end
        )
        for state, moves in table.items()
        for end in moves.values()
    }
    above = max((end - start for start, end in arcs), default=0)
    below = max((start - end for start, end in arcs), default=0)
    width = 2 * MARGIN + APART * (len(places) - 1) + WIDE
    line = MARGIN + RISE * above
    height = line + HIGH + RISE * below + MARGIN
    said = "; ".join(
        f"{state}: " + (", ".join(f"{move} to {end}" for move, end in moves.items()) or "final")
        for state, moves in table.items()
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            ' role="img" font-family="system-ui, sans-serif" font-size="14">',
            f"<title>{escape(title)}</title>",
            f"<desc>{escape(said)}</desc>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
            '<path d="M0 0 L8 4 L0 8 z" fill="#475569"/></marker></defs>',
            f'<rect width="{width}" height="{height}" rx="8" fill="#f8fafc"/>',
            *(piece for (start, end), label in arcs.items() for piece in _arc(start, end, label, line)),
            *(
                piece
                for number, (state, moves) in enumerate(table.items())
                for piece in _box(state, number, line, final=not moves)
            ),
            "</svg>\n",
        ]
    )


def _middle(number: int) -> float:
    return MARGIN + WIDE / 2 + APART * number


def _arc(start: int, end: int, label: str, line: int) -> Iterator[str]:
    """An arc leaves and meets a box a little aside of its middle, so that both can be told apart."""
    onward = end > start
    side = 1 if onward else -1
    left, right = _middle(start) + side * WIDE / 4, _middle(end) - side * WIDE / 4
    foot = line if onward else line + HIGH
    reach = side * RISE * abs(end - start)
    turn = foot - reach * 4 / 3 + side * 22
    top = foot + (turn - foot) * 3 / 4
    yield (
        f'<path d="M{left:g} {foot} C{left:g} {turn:g} {right:g} {turn:g} {right:g} {foot}" fill="none" stroke="#94a3b8"'
        ' stroke-width="1.5" marker-end="url(#tip)"/>'
    )
    yield (
        f'<text x="{(left + right) / 2:g}" y="{top + 4:g}" text-anchor="middle" fill="#0f172a" stroke="#f8fafc"'
        f' stroke-width="5" paint-order="stroke">{escape(label)}</text>'
    )


def _box(state: str, number: int, line: int, *, final: bool) -> Iterator[str]:
    x = _middle(number) - WIDE / 2
    yield (
        f'<rect x="{x:g}" y="{line}" width="{WIDE}" height="{HIGH}" rx="6" fill="#ffffff" stroke="#4338ca"'
        ' stroke-width="1.5"/>'
    )
    if final:
        yield (
            f'<rect x="{x + 3:g}" y="{line + 3}" width="{WIDE - 6}" height="{HIGH - 6}" rx="4" fill="none"'
            ' stroke="#4338ca"/>'
        )
    yield (
        f'<text x="{_middle(number):g}" y="{line + HIGH / 2 + 5:g}" text-anchor="middle" fill="#0f172a">'
        f"{escape(str(state))}</text>"
    )
