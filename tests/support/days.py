"""A house lives through days in minutes: a real reactor on the stand-in, and a clock that is set from beat to beat."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import trio

from reactor.cli.run import _reactor
from reactor.cli.runtime import Database
from reactor.engine.supervisor import Reactor
from reactor.engine.wake import Via
from reactor.handlers import heartbeat, schedule
from reactor.handlers.kinds import KindRegistry
from reactor.handlers.thinking import house_kinds
from reactor.settings import Settings
from tests.engine.support import Memory, scalar
from tests.support.clock import Clock

Sql = psycopg.Connection[tuple[Any, ...]]

BEAT: Final = timedelta(
    seconds=2 * heartbeat.EVERY_S
)  # nothing that comes round in a day minds half the beats
BUSY: Final = """
select
  (select count(*) from ops_mission_steps where status = 'running' or status = 'queued' and run_at <= ops_now())
  + (select count(*) from ops_roundtable_queue where status = 'running' or status = 'queued' and run_at <= ops_now())
  + (select count(*) from ops_initiative_queue where status = 'running' or status = 'queued' and run_at <= ops_now())
"""
WITHIN_S: Final = 60.0


async def live(
    dsn: str, sql: Sql, clock: Clock, until: datetime, *, chance: Callable[[], float] = random.random
) -> None:
    """Everything that comes round, comes due or follows from it until then has happened and been worked on."""
    settings = Settings.load({"DATABASE_URL": dsn, "VOXYZ_LLM": "mock"}, cwd=Path("/"))
    parts = ("mission", "roundtable", "initiative")
    registry = KindRegistry(house_kinds())
    async with _reactor(settings, Database(dsn, dsn), parts, registry, Memory()) as reactor:
        while clock.now < until:
            clock.set(min(clock.now + BEAT, until))
            async with reactor.pool.connection() as conn:
                await schedule.take_due(conn, chance)
            await heartbeat.beat(reactor.pool)
            await _work_off(reactor, sql)


async def _work_off(reactor: Reactor, sql: Sql) -> None:
    """Nothing is due any more, and no event waits for the rules."""
    while True:
        reactor.control.wake_all(Via.NEWS)
        with trio.fail_after(WITHIN_S):
            while scalar(sql, BUSY):
                await trio.sleep(0.005)
        before = scalar(sql, "select count(*) from ops_mission_proposals")
        await heartbeat.apply_rules(reactor.pool)
        if not scalar(sql, BUSY) and before == scalar(sql, "select count(*) from ops_mission_proposals"):
            return
