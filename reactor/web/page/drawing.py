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
