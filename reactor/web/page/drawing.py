"""Numbers for pictures: where things go in an SVG. Templates draw; nothing here knows of HTML."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import cos, pi, sin
from typing import Final, NamedTuple

from reactor.model.affinity import label
from reactor.model.seating import Seat, seats, spread

ROOM_WIDTH: Final = 880
ROOM_HEIGHT: Final = 600
_MARGIN_X: Final = 118
_MARGIN_TOP: Final = 134  # a bubble has room above its seat
_FACE: Final = 46  # half of a face with its halo
_WORDS_X: Final = 92  # half of a name, or of what somebody is at
_WORDS_Y: Final = 80  # where the words below a face end
_BUBBLE: Final = 240
_BUBBLE_LINE: Final = 18.6
_BUBBLE_CHARACTERS: Final = 29  # on a line
_SIDEWAYS: Final = (0, -40, 40, -80, 80, -110, 110)
_DOWN: Final = (30, 15, 0, -15, -30, 45, 60)
_MARGIN_BOTTOM: Final = 78
_APART_X: Final = 146
_APART_Y: Final = 164


class Line(NamedTuple):
    """A line between two seats, for a pair."""

    one: str
    other: str
    x1: float
    y1: float
    x2: float
    y2: float
    affinity: float
    label: str


class Bubble(NamedTuple):
    """What somebody says, at its place; ``side`` is where it stands to who says it: above, below, left or right."""

    x: float
    y: float
    width: float
    height: float
    side: str


class Bar(NamedTuple):
    """A part of a column: from ``y`` down by ``height``."""

    x: float
    y: float
    width: float
    height: float
    series: str
    value: float


def room(people: Sequence[str], affinities: Mapping[tuple[str, str], float]) -> dict[str, Seat]:
    """Where everybody sits in the room: close to whom they like, and with room for a bubble above."""
    width, height = ROOM_WIDTH - 2 * _MARGIN_X, ROOM_HEIGHT - _MARGIN_TOP - _MARGIN_BOTTOM
    placed = spread(seats(people, affinities), width=width, height=height, apart_x=_APART_X, apart_y=_APART_Y)
    return {who: Seat(seat.x + _MARGIN_X, seat.y + _MARGIN_TOP) for who, seat in placed.items()}


def bubbles(places: Mapping[str, Seat], said: Mapping[str, str]) -> dict[str, Bubble]:
    """A bubble for each of who ``said`` something, the newest first, where it covers no face, no words and no other bubble.

    Above is best, then a little aside, beside, below. For the newest in a room too full for that where it covers least; an
    older one is left out then.
    """
    taken = [box for seat in places.values() for box in _boxes(seat)]
    found: dict[str, Bubble] = {}
    for who, text in said.items():
        lines = max(1, -(-len(text) // _BUBBLE_CHARACTERS))
        choices = _bubble_places(places[who], round(lines * _BUBBLE_LINE + 13, 1))
        covered, _, chosen = min(
            (sum(_shared(one, other) for other in taken), place, one) for place, one in enumerate(choices)
        )
        if not found or not covered:
            found[who] = chosen
            taken.append(chosen)
    return found


def _boxes(seat: Seat) -> list[Bubble]:
    """What is drawn at a seat: the face, and the words below it."""
    x, y = seat
    return [
        Bubble(x - _FACE, y - _FACE, 2 * _FACE, 2 * _FACE, ""),
        Bubble(x - _WORDS_X, y + _FACE - 8, 2 * _WORDS_X, _WORDS_Y - _FACE + 8, ""),
    ]


def _bubble_places(seat: Seat, height: float) -> list[Bubble]:
    """Where a bubble of that height may stand, the best first."""
    x, y = seat
    wanted = [
        *((x - _BUBBLE / 2 + aside, y - _FACE - height, "above") for aside in _SIDEWAYS),
        *((x + _FACE, y - height + down, "right") for down in _DOWN),
        *((x - _FACE - _BUBBLE, y - height + down, "left") for down in _DOWN),
        *((x + _WORDS_X, y - height / 2 + down, "right") for down in _DOWN),
        *((x - _WORDS_X - _BUBBLE, y - height / 2 + down, "left") for down in _DOWN),
        *((x - _BUBBLE / 2 + aside, y + _WORDS_Y, "below") for aside in _SIDEWAYS),
    ]
    return [
        Bubble(
            round(min(max(left, 4), ROOM_WIDTH - _BUBBLE - 4), 1),
            round(min(max(top, 2), ROOM_HEIGHT - height - 2), 1),
            _BUBBLE, height, side,
        )
        for left, top, side in wanted
    ]  # fmt: skip


def _shared(one: Bubble, other: Bubble) -> float:
    """The area that two boxes have in common."""
    wide = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    high = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return max(wide, 0.0) * max(high, 0.0)


def circle(people: Sequence[str], radius: float, centre: float) -> dict[str, Seat]:
    """Everybody on a circle, beginning at the top."""
    count = max(len(people), 1)
    return {
        who: Seat(
            round(centre + radius * sin(2 * pi * i / count), 1),
            round(centre - radius * cos(2 * pi * i / count), 1),
        )
        for i, who in enumerate(people)
    }


def lines(places: Mapping[str, Seat], affinities: Mapping[tuple[str, str], float]) -> list[Line]:
    """A line for every pair that has a seat each, the coolest first, so that warm ones lie on top."""
    found = [
        Line(one, other, *places[one], *places[other], affinity, label(Decimal(str(affinity))))
        for (one, other), affinity in affinities.items()
        if one in places and other in places
    ]
    return sorted(found, key=lambda line: line.affinity)


def curve(values: Sequence[float], width: float, height: float, low: float, high: float) -> str:
    """The points of a polyline through ``values`` from left to right; a single value is a level line."""
    if not values:
        return ""
    shown = [values[0], values[0]] if len(values) == 1 else list(values)
    reach = (high - low) or 1.0
    step = width / (len(shown) - 1)
    return " ".join(
        f"{i * step:.1f},{height - (min(max(value, low), high) - low) / reach * height:.1f}"
        for i, value in enumerate(shown)
    )


def columns(
    stacks: Sequence[Sequence[tuple[str, float]]], width: float, height: float, highest: float
) -> list[Bar]:
    """Stacked columns side by side, each a list of (series, value) from the bottom up; zero values are left out."""
    if not stacks or highest <= 0:
        return []
    slot = width / len(stacks)
    bars = []
    for place, stack in enumerate(stacks):
        top = height
        for series, value in stack:
            if value <= 0:
                continue
            tall = value / highest * height
            top -= tall
            bars.append(
                Bar(round(place * slot + slot * 0.14, 1), round(top, 2), round(slot * 0.72, 1), round(tall, 2),
                    series, value)
            )  # fmt: skip
    return bars
