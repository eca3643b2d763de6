"""What the database's channels say, and who it is said to.

``ops_wake`` rings for a queue. ``ops_control`` carries ``pause``, ``cancel:<what>:<id>``, ``breaker``, ``policy``,
``generation``, ``schedule``, ``rules``, ``viewers`` (somebody began to watch the events) and ``pass:<queue>``; what cannot
be read is ignored, for newer peers may say more than this program understands.
"""

from collections.abc import Callable, Mapping

from reactor.engine.line import Line
from reactor.engine.services import Services
from reactor.engine.wake import Via
from reactor.model.queues import Queue
from reactor.pg import Notification

WAKE_CHANNEL = "ops_wake"
CONTROL_CHANNEL = "ops_control"
CHANNELS = (WAKE_CHANNEL, CONTROL_CHANNEL)


class Control:
    """Routes notifications to the lines of this reactor. ``rings`` counts the rings heard by queue."""

    def __init__(
        self,
        lines: Mapping[Queue, Line],
        services: Services,
        *,
        policy_changed: Callable[[], None],
        terms_changed: Callable[[], None],
        pause_changed: Callable[[], None],
        word: Callable[[str], None],
        watched: Callable[[bool], None],
        cancelled_elsewhere: Callable[[], None],
    ) -> None:
        self.rings = dict.fromkeys(Queue, 0)
        self._lines = lines
        self._services = services
        self._policy_changed = policy_changed
        self._terms_changed = terms_changed
        self._pause_changed = pause_changed
        self._word = word
        self._watched = watched
        self._cancelled_elsewhere = cancelled_elsewhere

    def hear(self, notification: Notification) -> None:
        """Act on one notification; never fails."""
        if notification.channel == WAKE_CHANNEL:
            self._ring(notification.payload)
        elif notification.channel == CONTROL_CHANNEL:
            self._control(notification)

    def wake_all(self, via: Via) -> None:
        """Every dispatcher looks at once."""
        for line in self._lines.values():
            line.wake.ring(via)

    def _ring(self, table: str) -> None:
        queue = Queue.of_table(table)
        line = None if queue is None else self._lines.get(queue)
        if queue is not None and line is not None:
            self.rings[queue] += 1
            line.wake.ring(Via.BELL)

    def _control(self, notification: Notification) -> None:
        self._word(notification.payload)
        match notification.payload.split(":"):
            case ["pass", name]:
                self._pass(name, notification.pid)
            case ["cancel", what, id] if id.isdecimal():
                queue = Queue.of_what(what)
                if queue is not None and queue in self._lines:
                    here = self._lines[queue].executor.stop_row(int(id))
                    if not here:  # a peer's, or claimed this instant and not yet on the shelf
                        self._cancelled_elsewhere()
            case ["pause"]:
                self._pause_changed()
            case ["breaker"]:
                self._services.invalidate()
            case ["policy"]:
                self._policy_changed()
                self._terms_changed()
            case ["generation"]:
                self._terms_changed()
            case ["viewers"]:
                self._watched(True)
            case _:
                pass

    def _pass(self, name: str, pid: int) -> None:
        """A peer let go of the bell. Whoever holds it took it after that, and has looked since: not for him."""
        for queue, line in self._lines.items():
            if queue.value == name and not line.bell.held and pid != line.bell.own_pid():
                line.wake.pass_on()
