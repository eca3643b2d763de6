"""Rows of the queues moved by hand: the engine's own statements, over blocking sessions."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from reactor.model.queues import Queue
from reactor.store.arrays import bigints, booleans, floats, uuids, words
from reactor.store.named import statements
from tests.support.sessions import Session

TOPICS = {Queue.MISSION: "steps", Queue.ROUNDTABLE: "roundtables", Queue.INITIATIVE: "initiatives"}


class Held(NamedTuple):
    """A row in somebody's hands."""

    id: int
    token: UUID
    attempt: int


def named(queue: Queue, name: str) -> bytes:
    """The statement ``name`` of the queue."""
    return statements(TOPICS[queue])[name].encode()


def claim(
    session: Session,
    queue: Queue = Queue.MISSION,
    *,
    limit: int = 10,
    worker: UUID | None = None,
    kinds: Sequence[str] = ("noop",),
    agent: str | None = None,
    statement: bytes | None = None,
) -> list[Held]:
    """Up to ``limit`` rows, claimed as a reactor claims them."""
    token = uuid4()
    rows = session.execute(
        statement or named(queue, "claim"),
        {"kinds": list(kinds), "agent": agent, "worker": worker or uuid4(), "token": token, "limit": limit},
    ).fetchall()
    return [Held(row[0], token, row[3]) for row in rows]


def succeed(session: Session, held: Sequence[Held], queue: Queue = Queue.MISSION) -> set[int]:
    """Those of the rows that were still held have succeeded; missions are not looked at."""
    rows = session.execute(
        named(queue, "succeed"),
        {
            "ids": bigints(one.id for one in held),
            "tokens": uuids(one.token for one in held),
            "waited_s": floats(0.0 for _ in held),
            "simulated": booleans(False for _ in held),
            "results": "[" + ",".join("{}" for _ in held) + "]",
        },
    ).fetchall()
    return {row[0] for row in rows}


def settle(
    session: Session,
    held: Sequence[Held],
    status: str,
    *,
    queue: Queue = Queue.MISSION,
    attempts: int = 0,
    delay_s: float = 0.0,
) -> dict[int, str]:
    """Those of the rows that were still held are ``status``; missions are not looked at."""
    rows = session.execute(
        named(queue, "settle"),
        {
            "ids": bigints(one.id for one in held),
            "tokens": uuids(one.token for one in held),
            "statuses": words(status for _ in held),
            "attempts": bigints(attempts for _ in held),
            "delay_s": floats(delay_s for _ in held),
            "reasons": ["by hand" for _ in held],
        },
    ).fetchall()
    return {row[0]: row[1] for row in rows}


def lock_missions(session: Session, missions: Iterable[int]) -> None:
    """As the completer does before it writes a batch."""
    session.execute(named(Queue.MISSION, "lock_missions"), {"missions": bigints(missions)})


def roll_up(session: Session, missions: Iterable[int]) -> None:
    """As the completer does after it wrote a batch."""
    session.execute(named(Queue.MISSION, "roll_up"), {"missions": bigints(missions)})


def finish(
    session: Session, held: Sequence[Held], missions: Sequence[int], status: str = "succeeded"
) -> None:
    """A completer's whole transaction for steps of ``missions``."""
    with session.transaction():
        lock_missions(session, missions)
        if status == "succeeded":
            succeed(session, held)
        else:
            settle(session, held, status)
        roll_up(session, missions)


def scalar(session: Session, query: str, *values: Any) -> Any:
    """The one value of the first row."""
    row = session.execute(query.encode(), values or None).fetchone()
    assert row is not None, query
    return row[0]


def new_step(session: Session, kind: str = "noop", **columns: Any) -> int:
    """A step with these columns; returns its id."""
    names = ", ".join(["kind", *columns])
    holes = ", ".join(["%s"] * (1 + len(columns)))
    query = f"insert into ops_mission_steps ({names}) values ({holes}) returning id"
    return int(scalar(session, query, kind, *columns.values()))


def new_mission(session: Session, title: str = "a mission") -> int:
    """A mission without steps; returns its id."""
    return int(scalar(session, "insert into ops_missions (title) values (%s) returning id", title))


def steps_of(session: Session, mission: int) -> list[tuple[int, str]]:
    """(seq, status) of every step in the mission's order."""
    query = "select seq, status from ops_mission_steps where mission_id = %s order by seq, id"
    return [(row[0], row[1]) for row in session.execute(query.encode(), (mission,)).fetchall()]


def mission_status(session: Session, mission: int) -> str:
    return str(scalar(session, "select status from ops_missions where id = %s", mission))
