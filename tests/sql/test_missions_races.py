"""Two at once on one mission: what happens, and what would happen without the remedy."""

import random
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

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
    steps_of,
    succeed,
)
from tests.support.sessions import Deed, Session, at_once, overlapping

pytestmark = pytest.mark.sql


@pytest.fixture
def second(database: str) -> Iterator[Session]:
    with psycopg.connect(database, autocommit=True) as session:
        yield session


@pytest.fixture
def first(database: str) -> Iterator[Session]:
    with psycopg.connect(database, autocommit=True) as session:
        yield session


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


def two_running(sql: Session) -> tuple[int, Held, Held]:
    """A mission whose two steps are both running, as after a rescue of somebody who was not dead."""
    mission = new_mission(sql)
    for seq in (1, 2):
        new_step(sql, mission_id=mission, seq=seq)
    [one] = claim(sql)
    sql.execute("update ops_mission_steps set status = 'queued' where status = 'waiting'")
    [other] = claim(sql)
    return mission, one, other


@pytest.mark.parametrize("locked_before", [True, False])
def test_two_completers_of_one_mission_roll_it_up(
    sql: Session, first: Session, second: Session, pool: ThreadPoolExecutor, locked_before: bool
) -> None:
    mission, one, other = two_running(sql)

    def complete(session: Session, held: Held) -> None:
        if locked_before:
            lock_missions(session, [mission])
        succeed(session, [held])
        roll_up(session, [mission])

    def theirs(session: Session) -> None:
        with session.transaction():
            complete(session, other)

    # Without the lock the second would not wait, and each would see the other's step still running.
    overlapping(first, second, (lambda s: complete(s, one), theirs), pool, keep=True)
    assert steps_of(sql, mission) == [(1, "succeeded"), (2, "succeeded")]
    assert (mission_status(sql, mission) == "succeeded") is locked_before


@pytest.mark.parametrize("locked_before", [True, False])
def test_a_roll_up_in_the_statement_of_the_batch_loses_missions(
    sql: Session, first: Session, second: Session, pool: ThreadPoolExecutor, locked_before: bool
) -> None:
    mission, one, other = two_running(sql)
    at_a_stroke = """
        with done as (
          update ops_mission_steps as step
          set status = 'succeeded'
          where step.id = %(id)s
          returning step.mission_id
        )
        update ops_missions as mission
        set status = 'succeeded'
        from done
        where mission.id = done.mission_id
          and not exists (
            select
            from ops_mission_steps as other
            where other.mission_id = mission.id
              and other.id <> %(id)s
              and other.status in ('waiting', 'queued', 'running')
          )
    """

    def complete(session: Session, held: Held) -> None:
        if locked_before:
            lock_missions(session, [mission])
        session.execute(at_a_stroke.encode(), {"id": held.id})

    def theirs(session: Session) -> None:
        with session.transaction():
            complete(session, other)

    overlapping(first, second, (lambda s: complete(s, one), theirs), pool, keep=True)
    assert (mission_status(sql, mission) == "succeeded") is locked_before


@pytest.mark.parametrize("locked_before", [True, False])
def test_a_step_inserted_beside_the_roll_up_is_refused_not_forgotten(
    sql: Session, first: Session, second: Session, pool: ThreadPoolExecutor, locked_before: bool
) -> None:
    if not locked_before:
        body = scalar(sql, "select pg_get_functiondef('ops_place_step'::regproc)")
        assert body.count("for no key update") == 1
        sql.execute(body.replace("for no key update", "").encode())
    mission = new_mission(sql)
    new_step(sql, mission_id=mission, seq=1)
    [held] = claim(sql)

    def roll(session: Session) -> None:
        lock_missions(session, [mission])
        succeed(session, [held])
        roll_up(session, [mission])

    def insert(session: Session) -> str:
        try:
            new_step(session, mission_id=mission, seq=2)
        except psycopg.Error as error:
            return str(error.sqlstate)
        return "accepted"

    _, answer = overlapping(first, second, (roll, insert), pool, keep=True)
    assert mission_status(sql, mission) == "succeeded"
    assert answer == ("OP006" if locked_before else "accepted")  # accepted: a step that nobody will ever run


def test_a_roll_up_beside_a_step_being_inserted_waits_for_it(
    sql: Session, first: Session, second: Session, pool: ThreadPoolExecutor
) -> None:
    mission = new_mission(sql)
    new_step(sql, mission_id=mission, seq=1)
    [held] = claim(sql)
    overlapping(
        first,
        second,
        (lambda s: new_step(s, mission_id=mission, seq=2), lambda s: finish(s, [held], [mission])),
        pool,
        keep=True,
    )
    assert steps_of(sql, mission) == [(1, "succeeded"), (2, "queued")]
    assert mission_status(sql, mission) != "succeeded"


