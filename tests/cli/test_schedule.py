"""The timetable on the command line."""

from typing import Any

import psycopg
import pytest

from tests.cli.conftest import Voxyz

Session = psycopg.Connection[tuple[Any, ...]]


def due_every_minute(sql: Session) -> None:
    """One slot, and its last minute is due."""
    sql.execute("delete from ops_conversation_slots")
    sql.execute(
        "insert into ops_conversation_slots (name, cron, format) values ('often', '* * * * *', 'standup')"
    )
    sql.execute("alter table ops_conversation_slots disable trigger ops_conversation_slots_changes")
    sql.execute("update ops_conversation_slots set since = since - interval '1 minute'")


@pytest.mark.usefixtures("the_week")
def test_the_timetable_names_every_slot_and_its_next_time(voxyz: Voxyz, sql: Session) -> None:
    sql.execute("update ops_conversation_slots set enabled = false where name = 'debate'")
    sql.execute("update ops_conversation_slots set cron = '99 * * * *' where name = 'brainstorm'")
    answer = voxyz("schedule")
    assert answer.code == 0
    lines = {line[:20].strip(): line for line in answer.out.splitlines()}
    assert "0 6 * * *" in lines["morning standup"]
    assert lines["debate"].endswith("off")
    assert "Bad minute" in lines["brainstorm"]
    listed = {one["name"]: one for one in voxyz("schedule", "--json").json}
    assert len(listed) == 11
    assert listed["Monday planning"]["next_at"].endswith("T08:00:00+00:00")
    assert listed["debate"]["next_at"] is None


def test_once_takes_what_is_due_once(voxyz: Voxyz, sql: Session) -> None:
    due_every_minute(sql)
    [first] = [
        one for one in voxyz("schedule", "--once", "--json").json["taken"] if one["outcome"] == "queued"
    ]
    row = sql.execute("select id, source from ops_roundtable_queue").fetchone()
    assert row == (first["roundtable_id"], "schedule")
    sql.execute("delete from ops_conversation_slots")
    assert voxyz("schedule", "--once").out == "nothing is due\n"


def test_once_says_when_all_is_paused_and_when_a_slot_means_nothing(voxyz: Voxyz, sql: Session) -> None:
    due_every_minute(sql)
    sql.execute("select ops_pause('roundtable')")
    assert "resume roundtable" in voxyz("schedule", "--once").out
    sql.execute("select ops_resume('roundtable')")
    sql.execute("update ops_conversation_slots set cron = '0 0 31 2 *'")
    broken = voxyz("schedule", "--once")
    assert broken.code == 1
    assert "slot often: cron '0 0 31 2 *' means nothing" in broken.out


@pytest.mark.usefixtures("the_week")
def test_a_preview_ends_with_the_calls_and_usd_to_expect(voxyz: Voxyz) -> None:
    answer = voxyz("schedule", "--preview", "7")
    assert answer.code == 0
    *rows, total = answer.out.splitlines()
    assert len([row for row in rows if "standup" in row]) == 7
    assert len([row for row in rows if "planning" in row]) == 1
    assert total.startswith("expected: ")
    assert "calls, $" in total
    found = voxyz("schedule", "--preview", "7", "--json").json
    assert len(found["due"]) == 9 * 7 + 2
    assert 35 < found["conversations"] < 41
    # A default day is to stay within 200 calls and $0.15.
    assert found["calls"] / 7 <= 200
    assert found["usd"] / 7 <= 0.15


@pytest.mark.usefixtures("the_week")
def test_a_preview_knows_the_quiet_hours(voxyz: Voxyz, sql: Session) -> None:
    sql.execute("""select ops_set_policy('quiet_hours', '{"from": "17:00", "to": "08:30"}')""")
    formats = {one["format"] for one in voxyz("schedule", "--preview", "7", "--json").json["due"]}
    assert formats == {"brainstorm", "deep_dive", "watercooler", "content_review", "checkin", "shipping"}


def test_mistakes_are_one_line(voxyz: Voxyz) -> None:
    assert "do not go together" in voxyz("schedule", "--once", "--preview", "7").complained(2)
    assert "366" in voxyz("schedule", "--preview", "0").complained(2)
