"""How a handler tells when it was entered: a line in the file BENCH_MARKS, by the clock all processes share."""

import os
import time

_handle: int | None = None


def mark(*numbers: int) -> None:
    """Append CLOCK_MONOTONIC in nanoseconds, read before anything else, and ``numbers``."""
    global _handle
    now_ns = time.monotonic_ns()
    if _handle is None:
        _handle = os.open(os.environ["BENCH_MARKS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(_handle, " ".join(map(str, (now_ns, *numbers))).encode() + b"\n")


class FirstEntry:
    """Marks the first call only."""

    def __init__(self) -> None:
        self._done = False

    def __call__(self) -> None:
        if not self._done:
            self._done = True
            mark()