def test_batches_that_name_missions_in_opposite_orders_never_deadlock(sql: Session, database: str) -> None:
    dice = random.Random(4)
    for _ in range(15):
        missions = [new_mission(sql) for _ in range(6)]
        pairs: list[tuple[list[int], list[Held]]] = [([], []), ([], [])]
        for seq in (1, 2):
            for mission in missions:
                new_step(sql, mission_id=mission, seq=seq)
        for order, held in pairs:
            held += claim(sql, limit=100)
            order += dice.sample(missions, len(missions))
            sql.execute("update ops_mission_steps set status = 'queued' where status = 'waiting'")
        at_once(database, [_completes(held, order) for order, held in pairs])
        assert {mission_status(sql, mission) for mission in missions} == {"succeeded"}


def test_locking_missions_as_their_steps_come_does_deadlock(
    sql: Session, first: Session, second: Session, pool: ThreadPoolExecutor
) -> None:
    missions = [new_mission(sql) for _ in range(2)]
    with psycopg.connect(sql.info.dsn, autocommit=True) as third, ThreadPoolExecutor(1) as other_pool:
        for session in (second, third):
            session.execute("begin")
        lock_missions(second, missions[:1])
        lock_missions(third, missions[1:])
        futures = [
            pool.submit(lock_missions, second, missions[1:]),
            other_pool.submit(lock_missions, third, missions[:1]),
        ]
        ended = [future.exception(20) for future in futures]
        for session in (second, third):
            session.rollback()
    assert [type(error) for error in ended if error] == [psycopg.errors.DeadlockDetected]


def test_cancelling_and_completing_one_mission_at_once_never_deadlock(sql: Session, database: str) -> None:
    for _ in range(15):
        missions = [new_mission(sql) for _ in range(4)]
        for mission in missions:
            for seq in (1, 2, 3):
                new_step(sql, mission_id=mission, seq=seq)
        held = claim(sql, limit=100)
        last = scalar(sql, "select max(id) from ops_mission_steps")
        at_once(
            database,
            [
                _completes(held, missions),
                _cancels("mission", reversed(missions)),
                _cancels("step", [last]),
                _claims_and_completes(missions),
            ],
        )
        assert {mission_status(sql, mission) for mission in missions} == {"cancelled"}
        left = "select count(*) from ops_mission_steps where status in ('waiting', 'queued')"
        assert scalar(sql, left) == 0


def test_a_step_claimed_while_its_mission_is_cancelled_is_told_to_stop(
    sql: Session, first: Session, second: Session, pool: ThreadPoolExecutor
) -> None:
    mission = new_mission(sql)
    ids = [new_step(sql, mission_id=mission, seq=seq) for seq in (1, 2)]
    sql.execute("listen ops_control")
    held, cancelled = overlapping(first, second, (claim, _cancels("step", [ids[1]])), pool, keep=True)
    assert cancelled == [True]
    assert [one.id for one in held] == ids[:1]
    assert steps_of(sql, mission) == [(1, "cancelled"), (2, "cancelled")]
    heard = {notice.payload for notice in sql.notifies(timeout=0.3)}
    assert f"cancel:step:{ids[0]}" in heard


@pytest.mark.parametrize("lock", ["for no key update", "for update"])
def test_a_row_that_an_open_insert_refers_to_is_claimed_all_the_same(
    sql: Session, second: Session, lock: str
) -> None:
    sql.execute("create table notes (step_id bigint references ops_mission_steps (id))")
    id = new_step(sql)
    second.execute("begin")
    second.execute("insert into notes (step_id) values (%s)", (id,))
    ours = named(Queue.MISSION, "claim")
    assert b"for no key update skip locked" in ours
    held = claim(sql, statement=ours.replace(b"for no key update", lock.encode()))
    assert [one.id for one in held] == ([id] if lock == "for no key update" else [])
    second.execute("commit")


def _completes(held: list[Held], missions: list[int]) -> Deed:
    return lambda session: finish(session, held, missions)


def _claims_and_completes(missions: list[int]) -> Deed:
    return lambda session: finish(session, claim(session, limit=100), missions)


def _cancels(what: str, ids: Iterable[int]) -> Deed:
    return lambda session: [scalar(session, "select ops_cancel(%s, %s)", what, id) for id in ids]
