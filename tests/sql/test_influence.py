"""The roll that lets memories into work: once a context, whoever looks, however often."""

from typing import Any

import psycopg
import pytest

from tests.support.memories import always, fill, influence, make_real, remember, value

Session = psycopg.Connection[tuple[Any, ...]]
DAY_S = 86400.0


def test_a_roll_is_kept_with_what_it_let_in_or_with_nothing(sql: Session) -> None:
    fill(sql, "sage", 8)
    always(sql)
    first = influence(sql, "sage", "mission", 1)
    assert len(first) == 5
    always(sql, 0.0)
    assert influence(sql, "sage", "mission", 2) == []
    remember(sql, "The best of all insights", confidence=1.0)
    always(sql)
    assert influence(sql, "sage", "mission", 1) == first
    assert influence(sql, "sage", "mission", 2) == []
    rolls = sql.execute(
        "select context_id, influenced, cardinality(memory_ids) from ops_memory_influences order by context_id"
    ).fetchall()
    assert rolls == [(1, True, 5), (2, False, 0)]


def test_what_is_chosen_is_sure_enough_active_and_about_the_matter(sql: Session) -> None:
    always(sql)
    sql.execute("""select ops_set_policy('memory_influence', '{"max_memories_per_prompt": 2}')""")
    mission = value(
        sql, """select ops_enqueue_mission('A newsletter for weekend readers', '[{"kind": "noop"}]')"""
    )
    fitting = remember(sql, "The newsletter is read on a weekend", confidence=0.65)
    fill(sql, "sage", 3, confidence=0.7)
    remember(sql, "A weak hunch about the newsletter for weekend readers", confidence=0.59)
    pinned = remember(sql, "Never promise dates", confidence=0.6, type="preference")
    sql.execute("update ops_agent_memory set pinned = true where id = %s", (pinned,))
    assert influence(sql, "sage", "mission", mission) == [pinned, fitting]


def test_a_conversation_is_a_roundtable_and_each_agent_and_context_rolls_for_itself(sql: Session) -> None:
    fill(sql, "sage", 1)
    always(sql)
    assert influence(sql, "sage", "conversation", 7) == influence(sql, "sage", "roundtable", 7) != []
    assert influence(sql, "quill", "roundtable", 7) == []
    influence(sql, "sage", "initiative", 7)
    assert value(sql, "select count(*) from ops_memory_influences") == 3


@pytest.mark.parametrize(
    ("agent", "context", "id", "code", "says"),
    [
        ("nobody", "mission", 1, "OP003", "known are minion"),
        ("sage", "party", 1, "OP002", "known are roundtable, mission, initiative"),
        ("sage", None, 1, "OP002", "unknown context null"),
        ("sage", "mission", None, "OP004", "its id is null"),
    ],
)
def test_unknown_agents_and_contexts_are_refused(
    sql: Session, agent: str, context: Any, id: Any, code: str, says: str
) -> None:
    with pytest.raises(psycopg.Error, match=says) as caught:
        influence(sql, agent, context, id)
    assert caught.value.sqlstate == code


def test_once_calls_are_real_nothing_simulated_is_learned_from(sql: Session) -> None:
    always(sql)
    made_up = remember(sql, "The mock made this up", confidence=0.95, simulated=True)
    true = remember(sql, "This one is true", confidence=0.65)
    assert influence(sql, "sage", "mission", 1) == [made_up, true]
    assert value(sql, "select ops_note_real_call()") is True
    assert value(sql, "select ops_note_real_call()") is False
    assert influence(sql, "sage", "mission", 1) == [true]
    assert influence(sql, "sage", "mission", 2) == [true]
    tags = ["posts", "weekend"]
    remember(sql, "Made up and confirmed", confidence=0.9, tags=tags, trace="a:1", simulated=True)
    remember(sql, "Another that says so", type="pattern", tags=tags, trace="a:2")
    assert value(sql, "select count(*) from ops_agent_memory where type = 'strategy'") == 0
    fill(sql, "sage", 200, confidence=0.3)
    make_real(sql)
    assert value(sql, "select count(*) from ops_agent_memory where simulated and superseded_by is null") == 0


def test_a_stranger_sees_no_memory(sql: Session) -> None:
    remember(sql, "Nobody's business")
    sql.execute("create role stranger nosuperuser")
    try:
        sql.execute("grant select on ops_agent_memory, ops_memory_influences, ops_outcomes to stranger")
        sql.execute("set role stranger")
        assert value(sql, "select count(*) from ops_agent_memory") == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            influence(sql, "sage", "mission", 1)
    finally:
        sql.execute("reset role")
        sql.execute("drop owned by stranger")
        sql.execute("drop role stranger")
