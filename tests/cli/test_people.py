"""The agents on the command line, and what they remember."""

from typing import Any

import psycopg

from tests.cli.conftest import Voxyz
from tests.support.memories import fill, remember

Session = psycopg.Connection[tuple[Any, ...]]


def test_the_list_names_everybody_with_figures(voxyz: Voxyz, sql: Session) -> None:
    fill(sql, "sage", 3)
    answer = voxyz("agents")
    assert answer.code == 0
    assert "sage" in answer.out
    assert "Strategy analyst" in answer.out
    [sage] = [one for one in voxyz("agents", "--json").json if one["id"] == "sage"]
    assert sage["memories"] == 3
    assert sage["tone"]
    assert sage["not_now_because"] == "3 of 5 memories of confidence 0.6 or more"


def test_somebody_new_is_taken_on_changed_and_sent_home(voxyz: Voxyz, sql: Session) -> None:
    assert voxyz("agents", "add", "archivist", "--role", "Keeps things", "--model", "some-model").code == 0
    columns = "select display_name, role, model, active from ops_agents where id = 'archivist'"
    assert sql.execute(columns).fetchone() == ("Archivist", "Keeps things", "some-model", True)
    assert voxyz("agents", "edit", "archivist", "--name", "Ann", "--model", "").code == 0
    assert sql.execute(columns).fetchone() == ("Ann", "Keeps things", None, True)
    assert voxyz("agents", "off", "archivist").out == "archivist is not active\n"
    assert voxyz("agents", "off", "archivist").out == "archivist is not active, as before\n"
    assert sql.execute(columns).fetchone() == ("Ann", "Keeps things", None, False)
    assert voxyz("agents", "on", "archivist").out == "archivist is active\n"


def test_mistakes_are_one_line_that_says_what_to_do(voxyz: Voxyz) -> None:
    assert "known are minion, observer" in voxyz("memories", "nobody").complained(2)
    assert "known are minion, observer" in voxyz("agents", "off", "nobody").complained(2)
    assert "known are minion, observer" in voxyz("agents", "edit", "nobody", "--tone", "dry").complained(2)
    assert "agents edit sage" in voxyz("agents", "add", "sage").complained(2)
    assert "say what to change" in voxyz("agents", "edit", "sage").complained(2)
    assert "agent_id_is_a_name" in voxyz("agents", "add", "No Name").complained(1)


def test_memories_come_pinned_first_and_superseded_only_when_asked_for(voxyz: Voxyz, sql: Session) -> None:
    old = remember(sql, "Old news about the shop", tags=["shop"], trace="roundtable:1:1")
    new = remember(sql, "Something else entirely happened", type="lesson", simulated=True)
    sql.execute("update ops_agent_memory set pinned = true where id = %s", (old,))
    gone = remember(sql, "Gone by now", type="pattern")
    sql.execute("update ops_agent_memory set superseded_by = %s where id = %s", (new, gone))
    shown = voxyz("memories", "sage").out
    assert shown.index("Old news") < shown.index("Something else")
    assert "pinned" in shown
    assert "simulated" in shown
    assert "Gone by now" not in shown
    assert "Gone by now" in voxyz("memories", "sage", "--all").out
    assert [one["id"] for one in voxyz("memories", "sage", "--type", "lesson", "--json").json] == [new]
    assert voxyz("memories", "quill").out == "quill remembers nothing yet\n"


def test_what_the_stand_in_did_to_relationships_can_be_undone_and_nothing_else(
    voxyz: Voxyz, sql: Session
) -> None:
    def drift(pair: tuple[str, str], simulated: str) -> None:
        sql.execute("select set_config('ops.simulated', %s, false)", (simulated,))
        sql.execute("select ops_apply_drift(%s, %s, 0.02, 'a good talk')", pair)

    drift(("minion", "sage"), "on")
    drift(("quill", "xalt"), "on")
    assert voxyz("reset").code == 2
    assert voxyz("reset", "--simulated").out == "2 relationships begin again where they were seeded\n"
    assert voxyz("reset", "--simulated").out == "no relationship was moved by the stand-in alone\n"
    sql.execute("select ops_note_real_call()")
    drift(("minion", "sage"), "on")
    drift(("quill", "xalt"), "off")
    assert voxyz("reset", "--simulated").out == "1 relationship begins again where it was seeded\n"
    moved = sql.execute(
        "select agent_a, affinity::float8 from ops_agent_relationships where total_interactions > 0"
    )
    assert moved.fetchall() == [("quill", 0.72)]
