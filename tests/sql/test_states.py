"""The enum, the CHECK constraint, the transition table and the triggers say the same."""

import itertools
import re

import psycopg
import pytest

from reactor.model.queues import TERMINAL, TRANSITIONS, Queue, Status
from tests.support.queue_rows import scalar
from tests.support.sessions import Session

pytestmark = [pytest.mark.sql, pytest.mark.properties]

PREFIX = {Queue.MISSION: "step", Queue.ROUNDTABLE: "roundtable", Queue.INITIATIVE: "initiative"}
LEGAL = {(start, end) for start, moves in TRANSITIONS.items() for end in moves.values()}
OWN = {
    Queue.MISSION: ("kind", "noop"),
    Queue.ROUNDTABLE: ("format", "standup"),
    Queue.INITIATIVE: ("agent_id", "sage"),
}


def born(sql: Session, queue: Queue, status: Status) -> int:
    """A row that is ``status`` from birth."""
    column, value = OWN[queue]
    query = (
        f"insert into {queue.table} ({column}, status, claimed_by, claim_token)"
        " values (%s, %s, gen_random_uuid(), gen_random_uuid()) returning id"
    )
    return int(scalar(sql, query, value, status.value))


@pytest.mark.parametrize("queue", Queue)
def test_the_check_constraint_knows_the_states_of_the_enum_and_no_other(sql: Session, queue: Queue) -> None:
    definition = scalar(
        sql,
        "select pg_get_constraintdef(oid) from pg_constraint where conrelid = %s::regclass and conname = %s",
        queue.table,
        f"{PREFIX[queue]}_status_is_known",
    )
    assert set(re.findall(r"'(\w+)'", definition)) == {status.value for status in Status}
    with pytest.raises(psycopg.errors.CheckViolation):
        sql.execute(
            f"insert into {queue.table} ({OWN[queue][0]}, status) values (%s, 'lost')".encode(),
            (OWN[queue][1],),
        )


@pytest.mark.parametrize("queue", Queue)
def test_the_database_allows_the_moves_of_the_table_and_no_other(sql: Session, queue: Queue) -> None:
    move = f"update {queue.table} set status = %s where id = %s"
    for start, end in itertools.permutations(Status, 2):
        id = born(sql, queue, start)
        if (start, end) in LEGAL:
            sql.execute(move.encode(), (end.value, id))
            assert scalar(sql, f"select status from {queue.table} where id = %s", id) == end
            continue
        with pytest.raises(psycopg.Error, match=f"is {start} and cannot become {end}") as refused:
            sql.execute(move.encode(), (end.value, id))
        assert refused.value.sqlstate == "OP008"
        assert scalar(sql, f"select status from {queue.table} where id = %s", id) == start


@pytest.mark.parametrize("queue", Queue)
def test_retry_is_the_one_way_out_of_a_terminal_state(sql: Session, queue: Queue) -> None:
    for start in Status:
        _retried(sql, queue, start)


def _retried(sql: Session, queue: Queue, start: Status) -> None:
    id = born(sql, queue, start)
    moved = scalar(sql, "select ops_retry(%s, %s)", queue.what, id)
    after = scalar(sql, f"select status from {queue.table} where id = %s", id)
    brought_back = start in (Status.FAILED, Status.CANCELLED)
    assert moved is brought_back
    assert after == (Status.QUEUED if brought_back else start)
    with pytest.raises(psycopg.Error), sql.transaction():  # and the way is closed again behind it
        other = born(sql, queue, Status.FAILED)
        sql.execute(f"update {queue.table} set status = 'queued' where id = %s".encode(), (other,))


@pytest.mark.parametrize("queue", Queue)
def test_cancel_ends_what_has_not_ended(sql: Session, queue: Queue) -> None:
    for start in Status:
        id = born(sql, queue, start)
        assert scalar(sql, "select ops_cancel(%s, %s)", queue.what, id) is (start not in TERMINAL)
        query = f"select status, claim_token is null from {queue.table} where id = %s"
        row = sql.execute(query.encode(), (id,)).fetchone()
        assert row == (("cancelled", True) if start not in TERMINAL else (start.value, False))


REFUSED = (
    ("attempt = max_attempts + 1", "attempt_is_within_its_maximum"),
    ("attempt = -1", "attempt_is_within_its_maximum"),
    ("max_attempts = 0", "max_attempts_is_1_to_100"),
    ("max_attempts = 101", "max_attempts_is_1_to_100"),
    ("crashes = -1", "crashes_is_not_negative"),
    ("priority = 0", "priority_is_1_to_10"),
    ("priority = 11", "priority_is_1_to_10"),
    ("run_at = 'infinity'", "run_at_is_a_date"),
    ("run_at = '1999-12-31'", "run_at_is_a_date"),
    ("status = 'running', claim_token = null", "running_is_claimed"),
    ("status = 'running', claimed_by = null", "running_is_claimed"),
    (
        "result = to_jsonb(array(select n from generate_series(1, 200000) as n))",
        "result_is_at_most_1_mib",
    ),
)


@pytest.mark.parametrize("queue", Queue)
def test_named_constraints_refuse_what_no_row_may_hold(sql: Session, queue: Queue) -> None:
    id = born(sql, queue, Status.QUEUED)
    for change, constraint in REFUSED:
        with pytest.raises(psycopg.errors.CheckViolation) as refused:
            sql.execute(f"update {queue.table} set {change} where id = %s".encode(), (id,))
        assert refused.value.diag.constraint_name == f"{PREFIX[queue]}_{constraint}"


REFUSED_STEPS = (
    ("payload = '[1]'", "step_payload_is_an_object"),
    ("payload = 'null'", "step_payload_is_an_object"),
    (
        "payload = jsonb_build_object('a', (select jsonb_agg(n) from generate_series(1, 200000) as n))",
        "step_payload_is_at_most_1_mib",
    ),
    ("kind = ''", "step_kind_is_short"),
    ("kind = repeat('x', 101)", "step_kind_is_short"),
    ("agent_id = ''", "step_agent_is_short"),
    ("hold = 'later'", "step_hold_is_known"),
)


def test_named_constraints_refuse_what_no_step_may_hold(sql: Session) -> None:
    id = born(sql, Queue.MISSION, Status.QUEUED)
    for columns, constraint in REFUSED_STEPS:
        with pytest.raises(psycopg.errors.CheckViolation) as refused:
            sql.execute(f"update ops_mission_steps set {columns} where id = %s".encode(), (id,))
        assert refused.value.diag.constraint_name == constraint
