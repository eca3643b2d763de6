"""Answers for an event loop that does not turn.

A handler that never gives way stops everything, this process's own probes too: whoever asks waits in silence. So a thread
watches a counter that the loop moves once a second. When it has not moved for 30 s the thread says so in the log, with the
place where the loop is, and answers every connection that waits to be accepted with a 503, until the loop turns again.
Connections accepted before get no answer, which is an answer too.

Time counts only while the thread itself gets to run: a process that was stopped or swapped out whole has blocked nothing.
"""

import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import NoReturn

import structlog
import trio

log = structlog.get_logger()

BLOCKED_AFTER_S = 30.0
TICK_S = 1.0
ANSWERS_A_TICK = 50
SAY_WITHIN_S = 0.2
FRAMES = 6
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
        blocked_after_s: float = BLOCKED_AFTER_S,
        tick_s: float = TICK_S,
    ) -> None:
        self._sockets = sockets
        self._blocked_after_s = blocked_after_s
        self._tick_s = tick_s
        self._beats = 0
        self._over = threading.Event()
        self._loop_thread = threading.get_ident()

    async def run(self) -> NoReturn:
        """Watch for ever. Cancellation: the thread has ended."""
        thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        thread.start()
        try:
            while True:
                self._beats += 1
                await trio.sleep(self._tick_s)
        finally:
            self._over.set()
            # It is asleep, or answering for at most a fifth of a second: not worth a trip through another thread.
            thread.join(1.0)

    def _watch(self) -> None:
        seen, silent_s = -1, 0.0
        while not self._over.wait(self._tick_s):
            if self._beats != seen:
                if silent_s >= self._blocked_after_s:
                    log.warning("event_loop_turns_again", seconds=silent_s)
                seen, silent_s = self._beats, 0.0
                continue
            if silent_s < self._blocked_after_s <= silent_s + self._tick_s:
                log.error("event_loop_blocked", seconds=silent_s + self._tick_s, where=self._where())
            silent_s += self._tick_s
            if silent_s >= self._blocked_after_s:
                self._answer(seen)

    def _answer(self, seen: int) -> None:
        """Connections waiting to be accepted have got a 503; stops when the loop turns."""
        for door in self._sockets:
            for _ in range(ANSWERS_A_TICK):
                if self._beats != seen or self._over.is_set():
                    return
                try:
                    client, _ = door.accept()
                except OSError:
                    break  # nobody waits
                _say_blocked(client)

    def _where(self) -> str:
        frame = sys._current_frames().get(self._loop_thread)
        places = traceback.extract_stack(frame)[-FRAMES:] if frame is not None else []
        return " > ".join(f"{place.filename}:{place.lineno} {place.name}" for place in places)


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
