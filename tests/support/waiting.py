"""Waiting for a thing instead of for a time."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import trio

Onlooker = psycopg.Connection[tuple[Any, ...]]


async def until(true: Callable[[], bool], *, within_s: float = 20.0) -> None:
    """``true()`` has become true; fails when it does not within ``within_s`` seconds."""
    with trio.fail_after(within_s):
        while not true():
            await trio.sleep(0.005)


def state_of(onlooker: Onlooker, pid: int) -> str | None:
    """What the backend ``pid`` is doing, None when it is gone."""
    row = onlooker.execute("select state from pg_stat_activity where pid = %s", (pid,)).fetchone()
    return row[0] if row else None


def open_files() -> int:
    """How many file descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


def wait_until(true: Callable[[], object], *, within_s: float = 60.0) -> None:
    """``true()`` has become true, for tests without an event loop; fails when it does not within ``within_s`` seconds."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)
