from collections import Counter
from decimal import Decimal
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.model import casts, speakers
from reactor.model.casts import Candidate, CastRefused, choose_topic
from reactor.model.formats import ASK, Format
from reactor.model.speakers import next_speaker, weight
from reactor.model.talk import cut_at_word, is_spent, repeats, tidy
from reactor.model.tone import tone
from reactor.model.voice import Remembered, modifiers

TEAM = ("minion", "sage", "scout", "quill")


def even(one: str, other: str) -> float:
    return 0.5


def format_named(name: str = "standup", least: int = 2, most: int = 4) -> Format:
    return Format(name, least, most, 4, 8, 0.6, False, "Do.", "End.", ("a", "b"))


# -- speakers


@given(st.integers(), st.integers(2, 6), st.integers(1, 40))
def test_nobody_speaks_twice_running(seed: int, people: int, turns: int) -> None:
    dice, spoken = Random(seed), list[str]()
    names = [f"a{number}" for number in range(people)]
    for _ in range(turns):
        spoken.append(next_speaker(names, spoken, even, dice))
    assert all(one != other for one, other in pairwise(spoken))


def test_the_opener_begins_when_it_is_there_and_only_begins() -> None:
    assert next_speaker(TEAM, [], even, Random(1), opener="minion") == "minion"
    assert next_speaker(TEAM[1:], [], even, Random(1), opener="minion") != "minion"
    assert next_speaker(TEAM, ["minion"], even, Random(1), opener="minion") != "minion"


def test_whoever_likes_the_last_speaker_speaks_more_and_who_spoke_much_less() -> None:
    def liked(one: str, other: str) -> float:
        return 0.95 if "sage" in (one, other) else 0.1

    dice = Random(7)
    first = Counter(next_speaker(TEAM, ["minion"], liked, dice) for _ in range(3000))
    assert first["sage"] > 1.3 * max(first["scout"], first["quill"])
    often = ["sage", "minion"] * 5
    later = Counter(next_speaker(TEAM, often, even, dice) for _ in range(3000))
    assert later["sage"] < min(later["scout"], later["quill"])


@given(st.floats(0, 1), st.floats(0, 1), st.floats(-0.2, 0.2))
def test_a_weight_is_the_formula_and_above_0(affinity: float, share: float, whim: float) -> None:
    assert weight(affinity, share, whim) == pytest.approx(1 + 0.6 * affinity - 0.4 * share + whim)
    assert weight(affinity, share, whim) > 0


def test_the_same_dice_choose_the_same_speaker() -> None:
    assert len({next_speaker(TEAM, ["sage"], even, Random("7:3")) for _ in range(20)}) == 1
    with pytest.raises(ValueError, match="somebody else"):
        speakers.next_speaker(["sage"], ["sage"], even, Random(1))


# -- tone


@pytest.mark.parametrize(
    ("affinity", "chance", "expected"),
    [
        ("0.39", 0.19, "challenge"),
        ("0.39", 0.20, "critical"),
        ("0.40", 0.0, "neutral"),
        ("0.55", 0.9, "neutral"),
        ("0.70", 0.0, "neutral"),
        ("0.71", 0.39, "supportive"),
        ("0.71", 0.40, "agreement"),
    ],
)
def test_the_tone_follows_the_tension(affinity: str, chance: float, expected: str) -> None:
    assert tone(Decimal(affinity), chance) == expected


# -- voice


def test_a_voice_has_at_most_three_modifiers_with_their_tags() -> None:
    much = [
        Remembered(type_, 50, 0.9, "pricing")
        for type_ in ("insight", "lesson", "pattern", "strategy", "preference")
    ]
    assert len(modifiers(much)) == 3
    assert all("pricing" in sentence for sentence in modifiers(much))


@pytest.mark.parametrize(
    ("type_", "enough"), [("lesson", 11), ("pattern", 6), ("strategy", 9), ("preference", 6), ("insight", 16)]
)
def test_a_modifier_needs_more_than_so_many_memories(type_: str, enough: int) -> None:
    assert modifiers([Remembered(type_, enough - 1, 0.9, None)]) == ()
    assert len(modifiers([Remembered(type_, enough, 0.9, None)])) == 1


def test_insights_must_be_sure_as_well_as_many() -> None:
    assert modifiers([Remembered("insight", 100, 0.8, "x")]) == ()
    assert len(modifiers([Remembered("insight", 100, 0.81, "x")])) == 1


# -- casts


def test_those_who_prefer_the_format_come_first_and_who_sleeps_stays_out() -> None:
    people = [
        Candidate("a", 1.0),
        Candidate("b", 0.3, True),
        Candidate("c", 0.3, True),
        Candidate("d", 0.0, True),
    ]
    for seed in range(50):
        chosen = casts.cast(format_named(least=2, most=2), people, even, Random(seed))
        assert sorted(chosen) == ["b", "c"]


def test_the_active_are_cast_more_often() -> None:
    people = [Candidate("busy", 1.0), Candidate("idle", 0.3), Candidate("other", 0.3)]
    found = Counter(
        one
        for seed in range(600)
        for one in casts.cast(format_named(least=1, most=1), people, even, Random(seed))
    )
    assert found["busy"] > found["idle"] + found["other"] - 60


