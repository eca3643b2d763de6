"""The roles that begin things by themselves: the schedule, the heartbeat, and the rules as events arrive.

Each sleeps until its time or until it hears a word on the control channel; a look that found nothing to do costs one or a
few statements, and between looks none. Any number of processes may have them: what is due is taken in the database, once.
"""

from collections.abc import Callable, Collection
from typing import NoReturn, Protocol

import structlog
import trio

from reactor.errors import DatabaseError
from reactor.handlers import heartbeat, schedule
from reactor.model.backoff import delay
from reactor.pg import Pool

log = structlog.get_logger()

LONGEST_SLEEP_S = 3600.0  # a clock that was set is noticed by then
DUE_MARGIN_S = 0.005  # the database's clock and a rounded timer agree to about this
RETRY_BASE_S = 0.5
RETRY_CAP_S = 60.0
DEAF_LOOK_S = 5.0  # how often the inbox is looked at while nothing can be heard

HEARD = "heard"  # the listener hears again: whatever was said meanwhile is lost


class Alarm:
    """Set by words on the control channel, slept on by one role."""

    def __init__(self, *words: str) -> None:
        self._words = frozenset((*words, HEARD))
        self._rung = trio.Event()

    def hear(self, word: str) -> None:
        """Whoever sleeps looks, if the word is for him."""
        if word in self._words:
            self._rung.set()

    def clear(self) -> None:
        """Forget what was heard. Before a look, never after it: a word that comes during the look counts."""
        if self._rung.is_set():
            self._rung = trio.Event()

    async def sleep(self, seconds: float) -> None:
        """Return after so long, or as soon as something was heard."""
        with trio.move_on_after(seconds):
            await self._rung.wait()


class Keeper(Protocol):
    """A role that begins things by itself."""

    @property
    def alarm(self) -> Alarm:
        """What it sleeps on."""
        ...

    async def run(self) -> NoReturn:
        """Keep at it for ever."""
        ...


class Scheduler:
    """Queues conversations when they are due."""

    def __init__(self, pool: Pool, chance: Callable[[], float]) -> None:
        self.alarm = Alarm("schedule", "policy", "pause")
        self._pool = pool
        self._chance = chance
        self._told: set[str] = set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Keep the timetable for ever; started when it was looked at once, or could not be."""
        failures = 0
        while True:
            self.alarm.clear()
            try:
                async with self._pool.connection() as conn:
                    look = await schedule.take_due(conn, self._chance)
                failures = 0
                self._tell(look)
                pause_s = (
                    LONGEST_SLEEP_S
                    if look.next_s is None
                    else min(look.next_s + DUE_MARGIN_S, LONGEST_SLEEP_S)
                )
            except DatabaseError as error:
                log.debug("schedule_waits_for_the_database", reason=str(error))
                pause_s = delay(failures, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S, chance=self._chance())
                failures += 1
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            await self.alarm.sleep(max(pause_s, DUE_MARGIN_S))

    def _tell(self, look: schedule.Look) -> None:
        for due, taken in look.taken:
            log.info(
                "slot_came_due",
                slot=due.slot.name,
                due_at=due.at.isoformat(),
                outcome=taken.outcome,
                roundtable=taken.roundtable_id,
            )
        problems = set(look.problems.values())
        for problem in sorted(problems - self._told):
            log.warning("slot_not_understood", problem=problem, hint="correct it in ops_conversation_slots")
        self._told = problems


class Heartbeat:
    """Does what comes round every five minutes, part by part."""

    def __init__(self, pool: Pool, chance: Callable[[], float], every_s: float = heartbeat.EVERY_S) -> None:
        self.alarm = Alarm()
        self._pool = pool
        self._chance = chance
        self._every_s = every_s

    async def run(self) -> NoReturn:
        """Beat for ever; a beat without a database is made up for when there is one again."""
        failures = 0
        while True:
            self.alarm.clear()
            try:
                await heartbeat.beat(self._pool, every_s=self._every_s)
                failures = 0
                pause_s = self._every_s
            except DatabaseError as error:
                log.debug("heartbeat_waits_for_the_database", reason=str(error))
                pause_s = delay(failures, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S, chance=self._chance())
                failures += 1
            await self.alarm.sleep(pause_s)


class RuleKeeper:
    """Applies rules and reactions to events as they arrive."""

    def __init__(self, pool: Pool, chance: Callable[[], float], *, listening: Callable[[], bool]) -> None:
        self.alarm = Alarm("rules", "pause", "policy")
        self._pool = pool
        self._chance = chance
        self._listening = listening

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Empty the inbox whenever something was put into it; what cannot be done waits for the heartbeat.

        Started when it listens for the first time.
        """
        failures = 0
        task_status.started()
        while True:
            self.alarm.clear()
            pause_s = float("inf") if self._listening() else DEAF_LOOK_S
            try:
                result = await heartbeat.apply_rules(self._pool)
                failures = 0
                if problems := result.get("problems"):
                    log.warning("rules_failed", problems=problems, hint="tried again by the heartbeat")
            except DatabaseError as error:
                log.debug("rules_wait_for_the_database", reason=str(error))
                pause_s = delay(failures, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S, chance=self._chance())
                failures += 1
            await self.alarm.sleep(pause_s)


def keepers(
    parts: Collection[str], pool: Pool, chance: Callable[[], float], listening: Callable[[], bool]
) -> list[Keeper]:
    """The roles of the parts ``schedule`` and ``heartbeat``, those of them that are among ``parts``."""
    made: list[Keeper] = []
    if "schedule" in parts:
        made.append(Scheduler(pool, chance))
    if "heartbeat" in parts:
        made += [Heartbeat(pool, chance), RuleKeeper(pool, chance, listening=listening)]
    return made
