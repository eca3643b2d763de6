"""The statements of the hot path go by their indexes, whatever the batch, the size of the table, and the statistics."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from reactor.engine.connections import PINNED_PLANS
from reactor.model.queues import Queue
from reactor.store.queues import claims_from_places
from tests.support.queue_rows import claim, named, scalar
from tests.support.sessions import Session

pytestmark = pytest.mark.sql

BATCHES = (1, 50, 500)
QUEUED = 2000
BLOCKS_A_ROW = (
    60  # a statement may touch so many buffers for each row of its batch; a scan of history takes thousands
)


def _session(database: str) -> Session:
    """A connection that leaves statements we prepare alone: psycopg forgets its own, and all others, at a rollback."""
    return psycopg.connect(database, autocommit=True, prepare_threshold=None)


@pytest.fixture
def pinned(database: str) -> Iterator[Session]:
    """A session as the reactor's work connections are."""
    with _session(database) as session:
        for name, value in PINNED_PLANS.items():
            session.execute("select set_config(%s, %s, false)", (name, value))
        yield session


def grow(sql: Session, queue: Queue, finished: int) -> None:
    """That many rows more in the table that have ended; triggers are left out, for speed."""
    own = {Queue.MISSION: "kind", Queue.ROUNDTABLE: "format", Queue.INITIATIVE: "agent_id"}[queue]
    with sql.transaction():
        sql.execute("set local session_replication_role = replica")
        sql.execute(
            f"insert into {queue.table} ({own}, status, completed_at)"
            " select 'noop', 'succeeded', now() from generate_series(1, %s)".encode(),
            (finished,),
        )


def queued(sql: Session) -> None:
    """Rows that can be claimed, some of them steps of missions, of several priorities; and rows that are running."""
    sql.execute(
        "insert into ops_mission_steps (kind, priority) select 'noop', 1 + mod(n, 10) from generate_series(1, %s) as n",
        (QUEUED,),
    )
    sql.execute("with many as (insert into ops_missions (title) select 'm' from generate_series(1, 600) returning id)"
                " insert into ops_mission_steps (mission_id, seq, kind)"
                " select many.id, n, 'noop' from many cross join generate_series(1, 3) as n")  # fmt: skip
    sql.execute("insert into ops_roundtable_queue (format) select 'noop' from generate_series(1, 1200)")
    sql.execute("insert into ops_initiative_queue (agent_id) select 'noop' from generate_series(1, 1200)")
    for queue in Queue:
        assert len(claim(sql, queue, limit=550)) == 550


def parameters(sql: Session, queue: Queue, name: str, batch: int) -> dict[str, Any]:
    """What the statement is asked with: as many running rows as the batch."""
    query = f"select id, claim_token from {queue.table} where status = 'running' order by id limit %s"
    rows = sql.execute(query.encode(), (batch,)).fetchall()
    ids = [row[0] for row in rows]
    every: dict[str, Any] = {
        "kinds": ["noop"],
        "agent": None,
        "worker": uuid4(),
        "token": uuid4(),
        "limit": batch,
        "priorities": [5],
        "after_run_at": ["2020-01-01T00:00:00Z"],
        "after_id": [0],
        "ids": ids,
        "tokens": [row[1] for row in rows],
        "waited_s": [0.0 for _ in ids],
        "simulated": [False for _ in ids],
        "results": "[" + ",".join("{}" for _ in ids) + "]",
        "statuses": ["failed" for _ in ids],
        "attempts": [0 for _ in ids],
        "delay_s": [0.0 for _ in ids],
        "reasons": ["x" for _ in ids],
        "missions": [row[0] for row in sql.execute("select id from ops_missions limit %s", (batch,))],
    }
    return {key: every[key] for key in re.findall(r"%\((\w+)\)s", named(queue, name).decode())}


