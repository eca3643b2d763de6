from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.model.schedule import (
    CatchUp,
    NotUnderstood,
    Slot,
    check,
    due_now,
    is_understood,
    next_after,
    occurrences,
    preview,
)

EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def slot(cron: str, zone: str = "UTC", *, since: datetime = EPOCH, enabled: bool = True, id: int = 1) -> Slot:
    return Slot(id, f"slot {id}", cron, zone, "standup", 1.0, enabled, since)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]  # integers only, the zone last


def test_a_time_of_day_is_the_slots_own_clock() -> None:
    berlin = slot("0 6 * * *", "Europe/Berlin")
    assert occurrences(berlin, utc(2026, 1, 10), utc(2026, 1, 11)) == [utc(2026, 1, 10, 5)]
    assert occurrences(berlin, utc(2026, 7, 10), utc(2026, 7, 11)) == [utc(2026, 7, 10, 4)]


def test_what_is_due_in_the_hour_that_is_left_out_is_due_right_after_it() -> None:
    # Berlin, 29 March 2026: 02:00 is followed by 03:00, which is 01:00 UTC.
    lost = slot("30 2 * * *", "Europe/Berlin")
    assert occurrences(lost, utc(2026, 3, 28, 12), utc(2026, 3, 30, 12)) == [
        utc(2026, 3, 29, 1),
        utc(2026, 3, 30, 0, 30),
    ]


def test_what_is_due_in_the_hour_that_comes_twice_is_due_once() -> None:
    # Berlin, 25 October 2026: 03:00 is followed by 02:00; 02:30 is 00:30 and again 01:30 UTC.
    twice = slot("30 2 * * *", "Europe/Berlin")
    assert occurrences(twice, utc(2026, 10, 24, 12), utc(2026, 10, 25, 12)) == [utc(2026, 10, 25, 0, 30)]
    # Also for who looks between the two.
    assert occurrences(twice, utc(2026, 10, 25, 0, 45), utc(2026, 10, 25, 12)) == []


def test_what_comes_every_half_hour_goes_on_through_both_hours() -> None:
    often = slot("*/30 * * * *", "Europe/Berlin")
    assert len(occurrences(often, utc(2026, 10, 25, 0), utc(2026, 10, 25, 3))) == 6
    assert len(occurrences(often, utc(2026, 3, 29, 0), utc(2026, 3, 29, 3))) == 6


def test_a_slot_counts_from_when_it_came_to_be() -> None:
    young = slot("0 * * * *", since=utc(2026, 1, 1, 12))
    assert occurrences(young, utc(2026, 1, 1), utc(2026, 1, 1, 13)) == [
        utc(2026, 1, 1, 12),
        utc(2026, 1, 1, 13),
    ]
    assert next_after(young, utc(2026, 1, 1)) == utc(2026, 1, 1, 12)


@pytest.mark.parametrize(
    ("cron", "zone", "says"),
    [
        ("99 * * * *", "UTC", "minute"),
        ("* * *", "UTC", "fields"),
        ("0 6 * * *", "Mars/Olympus", "time zone"),
        ("0 6 * * *", "../etc/passwd", "time zone"),
    ],
)
def test_what_means_nothing_is_refused_by_name(cron: str, zone: str, says: str) -> None:
    with pytest.raises(NotUnderstood, match=says):
        check(cron, zone)
    assert not is_understood(slot(cron, zone))


NOW = utc(2026, 5, 5, 9, 40)


@pytest.mark.parametrize(
    ("catch_up", "wanted"),
    [
        (CatchUp.SKIP, []),
        (CatchUp.LATEST, [(utc(2026, 5, 5, 9, 0), True), (utc(2026, 5, 5, 9, 20), False)]),
        (CatchUp.ALL, [(utc(2026, 5, 5, 9, 0), False), (utc(2026, 5, 5, 9, 20), False)]),
    ],
)
def test_what_was_missed_is_skipped_or_the_latest_or_all_of_it_is_made_up_for(
    catch_up: CatchUp, wanted: list[tuple[datetime, bool]]
) -> None:
    often = slot("0,20 * * * *")
    found = due_now(often, NOW, set(), catch_up=catch_up, within_s=3000)
    assert [(one.at, one.missed) for one in found] == wanted


def test_older_than_the_window_is_gone() -> None:
    assert due_now(slot("0 6 * * *"), NOW, set(), catch_up=CatchUp.ALL, within_s=3600) == []


