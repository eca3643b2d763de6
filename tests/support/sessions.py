"""Sessions that really run at once: a thread and a connection each."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import psycopg

Session = psycopg.Connection[tuple[Any, ...]]
Deed = Callable[[Session], Any]

DEADLINE_S = 20.0


def at_once(dsn: str, deeds: Sequence[Deed]) -> list[Any]:
    """Every deed in a session of its own, all begun at the same moment; their results in order."""
    ready = threading.Barrier(len(deeds))

    def perform(deed: Deed, session: Session) -> Any:
        ready.wait(DEADLINE_S)
        return deed(session)

    with ExitStack() as stack:
        sessions = [stack.enter_context(psycopg.connect(dsn, autocommit=True)) for _ in deeds]
        pool = stack.enter_context(ThreadPoolExecutor(len(deeds)))
        futures = [pool.submit(perform, *pair) for pair in zip(deeds, sessions, strict=True)]
        return [future.result(DEADLINE_S) for future in futures]


def overlapping(
    first: Session, second: Session, deeds: tuple[Deed, Deed], pool: ThreadPoolExecutor, *, keep: bool
) -> tuple[Any, Any]:
    """The second deed begins while the first is done but not committed; then that is kept or rolled back.

    Returns both results. The second deed has answered or waits for the first session when that one ends its
    transaction.
    """
    first.execute("begin")
    try:
        answer = deeds[0](first)
        blocker, blocked = first.info.backend_pid, second.info.backend_pid
        future = pool.submit(deeds[1], second)
        _answered_or_waiting(first, future, blocker, blocked)
    finally:
        first.execute("commit" if keep else "rollback")
    return answer, future.result(DEADLINE_S)


def _answered_or_waiting(onlooker: Session, future: "Future[Any]", blocker: int, blocked: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not future.done():
        row = onlooker.execute("select %s = any (pg_blocking_pids(%s))", (blocker, blocked)).fetchone()
        if row == (True,):
            return
        assert time.monotonic() < deadline, "the second session neither answers nor waits for the first"
