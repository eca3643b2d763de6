"""Held steps: they stop when it is their turn, show what they would do, and go on or not by one person's word."""

import json
from typing import Any

import psycopg
import pytest

from tests.support.clock import Clock
from tests.support.proposals import approve, finish, propose, set_policy, steps_of
from tests.support.sessions import Session, at_once

pytestmark = pytest.mark.sql


def value(sql: Session, query: str, *parameters: object) -> Any:
    row = sql.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return row[0]


def mission(sql: Session, *kinds: str) -> list[int]:
    """A mission of these kinds; the ids of its steps."""
    sql.execute("insert into ops_step_kinds (kind, external) values ('webhook', true) on conflict do nothing")
    new = value(sql, "select ops_enqueue_mission('m', %s::jsonb)", steps_of(*kinds))
    rows = sql.execute(
        "select id from ops_mission_steps where mission_id = %s order by seq", (new,)
    ).fetchall()
    return [id for (id,) in rows]


def states(sql: Session) -> list[tuple[Any, ...]]:
    return sql.execute("select status, hold from ops_mission_steps order by seq, id").fetchall()


def release(sql: Session, step_id: int, by: str | None = "ann", payload: object = None) -> None:
    text = None if payload is None else json.dumps(payload)
    sql.execute("select ops_release(%s, %s, %s::jsonb)", (step_id, by, text))


def refused(sql: Session, statement: str, state: str, message: str, *parameters: object) -> None:
    with pytest.raises(psycopg.Error, match=message) as refusal:
        sql.execute(statement.encode(), parameters)
    assert refusal.value.sqlstate == state


def events(sql: Session) -> list[str]:
    return [kind for (kind,) in sql.execute("select kind from ops_agent_events order by id").fetchall()]


def test_a_step_of_a_held_kind_stops_when_its_predecessors_are_done(sql: Session) -> None:
    first, second, _ = mission(sql, "noop", "webhook", "noop")
    assert states(sql) == [("queued", None), ("waiting", None), ("waiting", None)]
    finish(sql, first)
    assert states(sql)[1:] == [("waiting", "approval"), ("waiting", None)]
    assert "step_held" in events(sql)
    assert value(sql, "select array_agg(id) from v_held_steps") == [second]
    assert value(sql, "select status from ops_missions") == "approved"
    assert value(sql, "select step_hold from v_active_missions") == "approval"


def test_released_it_goes_on_to_the_end(sql: Session) -> None:
    first, second = mission(sql, "webhook", "webhook")
    assert states(sql) == [("waiting", "approval"), ("waiting", None)]
    release(sql, first)
    assert states(sql) == [("queued", None), ("waiting", None)]
    finish(sql, first)
    assert states(sql) == [("succeeded", None), ("waiting", "approval")]
    release(sql, second, "bob")
    finish(sql, second)
    assert value(sql, "select status from ops_missions") == "succeeded"
    assert value(sql, "select array_agg(released_by order by id) from ops_mission_steps") == ["ann", "bob"]
    assert events(sql).count("step_released") == 2


def test_an_edited_payload_is_sent_and_the_one_asked_for_kept(sql: Session) -> None:
    (step,) = mission(sql, "webhook")
    sql.execute('update ops_mission_steps set payload = \'{"text": "hi"}\'')
    release(sql, step, payload={"text": "hello"})
    assert sql.execute("select payload, payload_asked, status from ops_mission_steps").fetchone() == (
        {"text": "hello"},
        {"text": "hi"},
        "queued",
    )


def test_a_release_rings_for_the_step(sql: Session, database: str) -> None:
    (step,) = mission(sql, "webhook")
    with psycopg.connect(database, autocommit=True) as reactor:
        reactor.execute("listen ops_wake")
        reactor.execute("select pg_advisory_lock(1987014777, 1)")
        release(sql, step)
        heard = [note.payload for note in reactor.notifies(timeout=5, stop_after=1)]
    assert heard == ["ops_mission_steps"]


