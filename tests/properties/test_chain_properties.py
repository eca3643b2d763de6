"""Whatever the rules and whatever happens: what one event leads to ends."""

import json
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.memories import value
from tests.support.rules import drain, finish_everything, happens, rule

Session = psycopg.Connection[tuple[Any, ...]]

KINDS = ("analyze", "review", "diagnose", "plan")
EVENTS = (
    "mission_failed",
    "mission_succeeded",
    "step_succeeded",
    "step_failed",
    "proposal_accepted",
    "proposal_created",
    "proposal_rejected",
    "shop_opened",
)
RULES = st.lists(
    st.tuples(
        st.sampled_from(EVENTS), st.lists(st.sampled_from((*KINDS, "webhook")), min_size=1, max_size=2)
    ),
    min_size=1,
    max_size=6,
)
DEEPEST = 3


def clear(sql: Session) -> None:
    for table in (
        "ops_trigger_rules",
        "ops_trigger_inbox",
        "ops_agent_reactions",
        "ops_mission_proposals",
        "ops_missions",
    ):
        sql.execute(f"delete from {table}".encode())


@pytest.mark.properties
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rules=RULES,
    reactions=RULES,
    first=st.lists(st.sampled_from(EVENTS), min_size=1, max_size=3),
    well=st.booleans(),
)
def test_no_sequence_of_events_makes_an_unbounded_chain(
    sql: Session,
    rules: list[tuple[str, list[str]]],
    reactions: list[tuple[str, list[str]]],
    first: list[str],
    well: bool,
) -> None:
    clear(sql)
    # Nothing but the chain itself is a limit here: no cooldown, no quota, no gate.
    sql.execute(
        """select ops_set_policy('proposal_limits', '{"per_agent_day": 100000, "same_within_days": 0}')"""
    )
    sql.execute(
        "select ops_set_policy('mission_limits',"
        """ '{"active": 100000, "steps_per_agent_day": 100000, "steps_per_proposal_by_agent": 20}')"""
    )
    for place, (event, kinds) in enumerate(rules):
        steps = [{"kind": kind, "payload": {"topic": "{title}"}} for kind in kinds]
        rule(sql, f"rule_{place}", event_kind=event, steps=json.dumps(steps), agent_id="sage")
    matrix = [
        {
            "name": f"reaction_{place}",
            "event": event,
            "agent": "quill",
            "kinds": kinds,
            "title": "On {event_id}",
        }
        for place, (event, kinds) in enumerate(reactions)
    ]
    sql.execute("select ops_set_policy('reaction_matrix', %s::jsonb)", (json.dumps(matrix),))
    roots = {happens(sql, kind, "step") for kind in first}

    # Each root leads to each set of kinds once, and each of those to a handful of events on at most three levels.
    chances = len(rules) + len(reactions)
    most_events = len(roots) * 2000
    looked = 0
    for _ in range(10 * DEEPEST):
        looked += len(drain(sql, 0.0, at_most=most_events))
        if (
            not finish_everything(sql, well=well)
            and value(sql, "select count(*) from ops_trigger_inbox") == 0
        ):
            break
    else:
        pytest.fail("the chain goes on and on")
    assert looked <= most_events
    assert value(sql, "select coalesce(max(depth), 0) from ops_missions") <= DEEPEST
    twice = sql.execute(
        "select root_id, kinds from ops_mission_proposals where status <> 'rejected' and root_id = any (%s)"
        " group by root_id, kinds having count(*) > 1",
        (list(roots),),
    ).fetchall()
    assert twice == []
    assert value(sql, "select count(*) from ops_missions") <= len(roots) * chances
    # What was refused at the end of a chain is on record, and led to nothing more.
    assert value(sql, "select coalesce(max(depth), 0) from ops_mission_proposals") <= DEEPEST + 1
