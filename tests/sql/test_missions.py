"""Step order and roll-up: what the database promises whoever inserts, in whatever order."""

import itertools

import psycopg
import pytest

from reactor.model.queues import Queue
from tests.support.queue_rows import (
    Held,
    claim,
    finish,
    lock_missions,
    mission_status,
    named,
    new_mission,
    new_step,
    roll_up,
    scalar,
    settle,
    steps_of,
)
from tests.support.sessions import Session

pytestmark = pytest.mark.sql


def run_all(sql: Session, mission: int) -> list[int]:
    """Claim and finish until nothing is left; the seq of each step in the order they ran, never two at once."""
    order: list[int] = []
    while held := claim(sql):
        assert len(held) == 1
        order.append(scalar(sql, "select seq from ops_mission_steps where id = %s", held[0].id))
        finish(sql, held, [mission])
    return order


@pytest.mark.parametrize("order", list(itertools.permutations([1, 2, 3])))
def test_steps_run_by_seq_in_whatever_order_they_were_inserted(sql: Session, order: tuple[int, ...]) -> None:
    mission = new_mission(sql)
    for seq in order:
        new_step(sql, mission_id=mission, seq=seq)
    assert steps_of(sql, mission) == [(1, "queued"), (2, "waiting"), (3, "waiting")]
    assert run_all(sql, mission) == [1, 2, 3]
    assert mission_status(sql, mission) == "succeeded"


def test_steps_inserted_in_one_statement_run_by_seq(sql: Session) -> None:
    mission = new_mission(sql)
    sql.execute(
        "insert into ops_mission_steps (mission_id, seq, kind, status)"
        " select %s, n, 'noop', 'queued' from unnest(array[4, 2, 9, 1]) as n",
        (mission,),
    )
    assert run_all(sql, mission) == [1, 2, 4, 9]


def test_of_equal_seq_the_first_inserted_runs_first(sql: Session) -> None:
    mission = new_mission(sql)
    ids = [new_step(sql, mission_id=mission) for _ in range(3)]
    ran = []
    while held := claim(sql):
        ran.append(held[0].id)
        finish(sql, held, [mission])
    assert ran == ids


@pytest.mark.parametrize("said", ["queued", "running", "succeeded", "failed", "cancelled"])
def test_a_step_with_a_mission_is_born_waiting_whatever_the_insert_says(sql: Session, said: str) -> None:
    mission = new_mission(sql)
    new_step(sql, mission_id=mission, seq=1)
    new_step(sql, mission_id=mission, seq=2, status=said)
    assert steps_of(sql, mission) == [(1, "queued"), (2, "waiting")]


def test_a_step_put_before_one_not_begun_runs_first(sql: Session) -> None:
    mission = new_mission(sql)
    new_step(sql, mission_id=mission, seq=5)
    new_step(sql, mission_id=mission, seq=3)
    assert steps_of(sql, mission) == [(3, "queued"), (5, "waiting")]
    assert run_all(sql, mission) == [3, 5]


def test_a_step_put_before_one_already_begun_runs_next(sql: Session) -> None:
    mission = new_mission(sql)
    new_step(sql, mission_id=mission, seq=5)
    new_step(sql, mission_id=mission, seq=6)
    [begun] = claim(sql)
    new_step(sql, mission_id=mission, seq=3)
    assert steps_of(sql, mission) == [(3, "waiting"), (5, "running"), (6, "waiting")]
    assert claim(sql) == []
    finish(sql, [begun], [mission])
    assert steps_of(sql, mission) == [(3, "queued"), (5, "succeeded"), (6, "waiting")]


@pytest.mark.parametrize("attempts", [0, -1])
def test_a_step_put_before_one_that_comes_back_never_runs_beside_it(sql: Session, attempts: int) -> None:
    mission = new_mission(sql)
    new_step(sql, mission_id=mission, seq=5)
    [begun] = claim(sql)
    new_step(sql, mission_id=mission, seq=3)
    with sql.transaction():
        _lock_settle_roll_up(sql, begun, mission, attempts)
    held = claim(sql)
    assert len(held) == 1
    assert run_all(sql, mission) == []
    finish(sql, held, [mission])
    assert len(run_all(sql, mission)) == 1
    assert mission_status(sql, mission) == "succeeded"


def _lock_settle_roll_up(sql: Session, begun: Held, mission: int, attempts: int) -> None:
    lock_missions(sql, [mission])
    settle(sql, [begun], "queued", attempts=attempts)
    roll_up(sql, [mission])


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled"])
def test_a_step_for_a_mission_that_has_ended_is_refused(sql: Session, end: str) -> None:
    mission = new_mission(sql)
    new_step(sql, mission_id=mission)
    finish(sql, claim(sql), [mission], end)
    assert mission_status(sql, mission) == end
    with pytest.raises(psycopg.Error, match="insert the step into a new mission") as refused:
        new_step(sql, mission_id=mission, seq=2)
    assert refused.value.sqlstate == "OP006"
    assert len(steps_of(sql, mission)) == 1


def test_a_mission_takes_a_thousand_steps_and_no_more(sql: Session) -> None:
    mission = new_mission(sql)
    many = "insert into ops_mission_steps (mission_id, seq, kind) select %s, n, 'noop' from generate_series(1, %s) as n"
    with pytest.raises(psycopg.Error, match="more than 1000 steps") as refused:
        sql.execute(many, (mission, 1001))
    assert refused.value.sqlstate == "OP006"
    assert steps_of(sql, mission) == []
    sql.execute(many, (mission, 1000))
    with pytest.raises(psycopg.Error, match="more than 1000 steps"):
        new_step(sql, mission_id=mission)
    assert scalar(sql, "select count(*) from ops_mission_steps where status = 'queued'") == 1