def test_a_rejected_step_ends_its_mission_and_teaches_the_proposer(sql: Session) -> None:
    sql.execute("insert into ops_step_kinds (kind, external) values ('webhook', true) on conflict do nothing")
    told = propose(sql, "Tell the world", steps_of("webhook", "noop"), agent="xalt")
    assert told.status == "pending"
    approve(sql, told.id)
    step = value(sql, "select id from v_held_steps")
    sql.execute("select ops_reject_step(%s, 'ann', 'too loud')", (step,))
    assert [row[0] for row in states(sql)] == ["cancelled", "cancelled"]
    row = sql.execute("select status, failure_reason from ops_missions").fetchone()
    assert row == ("cancelled", "rejected: too loud")
    lesson = sql.execute("select agent_id, type, content, source_trace_id from ops_agent_memory").fetchall()
    assert lesson == [("xalt", "lesson", '"Tell the world, webhook" was rejected: too loud', f"step:{step}")]
    assert "step_rejected" in events(sql)


def test_a_decision_is_taken_once(sql: Session, database: str) -> None:
    (step,) = mission(sql, "webhook")

    def decide(statement: str) -> Any:
        def deed(session: Session) -> bool:
            try:
                session.execute(statement.encode(), (step,))
            except psycopg.Error as refusal:
                state = refusal.sqlstate
            else:
                return True
            assert state == "OP009"
            return False

        return deed

    yes, no = "select ops_release(%s, 'ann')", "select ops_reject_step(%s, 'bob', 'no')"
    answers = at_once(database, [decide(yes), decide(no)] * 6)
    assert answers.count(True) == 1
    assert events(sql).count("step_released") + events(sql).count("step_rejected") == 1


def test_only_what_is_held_can_be_decided(sql: Session) -> None:
    first, second = mission(sql, "noop", "webhook")
    refused(sql, "select ops_release(%s, 'ann')", "OP008", "is queued and not held", first)
    refused(sql, "select ops_release(%s, 'ann')", "OP008", "is waiting and not held", second)
    refused(sql, "select ops_reject_step(%s, 'ann', 'no')", "OP008", "not held", first)
    refused(sql, "select ops_release(99, 'ann')", "OP001", "there is no step 99")
    finish(sql, first)
    refused(sql, "select ops_release(%s, '')", "OP004", "decided_by", second)
    refused(sql, "select ops_release(%s, 'ann', '[]')", "OP004", "object", second)
    refused(sql, "select ops_release(%s, 'ann', 'null')", "OP004", "object", second)
    refused(sql, "select ops_reject_step(%s, 'ann', '')", "OP004", "reason", second)
    sql.execute("select ops_cancel('step', %s)", (second,))
    refused(sql, "select ops_release(%s, 'ann')", "OP009", "already decided: it is cancelled", second)


def test_a_single_step_of_a_held_kind_is_held_whatever_the_insert_says(sql: Session) -> None:
    sql.execute("insert into ops_step_kinds (kind, external) values ('send', true)")
    sql.execute(
        "insert into ops_mission_steps (kind, status, released_at)"
        " values ('webhook', 'queued', now()), ('send', 'queued', null), ('noop', 'queued', null)"
    )
    sql.execute("insert into ops_mission_steps (kind, hold) values ('noop', 'approval')")
    held, free = ("waiting", "approval"), ("queued", None)
    assert states(sql) == [held, held, free, held]
    assert events(sql) == ["step_held"] * 3
    release(sql, 1)
    release(sql, 4)
    assert states(sql) == [free, held, free, free]


