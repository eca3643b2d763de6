"""Slots and their occurrences: taken once, by one roll, within the day's and the quiet hours' bounds."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

from reactor.pg.migrations import migrate
from tests.support.clock import Clock
from tests.support.memories import value
from tests.support.sessions import at_once

Session = psycopg.Connection[tuple[Any, ...]]
Taken = tuple[str, int | None]


@pytest.fixture
def slot(sql: Session) -> int:
    """A slot that is always due when it is taken, and nobody's but the test's."""
    sql.execute("delete from ops_conversation_slots")
    return int(
        value(
            sql,
            "insert into ops_conversation_slots (name, cron, format, topics, participants)"
            " values ('noon', '0 12 * * *', 'debate', '{Tea or coffee?}', '{sage,quill}') returning id",
        )
    )


def take(sql: Session, slot: int, at: datetime, roll: float = 0.0, *, missed: bool = False) -> Taken | None:
    row = sql.execute(
        "select outcome, roundtable_id from ops_take_occurrence(%s, %s, %s, %s)", (slot, at, roll, missed)
    ).fetchone()
    return None if row is None else (row[0], row[1])


def now(sql: Session) -> datetime:
    at: datetime = value(sql, "select ops_now() + interval '1 second'")
    return at


def test_the_week_is_seeded_once_and_what_was_thrown_out_stays_out(sql: Session) -> None:
    rows = sql.execute("select cron, format, probability from ops_conversation_slots order by id").fetchall()
    assert rows == [
        ("0 6 * * *", "standup", 1.0),
        ("0 9 * * *", "brainstorm", 0.6),
        ("0 11 * * *", "deep_dive", 0.4),
        ("0 12 * * *", "watercooler", 0.7),
        ("0 14 * * *", "content_review", 0.45),
        ("0 16 * * *", "checkin", 0.5),
        ("0 18 * * *", "debate", 0.5),
        ("0 20 * * *", "watercooler", 0.6),
        ("0 22 * * *", "retrospective", 0.4),
        ("0 8 * * 1", "planning", 1.0),
        ("0 15 * * 5", "shipping", 1.0),
    ]


async def test_the_seeded_week_falls_due_by_itself(empty_database: str) -> None:
    await migrate(empty_database)
    with psycopg.connect(empty_database) as sql:
        assert value(sql, "select count(*) filter (where enabled) from ops_conversation_slots") == 11


def test_an_occurrence_hands_the_slots_format_cast_and_topics_to_its_conversation(
    sql: Session, slot: int
) -> None:
    taken = take(sql, slot, now(sql))
    assert taken is not None
    row = sql.execute(
        "select id, format, topic, topics, participants, source, status from ops_roundtable_queue"
    ).fetchone()
    assert row == (taken[1], "debate", None, ["Tea or coffee?"], ["sage", "quill"], "schedule", "queued")


def test_of_eight_who_take_one_occurrence_one_does_with_its_roll(
    database: str, sql: Session, slot: int
) -> None:
    at = now(sql)
    answers = at_once(database, [partial(take, slot=slot, at=at, roll=n / 10) for n in range(8)])
    won = [place for place, answer in enumerate(answers) if answer is not None]
    assert len(won) == 1
    assert value(sql, "select count(*) from ops_roundtable_queue") == 1
    assert sql.execute("select rolled, outcome from ops_slot_occurrences").fetchall() == [
        (won[0] / 10, "queued")
    ]


def test_a_roll_that_lost_is_kept_and_never_made_again(sql: Session, slot: int) -> None:
    sql.execute("update ops_conversation_slots set probability = 0.5")
    at = now(sql)
    assert take(sql, slot, at, 0.5) == ("not_chosen", None)
    assert take(sql, slot, at, 0.0) is None
    assert value(sql, "select count(*) from ops_roundtable_queue") == 0


def test_a_day_has_ten_conversations_however_many_come_at_once(
    database: str, sql: Session, slot: int
) -> None:
    at = now(sql)
    sql.execute("insert into ops_roundtable_queue (format, source) values ('standup', 'human')")
    answers = at_once(
        database,
        [partial(take, slot=slot, at=at + timedelta(seconds=n)) for n in range(16)],
    )
    outcomes = sorted(answer[0] for answer in answers)
    assert outcomes == ["day_full"] * 6 + ["queued"] * 10


def test_in_the_quiet_hours_nothing_begins_and_people_go_on(sql: Session, slot: int) -> None:
    clock = Clock(sql)
    sql.execute("update ops_conversation_slots set since = '2030-01-01'")
    sql.execute("""select ops_set_policy('company', '{"timezone": "Europe/Berlin"}')""")
    sql.execute("""select ops_set_policy('quiet_hours', '{"from": "22:00", "to": "06:30"}')""")
    evening = datetime.fromisoformat("2030-06-01T20:00:00+00:00")  # 22:00 in Berlin
    for at, quiet in (
        (evening - timedelta(minutes=1), False),
        (evening, True),
        (evening + timedelta(hours=8, minutes=29), True),
        (evening + timedelta(hours=8, minutes=30), False),
    ):
        clock.set(at)
        assert value(sql, "select ops_is_quiet()") == quiet
        assert value(sql, "select ops_may_begin('mission')") == (not quiet)
        taken = take(sql, slot, at)
        assert taken is not None
        assert taken[0] == ("quiet_hours" if quiet else "queued")
    clock.set(evening)
    sql.execute("insert into ops_roundtable_queue (format) values ('standup')")


def test_nothing_may_begin_in_a_paused_queue(sql: Session) -> None:
    sql.execute("select ops_pause('roundtable')")
    assert not value(sql, "select ops_may_begin('roundtable')")
    assert value(sql, "select ops_may_begin('mission')")
    assert not value(sql, "select ops_may_begin('all')")


def test_what_was_missed_is_on_record_and_leads_to_nothing(sql: Session, slot: int) -> None:
    assert take(sql, slot, now(sql), missed=True) == ("missed", None)
    assert value(sql, "select count(*) from ops_roundtable_queue") == 0


def test_a_slot_that_is_off_or_younger_is_not_taken(sql: Session, slot: int) -> None:
    assert take(sql, slot, now(sql) - timedelta(days=1)) is None
    sql.execute("update ops_conversation_slots set enabled = false")
    assert take(sql, slot, now(sql)) is None
    assert take(sql, -1, now(sql)) is None


def test_other_times_count_from_when_they_were_given(sql: Session, slot: int) -> None:
    def since() -> Any:
        return value(sql, "select since from ops_conversation_slots")

    first = since()
    sql.execute("update ops_conversation_slots set probability = 0.5, topics = '{}', enabled = true")
    assert since() == first
    sql.execute("update ops_conversation_slots set cron = '0 13 * * *'")
    second = since()
    assert second > first
    sql.execute("update ops_conversation_slots set enabled = false")
    assert since() == second
    sql.execute("update ops_conversation_slots set enabled = true")
    assert since() > second


@pytest.mark.parametrize(
    ("column", "given", "says"),
    [
        ("cron", "'at noon'", "slot_cron_has_five_fields"),
        ("cron", "'0 0 12 * * *'", "slot_cron_has_five_fields"),
        ("timezone", "'Mars/Olympus'", "unknown time zone"),
        ("format", "'shouting'", "slot_format_is_known"),
        ("probability", "1.5", "slot_probability_is_0_to_1"),
        ("probability", "'NaN'", "slot_probability_is_0_to_1"),
    ],
)
def test_a_slot_that_cannot_be_is_refused_by_name(
    sql: Session, slot: int, column: str, given: str, says: str
) -> None:
    with pytest.raises(psycopg.Error, match=says):
        sql.execute(f"update ops_conversation_slots set {column} = {given}".encode())


@pytest.mark.parametrize("roll", [1.0, -0.1, float("nan"), None])
def test_a_roll_that_is_none_is_refused(sql: Session, slot: int, roll: float | None) -> None:
    with pytest.raises(psycopg.Error, match="roll") as caught:
        sql.execute("select ops_take_occurrence(%s, ops_now() + interval '1 s', %s::float8)", (slot, roll))
    assert caught.value.sqlstate == "OP004"


@pytest.mark.properties
def test_over_3000_occurrences_a_slot_takes_place_as_often_as_it_says(sql: Session, slot: int) -> None:
    sql.execute("update ops_conversation_slots set probability = 0.45")
    sql.execute("""select ops_set_policy('roundtable_policy', '{"max_per_day": 1000}')""")
    sql.execute("select setseed(0.5)")
    outcomes: dict[str, int] = dict(
        sql.execute(
            "select taken.outcome, count(*) from generate_series(1, 3000) as n"
            " cross join lateral ops_take_occurrence(%s, ops_now() + n * interval '1 minute', random()) as taken"
            " group by taken.outcome",
            (slot,),
        ).fetchall()
    )
    chosen = outcomes.get("queued", 0) + outcomes.get("day_full", 0)
    # Four standard deviations of a binomial of 3000 at .45 are 109.
    assert abs(chosen - 1350) < 109, outcomes
    assert outcomes["queued"] == 1000
    wrong = (
        "select count(*) from ops_slot_occurrences where (outcome = 'not_chosen') <> (rolled >= probability)"
    )
    assert value(sql, wrong) == 0
