"""Those who decide about proposals: once, by name, and with the gates looked at again."""

from typing import Any

import psycopg
import pytest

from tests.support.clock import Clock
from tests.support.proposals import approve, propose, set_policy, steps_of
from tests.support.sessions import Session, at_once

pytestmark = pytest.mark.sql


def value(sql: Session, query: str, *parameters: object) -> Any:
    row = sql.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return row[0]


def test_approving_looks_at_the_gates_again_and_leaves_it_pending(sql: Session) -> None:
    set_policy(sql, "step_gates", {"noop": 1})
    first = propose(sql, "One", steps_of("noop"))
    second = propose(sql, "Two", steps_of("noop"))
    assert (first.status, second.status) == ("pending", "pending")
    approve(sql, first.id)
    with pytest.raises(
        psycopg.Error, match=r"stays pending: 1 of 1 steps of kind noop.*version 2"
    ) as refusal:
        approve(sql, second.id)
    assert refusal.value.sqlstate == "OP010"
    assert '"gate": "step_gates.noop"' in (refusal.value.diag.message_detail or "")
    assert value(sql, "select status from ops_mission_proposals where id = %s", second.id) == "pending"
    set_policy(sql, "step_gates", {"noop": 2})
    assert approve(sql, second.id) == value(sql, "select max(id) from ops_missions")


def test_of_many_who_approve_at_once_one_does_and_the_others_are_told(database: str, sql: Session) -> None:
    told = propose(sql, "Once", steps_of("noop"))

    def decide(session: Session) -> str:
        try:
            return str(approve(session, told.id))
        except psycopg.Error as refusal:
            return str(refusal.sqlstate)

    answers = at_once(database, [decide] * 16)
    assert sorted(answers)[1:] == ["OP009"] * 15
    assert value(sql, "select count(*) from ops_missions") == 1
    assert value(sql, "select count(*) from ops_mission_steps") == 1


def test_approval_and_rejection_at_once_leave_one_decision(database: str, sql: Session) -> None:
    told = propose(sql, "Once", steps_of("noop"))

    def decide(statement: str) -> Any:
        def deed(session: Session) -> bool:
            try:
                session.execute(statement.encode(), (told.id,))
            except psycopg.Error as refusal:
                state = refusal.sqlstate
            else:
                return True
            assert state == "OP009"
            return False

        return deed

    yes, no = "select ops_approve(%s, 'ann')", "select ops_reject(%s, 'bob', 'no')"
    answers = at_once(database, [decide(yes), decide(no)] * 6)
    assert answers.count(True) == 1
    status = value(sql, "select status from ops_mission_proposals")
    assert value(sql, "select count(*) from ops_missions") == (1 if status == "accepted" else 0)


def test_a_rejection_is_kept_told_and_learnt_from(sql: Session) -> None:
    told = propose(sql, "Buy a boat", steps_of("noop"))
    sql.execute("select ops_reject(%s, 'ann', '  we have no harbour ')", (told.id,))
    row = sql.execute(
        "select status, rejection_reason, decided_by, decision ->> 'gate', mission_id from ops_mission_proposals"
    ).fetchone()
    assert row == ("rejected", "we have no harbour", "ann", "person", None)
    assert (
        value(sql, "select summary from ops_agent_events where kind = 'proposal_rejected'")
        == "we have no harbour"
    )
    memory = sql.execute(
        "select agent_id, type, content, source_trace_id, trust, simulated from ops_agent_memory"
    ).fetchall()
    content = '"Buy a boat" was rejected: we have no harbour'
    assert memory == [("quill", "lesson", content, f"proposal:{told.id}", "human", False)]
    for statement in ("select ops_reject(%s, 'bob', 'no')", "select ops_approve(%s, 'bob')"):
        with pytest.raises(psycopg.Error, match="already rejected by ann") as refusal:
            sql.execute(statement.encode(), (told.id,))
        assert refusal.value.sqlstate == "OP009"


def test_a_rejection_counts_also_where_there_is_no_memory_or_no_agent_any_more(sql: Session) -> None:
    first = propose(sql, "One", steps_of("noop"), agent="xalt")
    second = propose(sql, "Two", steps_of("noop"))
    sql.execute("delete from ops_agents where id = 'xalt'")
    sql.execute("select ops_reject(%s, 'ann', 'no')", (first.id,))
    sql.execute("alter function ops_remember rename to was_ops_remember")
    sql.execute("select ops_reject(%s, 'ann', 'no')", (second.id,))
    assert value(sql, "select array_agg(distinct status) from ops_mission_proposals") == ["rejected"]


def test_a_pending_proposal_can_be_withdrawn_and_teaches_nothing(sql: Session) -> None:
    told = propose(sql, "Idle", steps_of("noop"))
    assert value(sql, "select ops_cancel('proposal', %s)", told.id) is True
    assert value(sql, "select ops_cancel('proposal', %s)", told.id) is False
    assert value(sql, "select status from ops_mission_proposals") == "rejected"
    assert value(sql, "select count(*) from ops_agent_memory") == 0
    with pytest.raises(psycopg.Error) as refusal:
        sql.execute("select ops_cancel('proposal', 99)")
    assert refusal.value.sqlstate == "OP001"


@pytest.mark.parametrize("by", [None, "", "   ", "x" * 201])
def test_who_decides_must_have_a_name(sql: Session, by: str | None) -> None:
    told = propose(sql, "Idle", steps_of("noop"))
    for statement in ("select ops_approve(%s, %s)", "select ops_reject(%s, %s, 'no')"):
        with pytest.raises(psycopg.Error, match="decided_by") as refusal:
            sql.execute(statement.encode(), (told.id, by))
        assert refusal.value.sqlstate == "OP004"
    with pytest.raises(psycopg.Error, match="needs a reason"):
        sql.execute("select ops_reject(%s, 'ann', ' ')", (told.id,))
    with pytest.raises(psycopg.Error, match="there is no proposal 99"):
        approve(sql, 99)


def test_what_is_approved_is_checked_as_if_it_came_now(sql: Session) -> None:
    told = propose(sql, "Idle", steps_of("noop"), agent="xalt")
    sql.execute("update ops_agents set active = false where id = 'xalt'")
    with pytest.raises(psycopg.Error, match="inactive agent 'xalt'"):
        approve(sql, told.id)
    sql.execute("update ops_agents set active = true")
    set_policy(sql, "step_gates", {"draft_tweet": 0})
    sql.execute('update ops_mission_proposals set steps = \'[{"kind": "draft_tweet"}]\'')
    with pytest.raises(psycopg.Error, match="draft_tweet") as refusal:
        approve(sql, told.id)
    assert refusal.value.sqlstate == "OP010"


def test_after_seven_days_nobody_s_answer_is_a_no(sql: Session) -> None:
    clock = Clock(sql)
    told = propose(sql, "Idle", steps_of("noop"))
    clock.step(7 * 86400 - 1)
    assert value(sql, "select ops_expire_approvals()") == 0
    clock.step(1)
    with pytest.raises(psycopg.Error, match="expired at") as refusal:
        approve(sql, told.id)
    assert refusal.value.sqlstate == "OP009"
    assert value(sql, "select ops_expire_approvals()") == 1
    assert value(sql, "select ops_expire_approvals()") == 0
    row = sql.execute(
        "select status, rejection_reason, decision ->> 'gate' from ops_mission_proposals"
    ).fetchone()
    assert row == ("rejected", "expired: nobody decided in time", "expired")
    assert value(sql, "select count(*) from ops_agent_memory") == 0
