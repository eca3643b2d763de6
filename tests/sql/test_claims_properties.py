"""A machine of two sessions moves rows of a queue by every statement there is, beside a model of the transition table."""

import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from reactor.model.queues import TERMINAL, TRANSITIONS, Move, Queue, Status, after
from reactor.store.named import statements
from tests.support.queue_rows import Held, claim, named, scalar, settle, succeed
from tests.support.sessions import Session

pytestmark = [pytest.mark.properties, pytest.mark.sql]

sessions = st.integers(0, 1)
picks = st.integers(0, 30)
RESCUE = {Queue.MISSION: "steps", Queue.ROUNDTABLE: "roundtables", Queue.INITIATIVE: "initiatives"}
OWN = {
    Queue.MISSION: "(kind) values ('noop')",
    Queue.ROUNDTABLE: "(format) values ('standup')",
    Queue.INITIATIVE: "(agent_id) values ('sage')",
}


@dataclass
class Row:
    """What the model knows of one row."""

    seen: Counter[tuple[Status, Move]]
    status: Status = Status.QUEUED
    attempt: int = 0
    max_attempts: int = 3
    crashes: int = 0
    token: UUID | None = None
    holder: int | None = None

    def move(self, move: Move) -> None:
        self.seen[self.status, move] += 1
        self.status = after(self.status, move)
        if move is not Move.CLAIM:
            self.holder = None


