"""The timetable of conversations: what is due now is taken, once, and queued if chance has it so."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from reactor.errors import DatabaseError
from reactor.model.schedule import Due, NotUnderstood, Slot, due_now, next_after
from reactor.pg import Connection
from reactor.store import schedule as store
from reactor.store.schedule import Rules, Taken


@dataclass(frozen=True, slots=True)
class Look:
    """What one look came to: what was taken, how long until something is due (None: never), and what cannot be read."""

    taken: list[tuple[Due, Taken]]
    next_s: float | None
    paused: bool
    problems: dict[int, str]


async def take_due(conn: Connection, chance: Callable[[], float]) -> Look:
    """Everything due is taken by us or by a peer. While roundtables are paused nothing is: the resume catches up.

    ``chance``: a number from 0 to below 1, asked once an occurrence. Slots that mean nothing are left out and named.
    """
    rules = await store.rules(conn)
    slots = [slot for slot in await store.slots(conn) if slot.enabled]
    seen = await store.taken(conn, rules.now - timedelta(seconds=max(rules.within_s, 60.0) + 1))
    took: list[tuple[Due, Taken]] = []
    problems: dict[int, str] = {}
    nexts: list[datetime] = []
    for slot in slots:
        try:
            open_ones = [] if rules.paused else _due(slot, rules, seen.get(slot.id, set()))
            coming = next_after(slot, rules.now)
        except NotUnderstood as error:
            problems[slot.id] = f"slot {slot.name}: {error}"
            continue
        try:
            for due in open_ones:
                taken = await store.take(conn, due.slot.id, due.at, roll=chance(), missed=due.missed)
                took += [(due, taken)] if taken is not None else []
        except DatabaseError as error:
            if error.transient:
                raise
            problems[slot.id] = f"slot {slot.name}: {error}"  # the others' conversations take place
        if coming is not None:
            nexts.append(coming)
    next_s = (min(nexts) - rules.now).total_seconds() if nexts else None
    return Look(took, next_s, rules.paused, problems)


def _due(slot: Slot, rules: Rules, seen: set[datetime]) -> list[Due]:
    taken = {at.astimezone(UTC) for at in seen}
    return due_now(slot, rules.now, taken, catch_up=rules.catch_up, within_s=rules.within_s)
