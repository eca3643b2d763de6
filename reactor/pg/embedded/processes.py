"""Which process is the postmaster of a data directory, and which are what it left behind.

A pid alone says nothing: it may be a zombie nobody reaps, or have been handed to a stranger since. A process
counts as a server process of ours when it is alive and its working directory is the data directory (the
postmaster and all its children change into it); where there is no /proc, when its command is ``postgres``.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_REAPED_STATES = frozenset("ZX")


def is_server_process(pid: int, data: Path) -> bool:
    """True when ``pid`` is a living process of the server on the data directory ``data``."""
    if not (_PROC / "self").exists():
        return _has_server_command(pid)
    try:
        status = (_PROC / str(pid) / "stat").read_text()
        where = (_PROC / str(pid) / "cwd").readlink()
    except OSError:
        return False
    state = status.rpartition(")")[2].split()[0]
    return state not in _REAPED_STATES and where == data.resolve()


def _has_server_command(pid: int) -> bool:
    try:
        shown = subprocess.run(
            ["ps", "-p", str(pid), "-o", "comm="], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return Path(shown.stdout.strip()).name.startswith("postgres")


def server_processes(data: Path) -> list[int]:
    """The pids of all living processes that work in ``data``; empty where there is no /proc."""
    if not (_PROC / "self").exists():
        return []
    pids = (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal())
    return [pid for pid in pids if is_server_process(pid, data)]


def end_orphans(data: Path, *, patience_s: float = 3.0) -> None:
    """No process works in ``data`` any more: asked to quit, and killed after ``patience_s`` seconds.

    An idle backend notices within milliseconds that its postmaster is gone; a busy one only when its
    statement ends, and as long as it lives no new server may start. Its transaction is lost either way.
    """
    for how in (signal.SIGQUIT, signal.SIGKILL):
        for pid in server_processes(data):
            with suppress(ProcessLookupError):
                os.kill(pid, how)
        if poll(lambda: not server_processes(data), patience_s):
            return


def poll(condition: Callable[[], bool], timeout_s: float, *, gap_s: float = 0.02) -> bool:
    """Wait until ``condition()`` holds; False when it still does not after ``timeout_s`` seconds. Blocks."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(gap_s)
    return True