def test_the_policy_says_what_is_held(sql: Session) -> None:
    sql.execute("insert into ops_step_kinds (kind, external) values ('send', true)")
    set_policy(sql, "hold_step_kinds", ["plan"])
    sql.execute("insert into ops_mission_steps (kind) values ('plan'), ('send'), ('webhook')")
    assert [row[0] for row in states(sql)] == ["waiting", "queued", "queued"]
    sql.execute("delete from ops_policy where key = 'hold_step_kinds'")
    sql.execute("insert into ops_mission_steps (kind, seq) values ('send', 2), ('webhook', 2), ('plan', 3)")
    assert [row[0] for row in states(sql)][3:] == ["waiting", "waiting", "queued"]


def test_a_step_put_before_a_held_or_released_one_asks_anew_afterwards(sql: Session) -> None:
    (step,) = mission(sql, "webhook")
    for released in (False, True):
        if released:
            release(sql, step)
        row = sql.execute(
            "insert into ops_mission_steps (mission_id, seq, kind) values"
            " ((select mission_id from ops_mission_steps where id = %s), 0, 'noop') returning id",
            (step,),
        ).fetchone()
        assert row is not None
        before = row[0]
        assert value(sql, "select hold from ops_mission_steps where id = %s", step) is None
        assert value(sql, "select status from ops_mission_steps where id = %s", before) == "queued"
        finish(sql, before)
        state = sql.execute("select status, hold from ops_mission_steps where id = %s", (step,)).fetchone()
        assert state == ("waiting", "approval")


def test_a_held_step_called_off_and_brought_back_is_held_again(sql: Session) -> None:
    (inside,) = mission(sql, "webhook")
    sql.execute("insert into ops_mission_steps (kind) values ('webhook')")
    sql.execute("insert into ops_mission_steps (kind, hold) values ('noop', 'approval')")
    for step in (inside, inside + 1, inside + 2):
        sql.execute("select ops_reject_step(%s, 'ann', 'no')", (step,))
        assert value(sql, "select ops_retry('step', %s)", step) is True
        state = sql.execute("select status, hold from ops_mission_steps where id = %s", (step,)).fetchone()
        assert state == ("waiting", "approval")
    sql.execute("select ops_cancel('mission', mission_id) from ops_mission_steps where id = %s", (inside,))
    sql.execute("select ops_retry('mission', mission_id) from ops_mission_steps where id = %s", (inside,))
    assert states(sql) == [("waiting", "approval")] * 3


def test_a_released_step_that_failed_needs_no_second_word_to_try_again(sql: Session) -> None:
    (step,) = mission(sql, "webhook")
    release(sql, step)
    finish(sql, step, "failed")
    sql.execute("select ops_retry('step', %s)", (step,))
    assert states(sql) == [("queued", None)]


def test_a_held_step_nobody_releases_expires_with_its_mission(sql: Session) -> None:
    clock = Clock(sql)
    mission(sql, "webhook", "noop")
    sql.execute("insert into ops_mission_steps (kind) values ('webhook')")
    set_policy(sql, "approval_expiry", {"days": 2})
    clock.step(2 * 86400 - 1)
    assert value(sql, "select ops_expire_approvals()") == 0
    clock.step(1)
    assert value(sql, "select ops_expire_approvals()") == 2
    assert {row[0] for row in states(sql)} == {"cancelled"}
    assert value(sql, "select failure_reason from ops_missions") == "expired: nobody released it in time"
    assert events(sql).count("step_expired") == 2


def test_expiry_by_several_at_once_counts_each_thing_once(sql: Session, database: str) -> None:
    for number in range(20):
        propose(sql, f"Idle {number}", steps_of("noop"), source="human")
        mission(sql, "webhook")
    sql.execute("update ops_mission_proposals set expires_at = now() - interval '1 minute'")
    sql.execute("update ops_mission_steps set held_at = now() - interval '8 days'")

    def expire(session: Session) -> int:
        return int(value(session, "select ops_expire_approvals()"))

    assert sum(at_once(database, [expire] * 4)) == 40
    assert events(sql).count("step_expired") == 20
    assert events(sql).count("proposal_rejected") == 20