def test_debates_favour_those_who_do_not_get_on_and_give_each_a_side() -> None:
    affinities = casts.affinity_of({("a", "b"): 0.15, ("a", "c"): 0.9, ("b", "c"): 0.9})
    people = [Candidate(one, 1.0) for one in "abc"]
    debate = format_named("debate", 2, 2)
    found = Counter(frozenset(casts.cast(debate, people, affinities, Random(seed))) for seed in range(300))
    assert found[frozenset("ab")] > 250
    assert casts.sides(debate, ("b", "a")) == {"b": "for", "a": "against"}
    assert casts.sides(format_named(), ("b", "a")) == {}


def test_conflicts_take_the_tensest_pair_and_mentoring_the_one_with_most_to_teach() -> None:
    affinities = casts.affinity_of({("a", "b"): 0.2, ("a", "c"): 0.8, ("b", "c"): 0.9})
    people = [
        Candidate("a", 1.0, memories=50),
        Candidate("b", 1.0, memories=90),
        Candidate("c", 1.0, memories=10),
    ]
    assert set(casts.cast(format_named("conflict_resolution", 2, 2), people, affinities, Random(1))) == {
        "a",
        "b",
    }
    assert casts.cast(format_named("mentoring", 2, 2), people, affinities, Random(1)) == ("b", "c")


@given(st.integers(), st.integers(1, 6), st.integers(0, 3))
def test_a_cast_has_as_many_different_people_as_the_format_takes(seed: int, least: int, more: int) -> None:
    people = [Candidate(f"a{number}", 0.5) for number in range(8)]
    chosen = casts.cast(format_named(least=least, most=least + more), people, even, Random(seed))
    assert least <= len(chosen) == len(set(chosen)) <= least + more


def test_a_cast_that_cannot_be_is_refused_with_who_or_how_many() -> None:
    active, known = {"a", "b", "c"}, {"a", "b", "c", "old"}
    for who, said in (
        (["a", "ghost"], "unknown: ghost"),
        (["a", "old"], "not active: old"),
        (["a", "a"], "named twice: a"),
        (["a"], "standup takes 2 to 4 agents, not 1"),
    ):
        with pytest.raises(CastRefused, match=said):
            casts.check(format_named(), who, active, known)
    casts.check(format_named(), ["a", "b"], active, known)
    with pytest.raises(CastRefused, match="only 1 are active"):
        casts.cast(format_named(), [Candidate("a", 1.0)], even, Random(1))
    assert (ASK.least_agents, ASK.most_agents) == (1, 4)


def test_the_topic_is_the_most_pressing_one_not_used_lately() -> None:
    sources: tuple[list[str], ...] = (["failed"], ["insight"], [], ["one", "two"])
    assert choose_topic(sources, [], Random(1)) == "failed"
    assert choose_topic(sources, ["Failed."], Random(1)) == "insight"
    assert choose_topic(sources, ["failed", "insight", "one?"], Random(1)) == "two"
    assert choose_topic(sources, ["failed", "insight", "one", "two"], Random(1)) in ("one", "two")
    assert choose_topic(([],), [], Random(1)) is None


# -- lines


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Sage: it depends.", "it depends."),
        ("sage: “It depends.”", "It depends."),
        ("see https://evil.example/x?y=1 and www.evil.example now", "see and now"),
        ("**Bold** `code`\n\nnext", "Bold code next"),
        ("-", ""),
        ("…", ""),
        ("(silence)", ""),
        ("", ""),
        ("https://only.example", ""),
        ("Nothing beats a list.", "Nothing beats a list."),
    ],
)
def test_a_line_is_made_fit_for_the_record(text: str, line: str) -> None:
    assert tidy(text, 120, ("Sage", "sage")) == line


@given(st.text(max_size=400), st.integers(40, 120))
def test_a_line_is_short_and_one_line(text: str, limit: int) -> None:
    line = tidy(text, limit)
    assert len(line) <= limit
    assert "\n" not in line


def test_a_line_is_cut_at_a_word() -> None:
    assert cut_at_word("one two three", 9) == "one two…"
    assert cut_at_word("one two three", 8) == "one two…"
    assert cut_at_word("one two", 7) == "one two"


def test_saying_the_same_again_is_noticed_and_a_figure_makes_a_difference() -> None:
    said = ["We should ship the small version on Friday morning."]
    assert repeats("we should ship the small version on friday morning", said)
    assert repeats("So we should ship the small version on Friday morning!", said)
    assert not repeats("We should hold the small version until Monday.", said)
    assert not repeats("Point 4 on this whole matter", ["Point 3 on this whole matter"])
    assert repeats("Yes.", ["yes!"])
    assert not repeats("Yes, good.", ["Yes, fine."])


def test_a_conversation_is_spent_when_it_repeats_itself_or_falls_silent() -> None:
    assert not is_spent(["a b c", "d e f", "a b c"], 3)
    assert is_spent(["a b c", "d e f", "a b c", "d e f"], 3)
    assert not is_spent(["a b c", "", ""], 3)
    assert is_spent(["a b c", "", "", ""], 3)
    assert not is_spent([], 2)
