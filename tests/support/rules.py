"""Events that happen, and what rules make of them."""

import json
from typing import Any

import psycopg

from tests.support.memories import value

Session = psycopg.Connection[tuple[Any, ...]]


def happens(
    sql: Session,
    kind: str,
    *tags: str,
    agent: str | None = None,
    title: str = "something",
    summary: str | None = None,
    root_id: int | None = None,
    depth: int = 0,
    **metadata: Any,
) -> int:
    """An event; its id."""
    id: int = value(
        sql,
        "insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata, root_id, depth, created_at)"
        " values (%s, %s, %s, %s, %s::text[], %s::jsonb, %s, %s, ops_now()) returning id",
        *(kind, agent, title, summary, list(tags), json.dumps(metadata), root_id, depth),
    )
    return id


def drain(
    sql: Session, roll: float | None = None, *, at_most: int = 10_000
) -> list[tuple[int, int, str | None]]:
    """The inbox is empty; (event, proposals, problem) of each that was in it."""
    taken = []
    while row := sql.execute("select * from ops_take_event(%s)", (roll,)).fetchone():
        taken.append((row[0], row[1], row[2]))
        assert len(taken) <= at_most, "the inbox does not run dry"
    return taken


def finished_step(
    sql: Session, kind: str, result: dict[str, Any], payload: dict[str, Any] | None = None
) -> int:
    """A step that has succeeded, and its event; the step's id."""
    id: int = value(
        sql,
        "insert into ops_mission_steps (kind, status, result, payload) values (%s, 'succeeded', %s::jsonb, %s::jsonb)"
        " returning id",
        *(kind, json.dumps(result), json.dumps(payload or {})),
    )
    happens(sql, "step_succeeded", "step", kind, title=kind, step_id=id)
    return id


def finish_everything(sql: Session, *, well: bool = True) -> int:
    """Every unfinished step ends, with the events a reactor writes; how many did."""
    status = "succeeded" if well else "failed"
    ended = 0
    while rows := sql.execute(
        "update ops_mission_steps set status = 'running', claimed_by = gen_random_uuid(),"
        " claim_token = gen_random_uuid() where status = 'queued' returning id, mission_id, kind, root_id, depth"
    ).fetchall():
        for id, mission, kind, root, depth in rows:
            sql.execute(
                "update ops_mission_steps set status = %s, result = %s::jsonb, completed_at = ops_now(),"
                " failure_reason = case when %s = 'failed' then 'no paper' end where id = %s",
                (status, json.dumps({"text": "words", "verdict": "revise"}), status, id),
            )
            happens(
                sql, f"step_{status}", "step", kind,
                title=kind, root_id=root, depth=depth, step_id=id, mission_id=mission,
            )  # fmt: skip
            if mission is not None:
                sql.execute("select ops_roll_up(array[%s::bigint])", (mission,))
            ended += 1
    return ended


def proposals(sql: Session) -> list[tuple[Any, ...]]:
    """(agent, source, status, kinds) of every proposal."""
    return sql.execute(
        "select agent_id, source, status, kinds from ops_mission_proposals order by id"
    ).fetchall()


def rule(sql: Session, name: str, **columns: Any) -> int:
    """A rule beside, or in place of, the seeded ones; its id."""
    given = {
        "mode": "event",
        "agent_id": "sage",
        "title": "What of event {event_id}",
        "steps": '[{"kind": "analyze", "payload": {"topic": "{title}"}}]',
        **columns,
    }
    names = ", ".join(["name", *given])
    holes = ", ".join(["%s"] * (len(given) + 1))
    id: int = value(
        sql,
        f"insert into ops_trigger_rules ({names}) values ({holes}) returning id",
        name,
        *given.values(),
    )
    return id


def only_rule(sql: Session, name: str, **columns: Any) -> int:
    """A rule with no other beside it, and no reaction; its id."""
    sql.execute("delete from ops_trigger_rules")
    sql.execute("select ops_set_policy('reaction_matrix', '[]')")
    return rule(sql, name, **columns)
