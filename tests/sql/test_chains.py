"""Causes: what a mission came from is on everything that comes from it, and no chain goes on for ever."""

from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.proposals import Proposed, decision, finish, propose, set_policy, steps_of
from tests.support.sessions import Session

pytestmark = pytest.mark.sql


def caused_by(sql: Session, event_id: object, title: str, *kinds: str, source: str = "trigger") -> Proposed:
    with sql.transaction():
        sql.execute("select set_config('ops.cause_event', %s, true)", (str(event_id),))
        return propose(sql, title, steps_of(*kinds), source=source)


def events_of(sql: Session, mission_id: int | None) -> list[tuple[Any, ...]]:
    return sql.execute(
        "select kind, id, root_id, depth from ops_agent_events where metadata ->> 'mission_id' = %s order by id",
        (str(mission_id),),
    ).fetchall()


def fail(sql: Session, mission_id: int | None) -> int:
    """The mission's one step fails; returns the event that says the mission did."""
    row = sql.execute("select id from ops_mission_steps where mission_id = %s", (mission_id,)).fetchone()
    assert row is not None
    finish(sql, row[0], "failed")
    kind, event_id, _, _ = events_of(sql, mission_id)[-1]
    assert kind == "mission_failed"
    assert isinstance(event_id, int)
    return event_id


def test_a_mission_its_steps_and_its_events_carry_root_and_depth(sql: Session) -> None:
    first = propose(sql, "First", steps_of("research"))
    root = events_of(sql, first.mission_id)[0][1]
    assert events_of(sql, first.mission_id) == [("proposal_accepted", root, None, 0)]
    event = fail(sql, first.mission_id)
    assert events_of(sql, first.mission_id)[-1] == ("mission_failed", event, root, 0)
    second = caused_by(sql, event, "Second", "diagnose")
    assert {row[2:] for row in events_of(sql, second.mission_id)} == {(root, 1)}
    sql.execute("select ops_cancel('mission', %s)", (second.mission_id,))
    assert {row[2:] for row in events_of(sql, second.mission_id)} == {(root, 1)}
    late = sql.execute(
        "insert into ops_missions (title, root_id, depth) values ('m', 77, 2) returning id"
    ).fetchone()
    sql.execute("insert into ops_mission_steps (mission_id, kind) values (%s, 'noop')", late)
    assert sql.execute(
        "select root_id, depth from ops_mission_steps where mission_id = %s", late
    ).fetchone() == (
        77,
        2,
    )


def test_a_pending_proposal_s_chain_goes_on_from_its_first_event(sql: Session) -> None:
    told = propose(sql, "Later", steps_of("noop"))
    sql.execute("select ops_approve(%s, 'ann')", (told.id,))
    row = sql.execute("select root_id from ops_missions").fetchone()
    assert row == sql.execute("select id from ops_agent_events where kind = 'proposal_created'").fetchone()


def test_a_diagnosis_is_never_diagnosed(sql: Session) -> None:
    first = propose(sql, "First", steps_of("diagnose"))
    again = caused_by(sql, fail(sql, first.mission_id), "Why", "diagnose")
    assert again.status == "rejected"
    written = decision(sql, again.id)
    assert (written["gate"], written["earlier_proposal"]) == ("chain.repeat", first.id)
    assert (written["policy"], written["policy_version"], written["limit"]) == ("proposal_limits", 1, 1)
    root = events_of(sql, first.mission_id)[0][1]
    assert sql.execute(
        "select root_id, depth from ops_agent_events where kind = 'proposal_rejected'"
    ).fetchone() == (root, 1)


def test_a_conversation_may_come_to_several_things_of_one_kind(sql: Session) -> None:
    row = sql.execute(
        "insert into ops_agent_events (kind) values ('roundtable_succeeded') returning id"
    ).fetchone()
    assert row is not None
    for number in range(3):
        told = caused_by(sql, row[0], f"Item {number}", "research", source="conversation")
        assert told.status == "accepted"
    assert caused_by(sql, row[0], "Rule", "research", source="reaction").status == "rejected"


def test_a_chain_ends_at_its_depth_whoever_proposes(sql: Session) -> None:
    kinds = ["research", "analyze", "review", "plan", "summarize"]
    told = propose(sql, "Begin", steps_of("diagnose"))
    for depth, kind in enumerate(kinds[:3], 1):
        told = caused_by(sql, fail(sql, told.mission_id), f"At {depth}", kind)
        assert told.status == "accepted"
    event = fail(sql, told.mission_id)
    for source in ("trigger", "human", "conversation"):
        told = caused_by(sql, event, f"Too deep {source}", "plan", source=source)
        assert told.status == "rejected"
        written = decision(sql, told.id)
        assert (written["gate"], written["limit"], written["count"]) == ("chain.depth", 3, 4)


@pytest.mark.parametrize("cause", ["abc", "-1", "99", "1; drop table ops_missions", "9" * 30])
def test_a_cause_that_is_no_event_is_refused(sql: Session, cause: str) -> None:
    with pytest.raises(psycopg.Error, match="could be the cause") as refusal:
        caused_by(sql, cause, "x", "plan")
    assert refusal.value.sqlstate == "OP001"


def test_what_the_mock_did_makes_what_follows_simulated(sql: Session) -> None:
    played = sql.execute(
        "insert into ops_mission_steps (kind, status, simulated) values ('plan', 'succeeded', true) returning id"
    ).fetchone()
    assert played is not None
    for facts, simulated in (
        (f'{{"step_id": {played[0]}}}', True),
        ('{"simulated": true}', True),
        ('{"step_id": "abc", "mission_id": 99}', False),
        ("[]", False),
    ):
        event = sql.execute(
            "insert into ops_agent_events (kind, metadata) values ('x', %s::jsonb) returning id", (facts,)
        ).fetchone()
        assert event is not None
        told = caused_by(sql, event[0], f"After {facts}", "plan")
        row = sql.execute("select simulated from ops_mission_proposals where id = %s", (told.id,)).fetchone()
        assert row == (simulated,)


@pytest.mark.properties
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    choices=st.lists(
        st.tuples(
            st.integers(min_value=0, max_value=10**6),
            st.sampled_from(["research", "diagnose", "plan"]),
            st.sampled_from(["trigger", "reaction", "conversation", "human", "initiative"]),
        ),
        min_size=10,
        max_size=40,
    )
)
def test_no_sequence_of_events_makes_an_unbounded_chain(
    sql: Session, choices: list[tuple[int, str, str]]
) -> None:
    """Whichever events are answered by whatever proposals: nothing under a root is deeper than 3."""
    with sql.transaction(force_rollback=True):
        for key, patch in (
            ("proposal_limits", {"per_agent_day": 1000}),
            ("mission_limits", {"active": 1000, "steps_per_agent_day": 1000}),
        ):
            set_policy(sql, key, patch)
        propose(sql, "Begin", steps_of("analyze"), source="human")
        for number, (pick, kind, source) in enumerate(choices):
            found = sql.execute("select id from ops_agent_events order by id").fetchall()
            caused_by(sql, found[pick % len(found)][0], f"Number {number}", kind, source=source)
        deepest = sql.execute("select max(depth) from ops_missions").fetchone()
        assert deepest is not None
        assert deepest[0] <= 3
        repeated = sql.execute(
            "select root_id from ops_mission_proposals where source in ('trigger', 'reaction', 'initiative')"
            " and status <> 'rejected' and root_id is not null group by root_id, kinds having count(*) > 1"
        ).fetchall()
        assert repeated == []
