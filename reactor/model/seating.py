"""Where the agents sit, so that those who like each other sit close: stress majorisation (Gansner, Koren, North 2004).

Everybody begins on a circle in the order given, so the same affinities always make the same picture, and a small drift
moves a seat a little. Each round puts a seat where the others would have it on average; no round makes the picture worse.
"""

from collections.abc import Mapping, Sequence
from math import atan2, cos, hypot, pi, sin
from typing import NamedTuple

NEAREST = 0.35  # of a pair that could not like each other more; nobody sits on anybody's lap
FARTHEST = 1.35
UNKNOWN = 0.5  # the affinity of two who have never met
ROUNDS = 120
MOST_STRETCH = 2.0


class Seat(NamedTuple):
    """A place in a unit square, (0, 0) top left."""

    x: float
    y: float


def wanted_distance(affinity: float) -> float:
    """From `NEAREST` at .95 to `FARTHEST` at .10, on a straight line."""
    share = (0.95 - min(max(affinity, 0.10), 0.95)) / 0.85
    return NEAREST + share * (FARTHEST - NEAREST)


def seats(people: Sequence[str], affinities: Mapping[tuple[str, str], float]) -> dict[str, Seat]:
    """A seat for each of ``people``; ``affinities`` by pair, smaller name first."""
    count = len(people)
    if count < 2:
        return dict.fromkeys(people, Seat(0.5, 0.5))
    places = [(cos(2 * pi * i / count), sin(2 * pi * i / count)) for i in range(count)]
    wanted = [
        [wanted_distance(affinities.get((min(a, b), max(a, b)), UNKNOWN)) for b in people] for a in people
    ]
    for _ in range(ROUNDS):
        places = [_moved(i, places, wanted[i]) for i in range(count)]
    return dict(zip(people, _fitted(places), strict=True))


def _moved(i: int, places: Sequence[tuple[float, float]], wanted: Sequence[float]) -> tuple[float, float]:
    """Where the others would have seat ``i``, each weighing by the inverse square of the distance wanted."""
    x, y = places[i]
    total = sum_x = sum_y = 0.0
    for j, (other_x, other_y) in enumerate(places):
        if j == i:
            continue
        weight = wanted[j] ** -2
        apart = max(hypot(x - other_x, y - other_y), 1e-6)
        stretch = wanted[j] / apart
        sum_x += weight * (other_x + (x - other_x) * stretch)
        sum_y += weight * (other_y + (y - other_y) * stretch)
        total += weight
    return sum_x / total, sum_y / total


def _fitted(places: Sequence[tuple[float, float]]) -> list[Seat]:
    """The picture turned so that it is wider than high, for rooms are, and in the middle of the unit square."""
    count = len(places)
    middle_x, middle_y = sum(x for x, _ in places) / count, sum(y for _, y in places) / count
    centred = [(x - middle_x, y - middle_y) for x, y in places]
    across = sum(x * x - y * y for x, y in centred)
    angle = -atan2(2 * sum(x * y for x, y in centred), across) / 2
    turned = [(x * cos(angle) - y * sin(angle), x * sin(angle) + y * cos(angle)) for x, y in centred]
    columns, rows = [x for x, _ in turned], [y for _, y in turned]
    width, height = max(columns) - min(columns) or 1.0, max(rows) - min(rows) or 1.0
    # Stretched to fill the square, but no more than distances can bear.
    height = max(height, width / MOST_STRETCH)
    return [
        Seat(
            (x - (max(columns) + min(columns)) / 2) / width + 0.5,
            (y - (max(rows) + min(rows)) / 2) / height + 0.5,
        )
        for x, y in turned
    ]


def spread(
    places: Mapping[str, Seat], *, width: float, height: float, apart_x: float, apart_y: float
) -> dict[str, Seat]:
    """The seats in a room of that size, no two of them closer than ``apart_x`` beside or ``apart_y`` above each other.

    Seats that are in each other's way part along the axis on which less is missing; where the room is too small they
    stay as far apart as it lets them.
    """
    moved = {who: [seat.x * width, seat.y * height] for who, seat in places.items()}
    people = list(moved)
    for _ in range(ROUNDS):
        for i, one in enumerate(people):
            for other in people[i + 1 :]:
                _part(moved[one], moved[other], apart_x, apart_y)
        for place in moved.values():
            place[0] = min(max(place[0], 0.0), width)
            place[1] = min(max(place[1], 0.0), height)
    return {who: Seat(round(x, 1), round(y, 1)) for who, (x, y) in moved.items()}


def _part(one: list[float], other: list[float], apart_x: float, apart_y: float) -> None:
    missing_x = apart_x - abs(one[0] - other[0])
    missing_y = apart_y - abs(one[1] - other[1])
    if missing_x <= 0 or missing_y <= 0:
        return
    axis, missing = (0, missing_x) if missing_x / apart_x < missing_y / apart_y else (1, missing_y)
    step = missing / 2 if one[axis] >= other[axis] else -missing / 2
    one[axis] += step
    other[axis] -= step
