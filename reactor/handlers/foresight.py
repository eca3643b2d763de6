"""What the days to come bring: what is due, the calls it takes, what they cost."""

from datetime import timedelta
from typing import NamedTuple

from reactor.model.forecast import Forecast, expected
from reactor.model.schedule import Due, preview
from reactor.pg import Connection
from reactor.store import schedule as store

DAY_S = 86400.0


class Preview(NamedTuple):
    """The days to come."""

    due: list[Due]
    forecast: Forecast
    most_a_day: int


async def foresee(conn: Connection, days: int, usd: tuple[float, float]) -> Preview:
    """What is due in so many ``days``, and what that comes to; ``usd``: for a million tokens in, and out."""
    rules = await store.rules(conn)
    limits = await store.limits(conn)
    due = preview(await store.slots(conn), rules.now, days)
    silent = await store.quiet(conn, [one.at for one in due])
    due = [one for one in due if one.at not in silent]
    timed = await store.timed_work(conn)
    quiet = timedelta(seconds=limits.quiet_s % DAY_S)
    forecast = expected(
        due,
        await store.turns(conn),
        days=days,
        most_a_day=limits.conversations,
        rule_calls_a_day=sum(one.proposals * one.calls for one in timed),
        ideas_a_day=limits.ideas,
        awake=1 - quiet / timedelta(days=1),
        usd=usd,
    )
    return Preview(due, forecast, limits.conversations)