class Machine(RuleBasedStateMachine):
    """Two sessions, each a worker; every claim and end is done in the database and in the model."""

    hands: list[Session]
    queue: Queue
    seen: Counter[tuple[Status, Move]]

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[int, Row] = {}
        self.old_claims: list[tuple[int, Held]] = []
        self.workers = [uuid4(), uuid4()]

    @initialize()
    def empty(self) -> None:
        self.hands[0].execute(f"truncate {self.queue.table} cascade".encode())
        for most in (3, 3, 2, 1):
            self.insert_one(0, most)

    @rule(by=sessions, max_attempts=st.integers(1, 3))
    def insert(self, by: int, max_attempts: int) -> None:
        self.insert_one(by, max_attempts)

    def insert_one(self, by: int, max_attempts: int) -> None:
        query = f"insert into {self.queue.table} {OWN[self.queue]} returning id"
        id = int(scalar(self.hands[by], query))
        self.hands[by].execute(
            f"update {self.queue.table} set max_attempts = %s where id = %s".encode(), (max_attempts, id)
        )
        self.rows[id] = Row(self.seen, max_attempts=max_attempts)

    @rule(by=sessions, limit=st.integers(1, 3))
    def claim(self, by: int, limit: int) -> None:
        ready = sorted(id for id, row in self.rows.items() if row.status is Status.QUEUED)
        held = claim(self.hands[by], self.queue, limit=limit, worker=self.workers[by])
        assert len(held) == min(limit, len(ready))
        for one in held:
            row = self.rows[one.id]
            assert row.holder is None, f"row {one.id} was given to two workers"
            row.move(Move.CLAIM)
            row.attempt += 1
            row.token, row.holder = one.token, by
            assert one.attempt == row.attempt
            self.old_claims.append((by, one))

    def _pick(self, pick: int) -> tuple[int, Held, Row]:
        """Some claim, the youngest first, present or long over."""
        by, held = self.old_claims[-1 - pick % len(self.old_claims)]
        return by, held, self.rows[held.id]

    def _mine(self, held: Held) -> bool:
        row = self.rows[held.id]
        return row.status is Status.RUNNING and row.token == held.token

    @precondition(lambda self: self.old_claims)
    @rule(pick=picks)
    def succeed(self, pick: int) -> None:
        by, held, row = self._pick(pick)
        mine = self._mine(held)
        assert succeed(self.hands[by], [held], self.queue) == ({held.id} if mine else set())
        if mine:
            row.move(Move.SUCCEED)

    @precondition(lambda self: self.old_claims)
    @rule(pick=picks, how=st.sampled_from(["retry", "give back", "fail", "cancel"]))
    def settle(self, pick: int, how: str) -> None:
        by, held, row = self._pick(pick)
        mine = self._mine(held)
        if how == "retry" and mine and row.attempt >= row.max_attempts:
            how = "fail"  # as the executor decides
        status, move = {
            "retry": ("queued", Move.REQUEUE),
            "give back": ("queued", Move.REQUEUE),
            "fail": ("failed", Move.FAIL),
            "cancel": ("cancelled", Move.CANCEL),
        }[how]
        back = -1 if how == "give back" else 0
        written = settle(self.hands[by], [held], status, queue=self.queue, attempts=back)
        assert written == ({held.id: status} if mine else {})
        if mine:
            row.move(move)
            row.attempt += back

    @rule(by=sessions)
    def release_all(self, by: int) -> None:
        self.hands[by].execute(named(self.queue, "release"), {"worker": self.workers[by], "token": None})
        for row in self.rows.values():
            if row.holder == by:
                row.move(Move.REQUEUE)
                row.attempt -= 1

    @rule(by=sessions)
    def die_and_be_rescued(self, by: int) -> None:
        self.hands[1 - by].execute(
            statements("rescue")[RESCUE[self.queue]].encode(), {"worker": self.workers[by]}
        )
        for row in self.rows.values():
            if row.holder == by:
                row.crashes += 1
                row.move(Move.FAIL if row.crashes >= 3 else Move.REQUEUE)
                row.attempt -= 1
                row.token = None

    @rule(by=sessions, pick=picks, function=st.sampled_from(["ops_cancel", "ops_retry"]))
    def by_hand(self, by: int, pick: int, function: str) -> None:
        id = sorted(self.rows)[pick % len(self.rows)]
        row = self.rows[id]
        changed = scalar(self.hands[by], f"select {function}(%s, %s)", self.queue.what, id)
        if function == "ops_cancel":
            assert changed is (row.status not in TERMINAL)
            if changed:
                row.move(Move.CANCEL)
                row.token = None
        else:
            assert changed is (row.status in (Status.FAILED, Status.CANCELLED))
            if changed:
                row.status, row.attempt, row.crashes, row.token = Status.QUEUED, 0, 0, None

    @rule(by=sessions, pick=picks, end=st.sampled_from(Status))
    def force(self, by: int, pick: int, end: Status) -> None:
        """A move by plain update: what the table lacks is refused, and nothing changes."""
        id = sorted(self.rows)[pick % len(self.rows)]
        row = self.rows[id]
        if end is row.status or end in TRANSITIONS[row.status].values():
            return
        with pytest.raises(psycopg.Error) as refused:
            self.hands[by].execute(
                f"update {self.queue.table} set status = %s where id = %s".encode(), (end.value, id)
            )
        assert refused.value.sqlstate == "OP008"

    @invariant()
    def the_database_agrees(self) -> None:
        rows: list[tuple[Any, ...]] = (
            self.hands[0]
            .execute(f"select id, status, attempt, crashes, max_attempts from {self.queue.table}".encode())
            .fetchall()
        )
        assert {row[0]: row[1:] for row in rows} == {
            id: (row.status.value, row.attempt, row.crashes, row.max_attempts)
            for id, row in self.rows.items()
        }
        for row in self.rows.values():
            assert 0 <= row.attempt <= row.max_attempts


@pytest.mark.parametrize("queue", Queue)
def test_rows_move_by_the_table_and_never_belong_to_two(database: str, queue: Queue) -> None:
    with ExitStack() as stack:
        hands = [stack.enter_context(psycopg.connect(database, autocommit=True)) for _ in range(2)]
        seen: Counter[tuple[Status, Move]] = Counter()
        parts = {"hands": hands, "queue": queue, "seen": seen}
        run_state_machine_as_test(
            type("Machine", (Machine,), parts),
            settings=settings(
                max_examples=60,
                stateful_step_count=40,
                deadline=None,
                print_blob=True,
                suppress_health_check=list(HealthCheck),
            ),
        )
    sys.stdout.write(f"{queue}: {sum(seen.values())} moves\n")
    assert sum(seen.values()) > 50
