from decimal import Decimal

import pytest

from reactor.model.affinity import RefusedDrift, Relationship, apply, drifted, label, pair


@pytest.mark.parametrize(
    ("affinity", "drift", "applied", "moved"),
    [
        (".5", ".01", ".010", ".510"),
        (".5", "-.01", "-.010", ".490"),
        (".5", "7", ".030", ".530"),
        (".5", "-1e9", "-.030", ".470"),
        (".5", ".0005", ".001", ".501"),
        (".5", "-.0005", "-.001", ".499"),
        (".5", ".00049", "0", ".500"),
        (".94", ".03", ".010", ".950"),
        (".95", ".03", "0", ".950"),
        (".11", "-.03", "-.010", ".100"),
        (".1", "-.03", "0", ".100"),
    ],
)
def test_a_drift_is_clamped_rounded_added_and_the_sum_clamped(
    affinity: str, drift: str, applied: str, moved: str
) -> None:
    assert apply(Decimal(affinity), Decimal(drift)) == (Decimal(applied), Decimal(moved))


@pytest.mark.parametrize("drift", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_a_drift_that_is_no_finite_number_is_refused(drift: str) -> None:
    with pytest.raises(RefusedDrift, match="finite"):
        apply(Decimal("0.5"), Decimal(drift))


def test_a_pair_is_the_same_whoever_is_named_first() -> None:
    assert pair("sage", "minion") == pair("minion", "sage") == ("minion", "sage")
    assert pair("a_b", "a-b") == ("a-b", "a_b")
    with pytest.raises(RefusedDrift, match="different"):
        pair("sage", "sage")


def test_an_interaction_that_moves_nothing_still_counts_and_is_logged() -> None:
    told = drifted(Relationship(), Decimal("0.0001"), "nodded")
    assert (told.affinity, told.total, told.positive, told.negative) == (Decimal("0.500"), 1, 1, 0)
    assert told.log[0].asked == Decimal("0.0001")
    assert told.log[0].applied == 0


def test_a_source_counts_once_and_a_blank_reason_never() -> None:
    once = drifted(Relationship(), Decimal("0.02"), "agreed", "roundtable:1")
    assert drifted(once, Decimal("0.02"), "agreed", "roundtable:1") is once
    assert drifted(once, Decimal("0.02"), "agreed", "roundtable:2").total == 2
    with pytest.raises(RefusedDrift, match="reason"):
        drifted(once, Decimal("0.02"), " \n")


def test_the_log_keeps_the_last_twenty() -> None:
    told = Relationship()
    for number in range(25):
        told = drifted(told, Decimal("0.001"), f"meeting {number}")
    assert [line.reason for line in told.log] == [f"meeting {number}" for number in range(5, 25)]
    assert told.log[0].before + sum(line.applied for line in told.log) == told.affinity


@pytest.mark.parametrize(
    ("affinity", "word"),
    [
        (".95", "strong"),
        (".8", "strong"),
        (".799", "friendly"),
        (".6", "friendly"),
        (".599", "neutral"),
        (".4", "neutral"),
        (".399", "tense"),
        (".1", "tense"),
    ],
)
def test_labels(affinity: str, word: str) -> None:
    assert label(Decimal(affinity)) == word
