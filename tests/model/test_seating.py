from itertools import combinations
from math import hypot

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.model.seating import FARTHEST, NEAREST, Seat, seats, spread, wanted_distance

PEOPLE = ("minion", "observer", "quill", "sage", "scout", "xalt")
PAIRS = list(combinations(PEOPLE, 2))
affinities = st.fixed_dictionaries({pair: st.floats(0.10, 0.95) for pair in PAIRS})


def apart(one: Seat, other: Seat) -> float:
    return hypot(one.x - other.x, one.y - other.y)


def test_who_likes_each_other_sits_close() -> None:
    liking = dict.fromkeys(PAIRS, 0.4) | {("minion", "sage"): 0.95, ("sage", "xalt"): 0.10}
    found = seats(PEOPLE, liking)
    distances = {pair: apart(found[pair[0]], found[pair[1]]) for pair in PAIRS}
    assert min(distances, key=distances.__getitem__) == ("minion", "sage")
    assert distances["sage", "xalt"] > 2 * distances["minion", "sage"]


def test_distance_falls_as_affinity_grows() -> None:
    assert wanted_distance(0.95) == pytest.approx(NEAREST)
    assert wanted_distance(0.10) == pytest.approx(FARTHEST)
    assert wanted_distance(0.7) < wanted_distance(0.3)


@given(affinities)
def test_everybody_has_a_seat_in_the_room_and_the_same_one_again(
    liking: dict[tuple[str, str], float],
) -> None:
    found = seats(PEOPLE, liking)
    assert found == seats(PEOPLE, liking)
    assert set(found) == set(PEOPLE)
    for seat in found.values():
        assert 0 <= seat.x <= 1
        assert 0 <= seat.y <= 1


@given(affinities)
def test_no_two_sit_on_each_other(liking: dict[tuple[str, str], float]) -> None:
    placed = spread(seats(PEOPLE, liking), width=900, height=600, apart_x=150, apart_y=120)
    for one, other in PAIRS:
        assert abs(placed[one].x - placed[other].x) > 40 or abs(placed[one].y - placed[other].y) > 40
        assert 0 <= placed[one].x <= 900
        assert 0 <= placed[one].y <= 600


@pytest.mark.parametrize("people", [(), ("sage",)])
def test_nobody_and_a_single_one_need_no_rule(people: tuple[str, ...]) -> None:
    assert list(seats(people, {})) == list(people)