def test_a_mission_succeeds_with_its_last_step_and_says_so_once(sql: Session) -> None:
    mission = new_mission(sql)
    for seq in (1, 2):
        new_step(sql, mission_id=mission, seq=seq)
    finish(sql, claim(sql), [mission])
    assert mission_status(sql, mission) in ("approved", "running")
    finish(sql, claim(sql), [mission])
    assert mission_status(sql, mission) == "succeeded"
    told = "select array_agg(kind order by id) from ops_agent_events"
    assert scalar(sql, told) == ["step_succeeded", "step_succeeded", "mission_succeeded"]


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_step_that_ends_badly_ends_its_mission_and_cancels_the_rest(sql: Session, end: str) -> None:
    mission = new_mission(sql)
    for seq in (1, 2, 3):
        new_step(sql, mission_id=mission, seq=seq)
    finish(sql, claim(sql), [mission])
    finish(sql, claim(sql), [mission], end)
    assert mission_status(sql, mission) == end
    assert steps_of(sql, mission) == [(1, "succeeded"), (2, end), (3, "cancelled")]
    reason = scalar(sql, "select failure_reason from ops_mission_steps where seq = 3")
    assert reason == f"the mission {end} at step 2"


@pytest.mark.parametrize("what", ["step", "mission"])
def test_a_retry_reopens_the_mission_and_the_steps_its_end_had_cancelled(sql: Session, what: str) -> None:
    mission = new_mission(sql)
    ids = [new_step(sql, mission_id=mission, seq=seq) for seq in (1, 2, 3)]
    finish(sql, claim(sql), [mission])
    finish(sql, claim(sql), [mission], "failed")
    assert scalar(sql, "select ops_retry(%s, %s)", what, ids[1] if what == "step" else mission)
    assert steps_of(sql, mission) == [(1, "succeeded"), (2, "queued"), (3, "waiting")]
    kept = sql.execute(
        "select attempt, crashes, claim_token, result, failure_reason from ops_mission_steps where seq = 2"
    ).fetchone()
    assert kept == (0, 0, None, None, None)
    assert run_all(sql, mission) == [2, 3]
    assert mission_status(sql, mission) == "succeeded"
    assert scalar(sql, "select ops_retry(%s, %s)", what, ids[1] if what == "step" else mission) is False


def test_a_cancelled_waiting_step_cancels_the_rest_and_the_mission(sql: Session) -> None:
    mission = new_mission(sql)
    ids = [new_step(sql, mission_id=mission, seq=seq) for seq in (1, 2, 3)]
    assert scalar(sql, "select ops_cancel('step', %s)", ids[1])
    assert {status for _, status in steps_of(sql, mission)} == {"cancelled"}
    assert mission_status(sql, mission) == "cancelled"
    assert scalar(sql, "select ops_cancel('step', %s)", ids[1]) is False


@pytest.mark.parametrize("what", ["step", "mission", "roundtable", "initiative"])
def test_unknown_ids_are_refused_by_name(sql: Session, what: str) -> None:
    for function in ("ops_retry", "ops_cancel"):
        with pytest.raises(psycopg.Error, match=f"there is no {what} 99") as refused:
            sql.execute(f"select {function}(%s, 99)".encode(), (what,))
        assert refused.value.sqlstate == "OP001"
        with pytest.raises(psycopg.Error, match="known are step, mission") as refused:
            sql.execute(f"select {function}('idea', 1)".encode())
        assert refused.value.sqlstate == "OP002"


def test_steps_of_kinds_nobody_knows_fail_and_name_the_known_ones(sql: Session) -> None:
    sql.execute(
        "insert into ops_step_kinds (kind, seen_at) values ('noop', now()), ('fresh', now()),"
        " ('gone', now() - interval '2 minutes') on conflict (kind) do update set seen_at = excluded.seen_at"
    )
    never = new_step(sql, "never_heard_of")
    mission = new_mission(sql)
    new_step(sql, "never_heard_of", mission_id=mission, seq=1)
    new_step(sql, mission_id=mission, seq=2)
    fresh, gone_lately = new_step(sql, "fresh"), new_step(sql, "gone")
    gone_long = scalar(
        sql,
        "insert into ops_mission_steps (kind, run_at) values ('gone', now() - interval '2 minutes') returning id",
    )
    failed = sql.execute(_orphans(), {"kinds": ["noop"]}).fetchall()
    assert {row[0] for row in failed} == {never, never + 1, gone_long}
    reason = scalar(sql, "select failure_reason from ops_mission_steps where id = %s", never)
    assert reason.startswith("no reactor knows the kind never_heard_of; known are ")
    assert "noop" in reason
    reason = scalar(sql, "select failure_reason from ops_mission_steps where id = %s", gone_long)
    assert "gone" not in reason.partition("; known are ")[2].split(", ")
    left = sql.execute("select id from ops_mission_steps where status = 'queued' order by id").fetchall()
    assert left == [(fresh,), (gone_lately,)]


def test_a_kind_some_live_reactor_has_is_left_to_it(sql: Session) -> None:
    id = new_step(sql, "theirs")
    sql.execute(
        "insert into ops_workers (id, hostname, pid, version, parts, kinds, liveness_key)"
        " values (gen_random_uuid(), 'h', 1, '1', '{mission}', '{theirs}', 5)"
    )
    assert sql.execute(_orphans(), {"kinds": ["noop"]}).fetchall() == []
    sql.execute("update ops_workers set heartbeat_at = now() - interval '2 minutes'")
    failed = sql.execute(_orphans(), {"kinds": ["noop"]}).fetchall()
    assert [row[0] for row in failed] == [id]


def _orphans() -> bytes:
    return named(Queue.MISSION, "orphaned_kinds")
