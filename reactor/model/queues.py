"""The three queues and the life of their rows.

The transition table is the one place that says how a row may move; the database's CHECK constraints and its
``…_states`` triggers say the same, and a test holds the three together.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, get_args

What = Literal["step", "mission", "roundtable", "initiative"]
Thing = Literal[What, "proposal"]
WHATS: tuple[str, ...] = get_args(What)


class Queue(StrEnum):
    """A queue by its short name, which settings, pauses, metrics and commands use."""

    MISSION = "mission"
    ROUNDTABLE = "roundtable"
    INITIATIVE = "initiative"

    @property
    def table(self) -> str:
        """The table of its rows, which is also the payload of its rings."""
        return _TABLES[self]

    @property
    def number(self) -> int:
        """The second key of its doorbell."""
        return _NUMBERS[self]

    @property
    def what(self) -> What:
        """What one of its rows is called."""
        return _WHATS[self]

    @classmethod
    def of_table(cls, table: str) -> "Queue | None":
        """The queue whose rows live in ``table``, or None."""
        return _BY_TABLE.get(table)

    @classmethod
    def of_what(cls, what: str) -> "Queue | None":
        """The queue whose rows are called ``what``, or None."""
        return _BY_WHAT.get(what)


_TABLES = {
    Queue.MISSION: "ops_mission_steps",
    Queue.ROUNDTABLE: "ops_roundtable_queue",
    Queue.INITIATIVE: "ops_initiative_queue",
}
_NUMBERS = {Queue.MISSION: 1, Queue.ROUNDTABLE: 2, Queue.INITIATIVE: 3}
_WHATS: dict[Queue, What] = {
    Queue.MISSION: "step",
    Queue.ROUNDTABLE: "roundtable",
    Queue.INITIATIVE: "initiative",
}
_BY_TABLE = {table: queue for queue, table in _TABLES.items()}
_BY_WHAT: dict[str, Queue] = {what: queue for queue, what in _WHATS.items()}


class Status(StrEnum):
    """The state of a row of any queue."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Move(StrEnum):
    """What can happen to a row."""

    RELEASE = "release"  # its predecessor is done, or a person let it go
    OVERTAKEN = "overtaken"  # a step was put before it
    CLAIM = "claim"
    SUCCEED = "succeed"
    REQUEUE = "requeue"  # retried, snoozed, rescued or given back
    FAIL = "fail"
    CANCEL = "cancel"


TRANSITIONS: Mapping[Status, Mapping[Move, Status]] = {
    Status.WAITING: {
        Move.RELEASE: Status.QUEUED,
        Move.CANCEL: Status.CANCELLED,
    },
    Status.QUEUED: {
        Move.OVERTAKEN: Status.WAITING,
        Move.CLAIM: Status.RUNNING,
        Move.FAIL: Status.FAILED,
        Move.CANCEL: Status.CANCELLED,
    },
    Status.RUNNING: {
        Move.SUCCEED: Status.SUCCEEDED,
        Move.REQUEUE: Status.QUEUED,
        Move.FAIL: Status.FAILED,
        Move.CANCEL: Status.CANCELLED,
    },
    Status.SUCCEEDED: {},
    Status.FAILED: {},
    Status.CANCELLED: {},
}

TERMINAL = frozenset(status for status, moves in TRANSITIONS.items() if not moves)


class IllegalMove(ValueError):
    """The row cannot move like that from where it is; nothing changed."""


def after(status: Status, move: Move) -> Status:
    """Where ``move`` takes a row that is ``status``. Raises IllegalMove when the table has no such move."""
    try:
        return TRANSITIONS[status][move]
    except KeyError:
        raise IllegalMove(f"a {status} row cannot {move}") from None