def test_on_time_is_no_catching_up() -> None:
    just_now = NOW.replace(minute=20) + timedelta(seconds=2)
    [due] = due_now(slot("20 * * * *"), just_now, set(), catch_up=CatchUp.SKIP, within_s=0)
    assert (due.at, due.missed) == (NOW.replace(minute=20), False)


def test_what_was_taken_is_not_due_again_and_nothing_before_it_either() -> None:
    often = slot("*/10 * * * *")
    taken = {NOW.replace(minute=30)}
    found = due_now(often, NOW, taken, catch_up=CatchUp.LATEST, within_s=3600)
    assert [one.at for one in found] == [NOW]


def test_a_slot_that_is_off_is_never_due() -> None:
    off = slot("* * * * *", enabled=False)
    assert due_now(off, NOW, set(), catch_up=CatchUp.ALL, within_s=3600) == []
    assert preview([off], NOW, 7) == []


def test_a_preview_is_in_the_order_of_time_and_leaves_out_what_means_nothing() -> None:
    found = preview([slot("0 12 * * *"), slot("0 6 * * *", id=2), slot("99 * * * *", id=3)], NOW, 2)
    assert [(one.at.day, one.at.hour, one.slot.id) for one in found] == [
        (5, 12, 1),
        (6, 6, 2),
        (6, 12, 1),
        (7, 6, 2),
    ]


CRONS = st.sampled_from(
    [
        "0 6 * * *",
        "30 2 * * *",
        "*/7 * * * *",
        "15 */2 * * *",
        "0 0 1 * *",
        "59 23 * * 5",
        "0 2,3 * * *",
        "* 3 * * *",
    ]
)
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu"]
)
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31)).map(lambda at: at.replace(tzinfo=UTC))


@pytest.mark.properties
@given(cron=CRONS, zone=ZONES, start=MOMENTS, cut=st.integers(1, 71))
def test_looking_in_two_steps_finds_what_one_look_finds(
    cron: str, zone: str, start: datetime, cut: int
) -> None:
    one = slot(cron, zone)
    middle, end = start + cut * HOUR, start + 72 * HOUR
    whole = occurrences(one, start, end, 10_000)
    parts = occurrences(one, start, middle, 10_000) + occurrences(one, middle, end, 10_000)
    assert parts == whole
    assert whole == sorted(set(whole))


@pytest.mark.properties
@given(zone=ZONES, day=st.integers(0, 1000), hour=st.integers(0, 23), minute=st.integers(0, 59))
def test_a_daily_time_comes_once_every_day_whatever_the_clocks_do(
    zone: str, day: int, hour: int, minute: int
) -> None:
    here = ZoneInfo(zone)
    noon = datetime(2024, 1, 1, 12, tzinfo=here) + timedelta(days=day)
    found = occurrences(
        slot(f"{minute} {hour} * * *", zone), noon.astimezone(UTC), (noon + timedelta(days=1)).astimezone(UTC)
    )
    assert len(found) == 1
    assert found[0].second == 0


@pytest.mark.properties
@given(
    cron=CRONS,
    zone=ZONES,
    start=MOMENTS,
    naps=st.lists(st.integers(1, 400), min_size=1, max_size=12),
    catch_up=st.sampled_from(list(CatchUp)),
    window=st.integers(0, 7200),
)
def test_however_one_sleeps_nothing_is_due_twice_and_nothing_in_reach_is_lost(
    cron: str, zone: str, start: datetime, naps: list[int], catch_up: CatchUp, window: int
) -> None:
    one = slot(cron, zone, since=start)
    taken: dict[datetime, bool] = {}
    now = start
    for nap in naps:
        now += nap * MINUTE
        found = due_now(one, now, set(taken), catch_up=catch_up, within_s=window)
        assert not {due.at for due in found} & taken.keys()
        assert len([due for due in found if not due.missed]) <= (1 if catch_up is not CatchUp.ALL else 10_000)
        taken |= {due.at: due.missed for due in found}
        reach = timedelta(seconds=max(window, 60) if catch_up is not CatchUp.SKIP else 60)
        missing = set(occurrences(one, max(now - reach, start), now, 10_000)) - taken.keys()
        assert len(taken) > 400 or not {at for at in missing if not taken or at > max(taken)}
