"""Text that would be code if anybody took it for that, in every field a person or an agent can fill."""

import json

from tests.browser import stage
from tests.browser.conftest import Sql, one

HOSTILE = (
    '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\'"}}{{7*7}}</textarea></title>'
)


def fill(sql: Sql) -> dict[str, int]:
    """Hostile text everywhere; returns the ids of things to look at, by what they are."""
    sql.execute(
        "update ops_agents set display_name = left(%(t)s, 100), role = %(t)s, tone = %(t)s, quirk = %(t)s,"
        " directive = %(t)s, model = %(t)s where id = 'sage'",
        {"t": HOSTILE},
    )
    sql.execute("select ops_pause('initiative', %s)", (HOSTILE,))
    sql.execute("update ops_policy set description = %s where key = 'company'", (HOSTILE,))
    company = json.dumps({"name": HOSTILE, "what": HOSTILE, "goals": [HOSTILE]})
    sql.execute("select ops_set_policy('company', %s::jsonb)", (company,))
    memory = one(
        sql,
        "select ops_remember('sage', 'insight', %s, 0.9, array[%s], %s)",
        HOSTILE,
        HOSTILE[:40],
        HOSTILE[:100],
    )
    sql.execute("select ops_apply_drift('sage', 'minion', 0.02, %s, %s)", (HOSTILE, HOSTILE[:60]))
    proposal = stage.proposal(sql, HOSTILE, "sage", url="https://hooks.example.com", body={HOSTILE: HOSTILE})
    sql.execute("update ops_mission_proposals set description = %s where id = %s", (HOSTILE, proposal))
    mission = _mission(sql)
    step = _step(sql, mission)
    stage.held_step(sql)
    sql.execute(
        "update ops_mission_steps set payload = %s::jsonb where hold is not null",
        (json.dumps({HOSTILE: HOSTILE}),),
    )
    talk = one(
        sql,
        "insert into ops_roundtable_queue (format, topic, participants, status, failure_reason)"
        " values ('debate', %s, array['sage', 'minion'], 'failed', %s) returning id",
        HOSTILE,
        HOSTILE,
    )
    sql.execute(
        "insert into ops_roundtable_turns (conversation_id, speaker, dialogue) values (%s, 'sage', %s), (%s, 'human', %s)",
        (talk, HOSTILE, talk, HOSTILE),
    )
    sql.execute(
        "insert into ops_roundtable_distillates (conversation_id, status, raw, problem, result)"
        " values (%s, 'failed', %s, %s, %s::jsonb)",
        (talk, HOSTILE, HOSTILE, json.dumps({"summary": HOSTILE})),
    )
    sql.execute("update ops_conversation_slots set name = left(%s, 100) where format = 'standup'", (HOSTILE,))
    tell(sql)
    return {"proposal": proposal, "mission": mission, "step": step, "roundtable": talk, "memory": memory}


def tell(sql: Sql) -> int:
    """An event that is hostile throughout."""
    found: int = one(
        sql,
        "insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata)"
        " values (left(%s, 63), %s, %s, %s, array[%s], jsonb_build_object('roundtable_id', %s::text)) returning id",
        *[HOSTILE] * 6,
    )
    return found


def _mission(sql: Sql) -> int:
    found: int = one(
        sql,
        "insert into ops_missions (title, description, created_by, status, failure_reason)"
        " values (%s, %s, %s, 'failed', %s) returning id",
        *[HOSTILE] * 4,
    )
    return found


def _step(sql: Sql, mission: int) -> int:
    with sql.transaction():
        sql.execute("set local session_replication_role = replica")
        found: int = one(
            sql,
            "insert into ops_mission_steps"
            " (mission_id, kind, agent_id, status, failure_reason, payload, result, completed_at)"
            " values (%s, left(%s, 100), left(%s, 63), 'failed', %s, %s::jsonb, %s::jsonb, now()) returning id",
            mission,
            HOSTILE,
            HOSTILE,
            HOSTILE,
            json.dumps({HOSTILE: HOSTILE}),
            json.dumps({"text": HOSTILE}),
        )
    return found
