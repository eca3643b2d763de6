"""Answers for an event loop that does not turn, and names who holds it.

A handler that never gives way stops everything, this process's own probes too: whoever asks waits in silence. So a thread
asks the loop once a second to answer. When it has not for a second, the thread names the place in the log where the loop is:
the line of the handler, and what it called. When it has not for 30 s, the thread answers every connection that waits to be
accepted with a 503, until the loop turns again. Connections accepted before get no answer, which is an answer too.

Time counts only while the thread itself gets to run: a process that was stopped or swapped out whole has blocked nothing.
"""

import socket
import sys
import sysconfig
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import structlog
import trio

log = structlog.get_logger()

HELD_AFTER_S = 1.0
BLOCKED_AFTER_S = 30.0
TICK_S = 1.0
ANSWERS_A_TICK = 50
SAY_WITHIN_S = 0.2
FRAMES = 6
_REACTOR = str(Path(__file__).resolve().parent.parent)
_LIBRARIES = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib", "scripts")}
)
ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncache-control: no-store\r\n"
    b'connection: close\r\ncontent-length: 21\r\n\r\n{"status": "blocked"}'
)


class Watchdog:
    """Watches the loop it runs in, and answers on ``sockets`` in its place."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        *,
        held_after_s: float = HELD_AFTER_S,
        blocked_after_s: float = BLOCKED_AFTER_S,
        tick_s: float = TICK_S,
    ) -> None:
        self._sockets = sockets
        self._held_after_s = held_after_s
        self._blocked_after_s = blocked_after_s
        self._tick_s = tick_s
        self._over = threading.Event()
        self._loop_thread = threading.get_ident()

    async def run(self) -> NoReturn:
        """Watch for ever. Cancellation: the thread has ended."""
        token = trio.lowlevel.current_trio_token()
        thread = threading.Thread(target=self._watch, args=(token,), name="watchdog", daemon=True)
        thread.start()
        try:
            await trio.sleep_forever()
        finally:
            self._over.set()
            # It is asleep, or answering for at most a fifth of a second: not worth a trip through another thread.
            thread.join(1.0)

    def _watch(self, loop: trio.lowlevel.TrioToken) -> None:
        while not self._over.wait(self._tick_s):
            turned = threading.Event()
            try:
                loop.run_sync_soon(turned.set)
            except trio.RunFinishedError:
                return
            silent_s = self._silence(turned)
            if silent_s >= self._held_after_s and not self._over.is_set():
                log.warning("event_loop_turns_again", seconds=silent_s)

    def _silence(self, turned: threading.Event) -> float:
        """Wait until the loop has turned, naming who holds it and answering in its place; how many seconds it did not."""
        ticks = 0
        held = blocked = False
        while not turned.wait(self._tick_s) and not self._over.is_set():
            ticks += 1
            silent_s = ticks * self._tick_s
            if silent_s >= self._held_after_s and not held:
                held = True
                log.warning("event_loop_held", seconds=silent_s, **self._place())
            if silent_s >= self._blocked_after_s:
                if not blocked:
                    blocked = True
                    log.error("event_loop_blocked", seconds=silent_s, **self._place())
                self._answer(turned)
        return ticks * self._tick_s

    def _answer(self, turned: threading.Event) -> None:
        """Connections waiting to be accepted have got a 503; stops when the loop turns."""
        for door in self._sockets:
            for _ in range(ANSWERS_A_TICK):
                if turned.is_set() or self._over.is_set():
                    return
                try:
                    client, _ = door.accept()
                except OSError:
                    break  # nobody waits
                _say_blocked(client)

    def _place(self) -> dict[str, str]:
        """``handler``: the innermost line that is neither a library's nor ours; ``where``: what was called from there."""
        frame = sys._current_frames().get(self._loop_thread)
        places = traceback.extract_stack(frame) if frame is not None else []
        foreign = [place for place in places if not place.filename.startswith((*_LIBRARIES, _REACTOR, "<"))]
        mine = [place for place in places if place.filename.startswith(_REACTOR)]
        suspect = (foreign or mine or places)[-1:]
        return {
            "handler": "".join(_told(place) for place in suspect),
            "where": " > ".join(_told(place) for place in places[-FRAMES:]),
        }


def _told(place: traceback.FrameSummary) -> str:
    return f"{place.filename}:{place.lineno} {place.name}"


def _say_blocked(client: socket.socket) -> None:
    """The client has read that we are blocked, or is gone; within half a second."""
    with client:
        client.settimeout(SAY_WITHIN_S)
        try:
            client.recv(65536)  # closing on words unread would take ours back
            client.sendall(ANSWER)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            return
