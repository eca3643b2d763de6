"""What is said in the room stands beside who says it, and covers nobody."""

from hypothesis import given
from hypothesis import strategies as st

from reactor.model.seating import Seat
from reactor.web.page.drawing import ROOM_HEIGHT, ROOM_WIDTH, Bubble, bubbles, room
from tests.model.test_seating import PAIRS, PEOPLE, affinities

SEEDED = dict(
    zip(
        PAIRS,
        (0.65, 0.55, 0.80, 0.60, 0.30, 0.40, 0.80, 0.45, 0.35, 0.50, 0.60, 0.70, 0.55, 0.30, 0.65),
        strict=True,
    )
)
LONG = "x" * 96


def covers(bubble: Bubble, seat: Seat) -> bool:
    """The bubble is over the face, or over the words below it."""
    beside = bubble.x + bubble.width <= seat.x - 40 or bubble.x >= seat.x + 40
    return not (beside or bubble.y + bubble.height <= seat.y - 40 or bubble.y >= seat.y + 76)


def overlap(one: Bubble, other: Bubble) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


def test_nobody_of_the_seeded_team_is_covered_whoever_speaks() -> None:
    places = room(PEOPLE, SEEDED)
    for one in PEOPLE:
        for other in PEOPLE:
            found = bubbles(places, {one: LONG, other: LONG})
            assert one in found
            for bubble in found.values():
                assert not [who for who, seat in places.items() if covers(bubble, seat)], (one, other)


@given(affinities, st.permutations(PEOPLE), st.integers(1, 96))
def test_bubbles_stay_in_the_room_and_only_the_newest_may_cover_anything(
    liking: dict[tuple[str, str], float], speakers: list[str], length: int
) -> None:
    places = room(PEOPLE, liking)
    found = bubbles(places, dict.fromkeys(speakers[:3], "x" * length))
    newest, *older = [found[who] for who in speakers[:3] if who in found]
    assert newest is found[speakers[0]]
    for bubble in (newest, *older):
        assert bubble.x >= 0
        assert bubble.x + bubble.width <= ROOM_WIDTH
        assert bubble.y >= 0
        assert bubble.y + bubble.height <= ROOM_HEIGHT
    for bubble in older:
        assert not [who for who, seat in places.items() if covers(bubble, seat)]
        assert not overlap(bubble, newest)


def test_who_sits_alone_speaks_above_the_head() -> None:
    assert bubbles({"sage": Seat(400, 300)}, {"sage": LONG})["sage"].side == "above"
    assert bubbles({}, {}) == {}
