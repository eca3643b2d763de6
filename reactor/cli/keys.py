"""Single keys at a terminal, without Enter."""

import os
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

import trio

MOST = 64  # keys read at once; more is somebody leaning on them


@contextmanager
def single_keys() -> Iterator[None]:
    """Keys arrive one by one and unseen while one is inside; Ctrl-C stays what it is. Without a terminal nothing changes."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


async def pressed(within_s: float) -> str | None:
    """The keys that were pressed, as soon as there are some; empty after ``within_s`` seconds, and without a terminal.

    None: the terminal is gone.
    """
    if not sys.stdin.isatty():
        await trio.sleep(within_s)
        return ""
    with trio.move_on_after(within_s):
        await trio.lowlevel.wait_readable(sys.stdin)
        try:
            return os.read(sys.stdin.fileno(), MOST).decode("utf-8", "replace") or None
        except OSError:
            return None
    return ""
