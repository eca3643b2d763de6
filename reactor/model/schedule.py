"""When a slot is due: cron in a time zone, and what to do about times that passed while nobody looked.

Times of day are meant as a person means them. Where the clock is put forward, what was due in the missing hour is due right
after it; where it is put back, what has a time of its own happens once, in the first of the two hours; what comes every so
many minutes goes on through both. Times in and out are aware; those that come out are in UTC.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

ON_TIME_S = 60.0  # later than this an occurrence was missed
MOST_AT_ONCE = 500  # occurrences of one slot looked at in one go


class CatchUp(StrEnum):
    """What becomes of occurrences that were missed: none, the latest of each slot, or all take place after all."""

    SKIP = "skip"
    LATEST = "latest"
    ALL = "all"


class NotUnderstood(ValueError):
    """The cron expression or the time zone means nothing; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Slot:
    """When something is due. ``zone`` is resolved: the slot's own, else the company's, else the server's."""

    id: int
    name: str
    cron: str
    zone: str
    format: str
    probability: float
    enabled: bool
    since: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """One occurrence whose time has come; ``missed``: too late, it is only put on record."""

    slot: Slot
    at: datetime
    missed: bool


def check(cron: str, zone: str) -> None:
    """Return when both are understood. Raises: NotUnderstood."""
    next(_ticks(cron, zone, datetime(2024, 1, 1, tzinfo=UTC)), None)


def occurrences(slot: Slot, after: datetime, until: datetime, limit: int = MOST_AT_ONCE) -> list[datetime]:
    """When ``slot`` is due behind ``after`` up to and with ``until``, at most the first ``limit`` of it.

    An expression without any such time, as 31 April, gives none. Raises: NotUnderstood.
    """
    found: list[datetime] = []
    start = max(after, slot.since - timedelta(microseconds=1))
    for at in _ticks(slot.cron, slot.zone, start):
        if at > until or len(found) == limit:
            break
        found.append(at)
    return found


def next_after(slot: Slot, after: datetime) -> datetime | None:
    """When ``slot`` is due next, None for never. Raises: NotUnderstood."""
    start = max(after, slot.since - timedelta(microseconds=1))
    return next(_ticks(slot.cron, slot.zone, start), None)


def due_now(
    slot: Slot, now: datetime, taken: Collection[datetime], *, catch_up: CatchUp, within_s: float
) -> list[Due]:
    """What of ``slot`` is to be taken now, in order; ``taken``: what has been, by whomever.

    Nothing older than ``within_s`` seconds comes back, and nothing before something that was taken already: what lies
    between was skipped then. What was due in the last minute is no catching up. Raises: NotUnderstood.
    """
    if not slot.enabled:
        return []
    reach = timedelta(seconds=max(within_s, ON_TIME_S) if catch_up is not CatchUp.SKIP else ON_TIME_S)
    after = now - reach - timedelta(microseconds=1)
    candidates = _latest(slot, after, now)
    if catch_up is not CatchUp.ALL and taken:
        candidates = [at for at in candidates if at > max(taken)]
    open_ones = [at for at in candidates if at not in taken]
    if catch_up is CatchUp.ALL:
        return [Due(slot, at, missed=False) for at in open_ones]
    return [Due(slot, at, missed=at is not open_ones[-1]) for at in open_ones]


def _latest(slot: Slot, after: datetime, until: datetime) -> list[datetime]:
    """The last of what was due then, in order: of very many only the newest, the others are gone."""
    found = occurrences(slot, after, until)
    while len(found) == MOST_AT_ONCE:
        more = occurrences(slot, found[-1], until)
        if not more:
            break
        found = (found + more)[-MOST_AT_ONCE:]
        if len(more) < MOST_AT_ONCE:
            break
    return found


def preview(slots: Sequence[Slot], after: datetime, days: float, limit: int = 10_000) -> list[Due]:
    """What will be due in so many days, in order, at most ``limit``. A slot that means nothing is left out."""
    until = after + timedelta(days=days)
    found: list[Due] = []
    for slot in slots:
        if slot.enabled and is_understood(slot):
            found += [Due(slot, at, missed=False) for at in occurrences(slot, after, until, limit)]
    return list(islice(sorted(found, key=lambda due: (due.at, due.slot.id)), limit))


def is_understood(slot: Slot) -> bool:
    """Whether its times can be told."""
    try:
        check(slot.cron, slot.zone)
    except NotUnderstood:
        return False
    return True


def _ticks(cron: str, zone: str, after: datetime) -> Iterator[datetime]:
    try:
        here = ZoneInfo(zone)
    except (OSError, ValueError, KeyError):
        raise NotUnderstood(f"this machine knows no time zone {zone[:64]!r}") from None
    try:
        # Somewhat earlier: of two equal hours the first one counts, also for who looks in the second.
        ticks = CronSim(cron, (after - timedelta(hours=3)).astimezone(here))
    except CronSimError as error:
        raise NotUnderstood(f"cron {cron[:200]!r} means nothing: {error}") from None
    return _behind(ticks, after)


def _behind(ticks: Iterator[datetime], after: datetime) -> Iterator[datetime]:
    last = after
    for tick in ticks:
        at = tick.astimezone(UTC)
        if at > last:
            yield at
            last = at
