"""Talking with the agents from the command line, on a real reactor."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import COMMAND, Voxyz, environment

Sql = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def talker(here: Path, database: str) -> Iterator[None]:
    """A real reactor for conversations; stopped afterwards."""
    with subprocess.Popen(
        [*COMMAND, "run", "roundtable"],
        cwd=here,
        env=environment(DATABASE_URL=database, OPS_PORT="0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        yield
        process.terminate()
        process.wait(timeout=15)


def test_an_agent_answers_a_question(voxyz: Voxyz, talker: None) -> None:
    answer = voxyz("ask", "sage", "Where does the time go?")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("Sage: ")
    assert answer.out.count("\n") == 1


def test_the_room_answers_as_json_too(voxyz: Voxyz, talker: None) -> None:
    answer = voxyz("ask", "room", "Where does the time go?", "--json")
    assert answer.code == 0
    speakers = [turn["speaker"] for turn in answer.json["turns"]]
    assert speakers[0] == "human"
    assert len(speakers) >= 2


def test_asking_without_a_reactor_or_a_stranger_says_so(voxyz: Voxyz) -> None:
    assert "no agent 'ghost'; known are" in voxyz("ask", "ghost", "Hello?").complained(2)
    assert "no live reactor takes roundtable" in voxyz("ask", "sage", "Hello?").complained(1)
    assert "1 to 2000 characters" in voxyz("ask", "sage", " ").complained(2)
    assert voxyz("ask", "room", "Hello?", "--no-wait").out.strip().isdecimal()


def test_who_waits_is_told_what_for(voxyz: Voxyz, talker: None) -> None:
    assert voxyz("pause", "roundtable").code == 0
    answer = voxyz("ask", "sage", "Still there?", "--timeout", "3s")
    assert answer.code == 1
    paused, given_up = answer.err.splitlines()
    assert "queue roundtable is paused" in paused
    assert "is still queued after 3.0 s" in given_up


def test_a_conversation_is_told_turn_by_turn(voxyz: Voxyz, talker: None) -> None:
    id = voxyz(
        "enqueue", "roundtable", "debate", "Tea or coffee?", "--with", "sage,xalt", "--wait"
    ).out.splitlines()[0]
    told = voxyz("show", "roundtable", id)
    assert told.code == 0
    shown = voxyz("show", "roundtable", id, "--json").json
    assert [turn["turn"] for turn in shown["turns"]] == list(range(1, len(shown["turns"]) + 1))
    for turn in shown["turns"]:
        assert turn["dialogue"] in told.out
    assert shown["distillate"]["status"] == "landed"


def test_a_person_says_something_and_is_refused_when_it_is_over(voxyz: Voxyz, sql: Sql) -> None:
    id = voxyz("enqueue", "roundtable", "standup").out.strip()
    assert voxyz("say", id, "I have a question").out == f"turn 1 of roundtable {id}\n"
    assert "I have a question" in voxyz("show", "roundtable", id).out
    voxyz("cancel", "roundtable", id)
    assert "is already cancelled" in voxyz("say", id, "late").complained(1)


def test_what_could_not_be_distilled_is_shown_and_distilled_again(
    voxyz: Voxyz, sql: Sql, talker: None
) -> None:
    id = voxyz("enqueue", "roundtable", "watercooler", "Tea?", "--wait").out.splitlines()[0]
    assert "is distilled already" in voxyz("redistill", id).complained(1)
    sql.execute(
        "update ops_roundtable_distillates set status = 'failed', raw = 'mumble mumble', problem = 'no JSON'"
    )
    sql.execute("delete from ops_agent_memory")
    shown = voxyz("show", "roundtable", id).out
    assert "mumble mumble" in shown
    assert "no JSON" in shown
    again = voxyz("redistill", id, "--wait")
    assert again.code == 0, again
    assert '"distilled": true' in again.out
    assert "mumble" not in voxyz("show", "roundtable", id).out
    assert sql.execute("select count(*) > 0 from ops_agent_memory").fetchone() == (True,)


def test_a_thumb_is_remembered_by_whose_work_it_was(voxyz: Voxyz, sql: Sql) -> None:
    sql.execute(
        "insert into ops_mission_steps (kind, agent_id, payload, status, result, completed_at)"
        """ values ('noop', 'quill', '{"topic": "spring menu"}', 'succeeded', '{}', now())"""
    )
    assert voxyz("thumbs", "up", "step", "1", "it was short").out.startswith("remembered as memory ")
    assert "spring menu” because it was short" in voxyz("memories", "quill").out
    assert "no step 7" in voxyz("thumbs", "down", "step", "7").complained(1)
    assert "which turn" in voxyz("thumbs", "down", "roundtable", "7").complained(2)
