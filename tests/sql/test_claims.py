"""What a claim takes, in what order, and what it leaves."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from reactor.model.queues import Queue
from tests.support.queue_rows import claim, named, new_step, scalar, settle, succeed
from tests.support.sessions import Session, at_once

pytestmark = pytest.mark.sql


@pytest.fixture
def second(database: str) -> Iterator[Session]:
    with psycopg.connect(database, autocommit=True) as session:
        yield session


def ids(sql: Session, **how: object) -> list[int]:
    return [held.id for held in claim(sql, **how)]  # type: ignore[arg-type]  # as claim takes them


def test_the_most_urgent_come_first_then_the_oldest_then_the_first_inserted(sql: Session) -> None:
    plain, also_plain = new_step(sql, run_at="2020-01-02"), new_step(sql, run_at="2020-01-02")
    older = new_step(sql, run_at="2020-01-01")
    urgent = new_step(sql, run_at="2020-01-03", priority=10)
    last = new_step(sql, run_at="2020-01-01", priority=1)
    assert [ids(sql, limit=1)[0] for _ in range(5)] == [urgent, older, plain, also_plain, last]


def test_a_row_due_later_a_foreign_kind_and_a_foreign_agent_are_left(sql: Session) -> None:
    new_step(sql, run_at="2999-01-01")
    new_step(sql, "theirs")
    new_step(sql, agent_id="quill")
    own, nobodys = new_step(sql, agent_id="sage"), new_step(sql)
    assert ids(sql, agent="sage") == [own, nobodys]
    assert len(ids(sql, agent=None, kinds=["noop", "theirs"])) == 2


@pytest.mark.parametrize("queue", Queue)
def test_a_paused_queue_gives_nothing(sql: Session, queue: Queue) -> None:
    _one_each(sql)
    sql.execute("select ops_pause(%s)", (queue.value,))
    for other in Queue:
        assert len(ids(sql, queue=other)) == (other is not queue)
    sql.execute("select ops_resume(%s)", (queue.value,))
    assert len(ids(sql, queue=queue)) == 1


@pytest.mark.parametrize("queue", Queue)
def test_a_claim_writes_who_when_and_the_attempt(sql: Session, queue: Queue) -> None:
    _one_each(sql)
    worker = uuid4()
    [held] = claim(sql, queue, worker=worker)
    query = f"select status, attempt, claimed_by, claim_token, started_at is not null from {queue.table}"
    assert sql.execute(query.encode()).fetchall() == [("running", 1, worker, held.token, True)]


@pytest.mark.parametrize("queue", Queue)
def test_a_claim_does_not_wait_for_the_disk_and_what_follows_does(sql: Session, queue: Queue) -> None:
    _one_each(sql)
    sql.execute("set synchronous_commit = on")
    with sql.transaction():
        assert claim(sql, queue)
        assert scalar(sql, "show synchronous_commit") == "off"
    assert scalar(sql, "show synchronous_commit") == "on"


def test_what_somebody_else_has_locked_is_skipped_without_waiting(sql: Session, second: Session) -> None:
    locked, free = new_step(sql), new_step(sql)
    second.execute("begin")
    second.execute("select from ops_mission_steps where id = %s for update", (locked,))
    sql.execute("set lock_timeout = '1ms'")
    assert ids(sql) == [free]
    second.execute("rollback")
    assert ids(sql) == [locked]


def test_a_claim_brings_at_most_32_mebibytes(sql: Session) -> None:
    sql.execute(
        "insert into ops_mission_steps (kind, payload)"
        " select 'noop', jsonb_build_object('text', repeat(md5(n::text), 31000)) from generate_series(1, 40) as n"
    )
    first = ids(sql, limit=100)
    assert 30 <= len(first) <= 34
    assert len(first) + len(ids(sql, limit=100)) == 40


def test_the_place_where_the_last_claim_stopped_hides_what_is_before_it_only(sql: Session) -> None:
    early, late = new_step(sql, run_at="2020-01-01"), new_step(sql, run_at="2020-01-03")
    other_level = new_step(sql, run_at="2020-01-03", priority=9)
    from_here = {
        "kinds": ["noop"], "agent": None, "worker": uuid4(), "token": uuid4(), "limit": 10,
        "priorities": "{5}", "after_run_at": ["2020-01-02T00:00:00Z"], "after_id": "{0}",
    }  # fmt: skip
    rows = sql.execute(named(Queue.MISSION, "claim_from"), from_here).fetchall()
    assert [row[0] for row in rows] == [late]
    assert sorted(ids(sql)) == [early, other_level]


@pytest.mark.parametrize("queue", Queue)
def test_only_the_holder_of_the_token_finishes_a_row(sql: Session, queue: Queue) -> None:
    _one_each(sql)
    [held] = claim(sql, queue)
    stale = held._replace(token=uuid4())
    assert succeed(sql, [stale], queue) == set()
    assert settle(sql, [stale], "failed", queue=queue) == {}
    assert succeed(sql, [held], queue) == {held.id}
    assert succeed(sql, [held], queue) == set()
    assert settle(sql, [held], "queued", queue=queue) == {}


@pytest.mark.parametrize("queue", Queue)
def test_a_row_given_back_is_as_if_never_taken(sql: Session, queue: Queue) -> None:
    _one_each(sql)
    worker = uuid4()
    claim(sql, queue, worker=worker)
    sql.execute(named(queue, "release"), {"worker": worker, "token": None})
    query = f"select status, attempt, claimed_by, started_at from {queue.table}"
    assert sql.execute(query.encode()).fetchall() == [("queued", 0, None, None)]


def test_many_claimers_at_once_never_share_a_row(sql: Session, database: str) -> None:
    rows = 2000
    sql.execute("insert into ops_mission_steps (kind) select 'noop' from generate_series(1, %s)", (rows,))

    def drain(session: Session) -> list[int]:
        taken: list[int] = []
        while held := claim(session, limit=17):
            taken += [one.id for one in held]
        return taken

    taken = [id for mine in at_once(database, [drain] * 8) for id in mine]
    assert len(taken) == len(set(taken))
    left = claim(sql, limit=rows)  # a claim that met only locked rows came back empty
    assert len(taken) + len(left) == rows


def test_the_next_due_row_is_the_one_a_claim_would_take(sql: Session, second: Session) -> None:
    assert _next_due(sql) is None
    new_step(sql, agent_id="quill", run_at="2020-01-01")
    new_step(sql, "theirs", run_at="2020-01-01")
    assert _next_due(sql) is None
    sql.execute("insert into ops_mission_steps (kind, run_at) values ('noop', now() + interval '1 hour')")
    assert _next_due(sql) == pytest.approx(3600, abs=5)
    due = new_step(sql)
    second.execute("begin")
    second.execute("select from ops_mission_steps where id = %s for update", (due,))
    held_up = _next_due(sql)
    assert held_up is not None
    assert held_up <= 0  # due and locked: the claim skips it, this does not
    second.execute("rollback")
    sql.execute("select ops_pause('mission')")
    assert _next_due(sql) is None


def _next_due(sql: Session) -> float | None:
    row = sql.execute(named(Queue.MISSION, "next_due"), {"kinds": ["noop"], "agent": "sage"}).fetchone()
    return None if row is None else row[0]


def _one_each(sql: Session) -> None:
    new_step(sql)
    sql.execute("insert into ops_roundtable_queue (format) values ('standup')")
    sql.execute("insert into ops_initiative_queue (agent_id) values ('sage')")
    assert scalar(sql, "select count(*) from ops_mission_steps") == 1
