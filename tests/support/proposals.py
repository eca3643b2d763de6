"""Proposing and deciding, in a test's own session."""

import json
from typing import Any, NamedTuple

from tests.support.sessions import Session


class Proposed(NamedTuple):
    """What ops_propose answers."""

    id: int
    status: str
    mission_id: int | None
    reason: str | None


def steps_of(*kinds: str) -> str:
    """Steps of these kinds, as JSON text."""
    return json.dumps([{"kind": kind} for kind in kinds])


def propose(
    sql: Session,
    title: str = "Look into it",
    steps: str = steps_of("research"),
    *,
    agent: str | None = "quill",
    source: str | None = "agent",
    description: str | None = None,
    key: str | None = None,
) -> Proposed:
    """The answer of ops_propose."""
    row = sql.execute(
        "select * from ops_propose(%s, %s, %s::jsonb, %s, %s, %s)",
        (agent, title, steps, source, description, key),
    ).fetchone()
    assert row is not None
    return Proposed(*row)


def decision(sql: Session, proposal_id: int) -> dict[str, Any]:
    """How the proposal was decided."""
    row = sql.execute("select decision from ops_mission_proposals where id = %s", (proposal_id,)).fetchone()
    assert row is not None
    found: dict[str, Any] = row[0]
    return found


def set_policy(sql: Session, key: str, value: object) -> None:
    """The policy has the value merged in."""
    sql.execute("select ops_set_policy(%s, %s::jsonb)", (key, json.dumps(value)))


def approve(sql: Session, proposal_id: int, by: str | None = "ann") -> int:
    """The id of the mission."""
    row = sql.execute("select ops_approve(%s, %s)", (proposal_id, by)).fetchone()
    assert row is not None
    mission_id: int = row[0]
    return mission_id


def finish(sql: Session, step_id: int, status: str = "succeeded") -> None:
    """The queued step was claimed and ended, and its mission rolled up, as the engine does it."""
    with sql.transaction():
        row = sql.execute(
            "select mission.id from ops_missions as mission join ops_mission_steps as step on step.mission_id = mission.id"
            " where step.id = %s for no key update of mission",
            (step_id,),
        ).fetchone()
        sql.execute(
            "update ops_mission_steps set status = 'running', claimed_by = gen_random_uuid(),"
            " claim_token = gen_random_uuid(), attempt = 1 where id = %s and status = 'queued'",
            (step_id,),
        )
        done = sql.execute(
            'update ops_mission_steps set status = %s, completed_at = ops_now(), result = \'{"text": "done"}\''
            " where id = %s and status = 'running'",
            (status, step_id),
        )
        assert done.rowcount == 1
        if row is not None:
            sql.execute("select ops_roll_up(array[%s::bigint])", row)
