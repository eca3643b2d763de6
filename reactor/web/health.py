"""Whether this process is ready for work, as ``/readyz`` says it.

Ready means: started, not stopping, the database answers and has the schema this program wants. A pause, an open breaker or
a spent budget is no reason to restart anything or to send work elsewhere: they are told, and the answer stays 200.
The database is asked when somebody asks us, at most once a second; a program that is not asked asks nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import trio

from reactor.engine.metrics import Budget
from reactor.engine.supervisor import Reactor
from reactor.errors import DatabaseError, PoolTimeout
from reactor.pg.migrations import load_migrations
from reactor.store import gauges

LOOK_EVERY_S = 1.0
ANSWER_WITHIN_S = 2.0
NO_TABLE = "42P01"
NO_ANSWER = "the database does not answer"


class Status(StrEnum):
    """The one word of ``/readyz``."""

    READY = "ready"
    STARTING = "starting"
    STOPPING = "stopping"
    NO_DATABASE = "no_database"
    NO_SCHEMA = "no_schema"


@dataclass(frozen=True, slots=True)
class Report:
    """How this process stands. ``breakers``: those not closed. ``out_of_budget``: scopes with nothing left."""

    status: Status
    reason: str | None = None
    paused: list[str] = field(default_factory=list)
    breakers: Mapping[str, str] = field(default_factory=dict)
    out_of_budget: list[str] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        """Whether work should be sent here."""
        return self.status is Status.READY


class Health:
    """What is known of this process from outside. Begins as starting; whoever composes the process says the rest."""

    def __init__(self, *, budget: Budget | None = None) -> None:
        self.reactor: Reactor | None = None
        self._doing = "it has only just begun"
        self._stopping = False
        self._budget = budget
        self._schema = [one.name for one in load_migrations() if one.versioned]
        self._looking = trio.Lock()
        self._seen: Report | None = None
        self._look_due = 0.0

    def starting(self, doing: str) -> None:
        """Not ready yet, because of ``doing``, such as "the schema is being brought to current"."""
        self._doing = doing

    def ready(self, reactor: Reactor) -> None:
        """``reactor`` has started: from now on the database decides."""
        self.reactor = reactor

    def stopping(self) -> None:
        """Not ready any more, for ever."""
        self._stopping = True

    async def report(self) -> Report:
        """How this process stands now; what the database says may be a second old. Within about 4 s."""
        if self._stopping:
            return Report(Status.STOPPING, "the reactor was told to stop")
        if self.reactor is None:
            return Report(Status.STARTING, self._doing)
        async with self._looking:
            if self._seen is None or trio.current_time() >= self._look_due:
                self._seen = await self._look(self.reactor)
                self._look_due = trio.current_time() + LOOK_EVERY_S
        return self._seen

    async def _look(self, reactor: Reactor) -> Report:
        with trio.move_on_after(ANSWER_WITHIN_S):
            try:
                async with reactor.pool.connection(timeout_s=ANSWER_WITHIN_S) as conn:
                    found = await gauges.readiness(conn, self._schema)
                    budget = await self._budget(conn) if self._budget else {}
            except PoolTimeout:
                return self._as_heard(reactor)
            except DatabaseError as error:
                if error.sqlstate == NO_TABLE:
                    return Report(Status.NO_SCHEMA, "the schema is missing: run `voxyz-reactor migrate`")
                return Report(Status.NO_DATABASE, NO_ANSWER)
            spent = sorted(scope for scope, left_usd in budget.items() if left_usd <= 0)
            told = Report(Status.READY, None, found.paused, found.breakers, spent)
            if not found.missing:
                return told
            return Report(
                Status.NO_SCHEMA,
                f"the schema is behind, it lacks {found.missing[0]}: run `voxyz-reactor migrate`",
            )
        return self._as_heard(reactor)

    def _as_heard(self, reactor: Reactor) -> Report:
        """All connections are busy, or the database is slow: the listener's own one, which beats, knows which."""
        if not reactor.listener.up and not reactor.listener.deaf:
            return Report(Status.NO_DATABASE, NO_ANSWER)
        return self._seen if self._seen is not None and self._seen.ready else Report(Status.READY)
