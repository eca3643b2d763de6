"""SIGINT and SIGTERM: told to stop, told again, and out in the end whatever happens.

The first one starts the orderly way out, in whatever phase it comes; the second does not wait. Beside them runs a clock: a
process that has not left in time leaves without whatever holds it, and says what that was. The clock is a thread and is
started by the signal's own handler, for the event loop may be what does not turn any more.
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import structlog
import trio

log = structlog.get_logger()

AGAIN_WITHIN_S = 10.0  # after a second signal the process has left by then


class StopSignals:
    """``told`` and ``again`` are set by the first signal and by the second; inside `listening` only.

    ``running`` names what may hold us up, for the last word; it is asked from another thread.
    """

    def __init__(self, leave_within_s: float) -> None:
        self.told = trio.Event()
        self.again = trio.Event()
        self.running: Callable[[], Sequence[str]] = tuple
        self._leave_within_s = leave_within_s
        self._count = 0
        self._left = threading.Event()
        self._loop_thread = threading.get_ident()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Signals are ours, in the main thread; afterwards whose they were before."""
        token = trio.lowlevel.current_trio_token()

        def heard(signum: int, frame: FrameType | None) -> None:
            self._count += 1
            if self._count <= 2:
                within_s = self._leave_within_s if self._count == 1 else AGAIN_WITHIN_S
                threading.Thread(target=self._leave, args=(within_s,), name="leave", daemon=True).start()
                token.run_sync_soon(self._tell)

        before = {which: signal.signal(which, heard) for which in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            self._left.set()
            for which, handler in before.items():
                signal.signal(which, handler)

    def _tell(self) -> None:
        if self.told.is_set():
            self.again.set()
        self.told.set()

    def _leave(self, within_s: float) -> None:
        if self._left.wait(within_s):
            return
        frame = sys._current_frames().get(self._loop_thread)
        last = traceback.extract_stack(frame, limit=1)[-1] if frame is not None else None
        where = None if last is None else f"{last.filename}:{last.lineno}"
        for name in self.running() or ("none",):
            log.error("handler_ignores_cancellation", handler=name, where=where)
        log.error("left_without_waiting", seconds=within_s)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)