def explained(pinned: Session, queue: Queue, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The generic plan of the statement as run once, then undone."""
    text = named(queue, name).decode()
    for place, key in enumerate(values, 1):
        text = text.replace(f"%({key})s", f"${place}")
    values_given = f"({', '.join(['%s'] * len(values))})" if values else ""
    call = psycopg.ClientCursor(pinned).mogrify(
        f"execute asked {values_given}", list(map(_literal, values.values()))
    )
    pinned.execute(f"prepare asked as {text}".encode())
    try:
        for _ in range(2):  # the first run of a function also touches what its statements are planned from
            with pinned.transaction(force_rollback=True):
                row = pinned.execute(f"explain (analyze, buffers, format json) {call}".encode()).fetchone()
    finally:
        pinned.execute("deallocate asked")
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


def _literal(value: Any) -> Any:
    """Arrays as the text that a parameter of any array type takes."""
    if isinstance(value, list):
        return "{" + ",".join(f'"{one}"' for one in value) + "}"
    return str(value) if value is not None else None


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def check(pinned: Session, sql: Session, queue: Queue, name: str, batch: int) -> None:
    plan = explained(pinned, queue, name, parameters(sql, queue, name, batch))
    scans = [node for node in nodes(plan) if "Relation Name" in node and "Scan" in node["Node Type"]]
    whole = [node["Relation Name"] for node in scans if node["Node Type"] == "Seq Scan"]
    at = f"{name} of {queue}, {batch} at once"
    assert not {relation for relation in whole if relation != "ops_pauses"}, at
    indexes = {node.get("Index Name") for node in scans}
    wanted = {
        "claim": f"{queue.table}_claim_idx",
        "claim_from": f"{queue.table}_claim_idx",
        "next_due": f"{queue.table}_due_idx",
        "succeed": f"{queue.table}_pkey",
        "settle": f"{queue.table}_pkey",
        "interrupt": f"{queue.table}_pkey",
        "still_mine": f"{queue.table}_pkey",
        "finished_under": f"{queue.table}_pkey",
        "lock_missions": "ops_missions_pkey",
    }
    if name in wanted:
        assert wanted[name] in indexes, at
    touched = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    assert touched <= BLOCKS_A_ROW * (batch + 1) + 100, f"{at} touches {touched} blocks"


STATEMENTS = (
    "claim",
    "claim_from",
    "next_due",
    "succeed",
    "settle",
    "interrupt",
    "still_mine",
    "finished_under",
)
FOR_MISSIONS = ("lock_missions", "roll_up", "begin_missions")


@pytest.mark.parametrize("queue", [Queue.ROUNDTABLE, Queue.INITIATIVE])
@pytest.mark.parametrize("finished", [0, 50_000])
def test_the_small_queues_go_by_their_indexes(
    sql: Session, pinned: Session, queue: Queue, finished: int
) -> None:
    grow(sql, queue, finished)
    queued(sql)
    for analyzed in (False, True):
        if analyzed:
            sql.execute(f"vacuum analyze {queue.table}".encode())
        for name in STATEMENTS:
            for batch in BATCHES:
                if name != "claim_from" or claims_from_places(queue):
                    check(pinned, sql, queue, name, batch)


@pytest.mark.parametrize("finished", [0, 10_000, 1_000_000])
def test_steps_go_by_their_indexes_with_a_history_of(sql: Session, pinned: Session, finished: int) -> None:
    grow(sql, Queue.MISSION, finished)
    queued(sql)
    for analyzed in (False, True):
        if analyzed:
            sql.execute("analyze ops_mission_steps")
            sql.execute("analyze ops_missions")
        for name in (*STATEMENTS, *FOR_MISSIONS):
            for batch in BATCHES:
                check(pinned, sql, Queue.MISSION, name, batch)
    assert scalar(sql, "select count(*) from ops_mission_steps where status = 'succeeded'") == finished


def test_the_check_would_notice_a_plan_that_reads_history(sql: Session, database: str) -> None:
    grow(sql, Queue.MISSION, 100_000)
    queued(sql)
    sql.execute("drop index ops_mission_steps_claim_idx, ops_mission_steps_due_idx")
    sql.execute("analyze ops_mission_steps")
    with (
        psycopg.connect(database, autocommit=True) as unpinned,
        pytest.raises(AssertionError, match="claim of"),
    ):
        check(unpinned, sql, Queue.MISSION, "claim", 50)
