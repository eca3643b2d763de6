"""The pure rules about memories."""

from decimal import Decimal

import pytest

from reactor.model.memory import (
    TYPES,
    alike,
    lesson_of_figure,
    promoted_confidence,
    promoted_type,
    words_of,
)


def test_the_types_are_the_five() -> None:
    assert set(TYPES) == {"insight", "pattern", "strategy", "preference", "lesson"}


def test_words_know_no_case_and_no_punctuation() -> None:
    assert words_of("Short posts, SHORT posts (work)!") == {"short", "posts", "work"}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a b c d e", "a b c d e", True),
        ("a b c d", "a b c d e", True),
        ("a b c d e", "a b c d x", False),
        ("it works on mondays always here", "it never works on mondays always here", False),
        ("we saw 30 of them in one long week", "we saw 31 of them in one long week", False),
        ("", "", True),
    ],
)
def test_four_fifths_of_the_words_and_every_figure_and_not_make_the_same(
    one: str, other: str, same: bool
) -> None:
    assert alike(words_of(one), words_of(other)) is same
    assert alike(words_of(other), words_of(one)) is same


def test_an_insight_is_promoted_to_what_confirms_it_calls_for() -> None:
    assert promoted_type("lesson") == "lesson"
    assert promoted_type("insight") == promoted_type("preference") == "strategy"
    assert promoted_confidence(Decimal("0.8")) == Decimal("0.85")
    assert promoted_confidence(Decimal("0.93")) == Decimal("0.95")


@pytest.mark.parametrize(
    ("value", "known", "confidence"),
    [
        (100.0, [10.0, 100.0], None),
        (21.0, [10.0, 10.0, 21.0], 0.7),
        (20.0, [10.0, 10.0, 20.0], None),
        (3.0, [10.0, 10.0, 3.0], None),
        (2.9, [10.0, 10.0, 2.9], 0.6),
        (5.0, [0.0, 0.0, 5.0], None),
    ],
)
def test_three_figures_and_their_median_decide_what_one_teaches(
    value: float, known: list[float], confidence: float | None
) -> None:
    assert lesson_of_figure(value, known) == confidence
