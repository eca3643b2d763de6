"""The conversations' timetable. Twin of ``queries/schedule.sql``."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from reactor.model.schedule import CatchUp, Slot
from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("schedule")


class Rules(NamedTuple):
    """The database's time; what becomes of missed occurrences, up to how old; whether conversations are paused."""

    now: datetime
    catch_up: CatchUp
    within_s: float
    paused: bool


class Taken(NamedTuple):
    """What became of an occurrence: queued, not_chosen, day_full, quiet_hours or missed."""

    outcome: str
    roundtable_id: int | None


class Last(NamedTuple):
    """The last occurrence of a slot."""

    slot_id: int
    due_at: datetime
    outcome: str
    roundtable_id: int | None


class TimedWork(NamedTuple):
    """What a timed rule brings about: proposals a day, calls to the model for each."""

    name: str
    proposals: float
    calls: float


class DayLimits(NamedTuple):
    """Conversations and ideas a day at most, and the span from the beginning of the quiet hours to their end (s)."""

    conversations: int
    ideas: float
    quiet_s: float


async def slots(conn: Connection) -> list[Slot]:
    """Every slot, the disabled included, by id."""
    return [Slot(*row) for row in await conn.fetch_all(_SQL["slots"])]


async def rules(conn: Connection) -> Rules:
    """By what the timetable goes at present."""
    row = await conn.fetch_row(_SQL["rules"])
    assert row is not None
    return Rules(row[0], CatchUp(row[1]), row[2], row[3])


async def taken(conn: Connection, since: datetime) -> dict[int, set[datetime]]:
    """What has been taken of what was due since then, by slot."""
    found: dict[int, set[datetime]] = {}
    for slot_id, due_at in await conn.fetch_all(_SQL["taken"], {"since": since}):
        found.setdefault(slot_id, set()).add(due_at)
    return found


async def take(
    conn: Connection, slot_id: int, due_at: datetime, *, roll: float, missed: bool = False
) -> Taken | None:
    """The occurrence is taken, once for ever, and its conversation queued if the roll has it so; None: it had been taken."""
    values = {"slot": slot_id, "due_at": due_at, "roll": roll, "missed": missed}
    row = await conn.fetch_row(_SQL["take"], values)
    return Taken(*row) if row else None


async def last(conn: Connection) -> dict[int, Last]:
    """The last occurrence of every slot that had one."""
    return {row[0]: Last(*row) for row in await conn.fetch_all(_SQL["last"])}


async def turns(conn: Connection) -> dict[str, float]:
    """How many turns a conversation takes on average, by format."""
    return {row[0]: float(row[1]) for row in await conn.fetch_all(_SQL["formats"])}


async def timed_work(conn: Connection) -> list[TimedWork]:
    """What timed rules bring about a day."""
    return [TimedWork(*row) for row in await conn.fetch_all(_SQL["timed_work"])]


async def limits(conn: Connection) -> DayLimits:
    """What a day may have at most."""
    row = await conn.fetch_row(_SQL["limits"])
    assert row is not None
    return DayLimits(*row)


async def quiet(conn: Connection, moments: Sequence[datetime]) -> set[datetime]:
    """Those of the moments that lie in the quiet hours."""
    return {row[0] for row in await conn.fetch_all(_SQL["quiet"], {"moments": list(moments)})}
