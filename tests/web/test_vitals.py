"""How every reactor does, seen from anywhere: wake latency, missed wakes, slow claims, whether it hears."""

from typing import Any

import psycopg
import trio

from reactor.engine.claimer import SLOW_S
from reactor.engine.wake import Via
from tests.engine.support import Memory, insert, reactor_on
from tests.support.waiting import until
from tests.web.house import house, told

Session = psycopg.Connection[tuple[Any, ...]]


async def test_a_reactor_says_how_it_does_and_every_other_shows_it(database: str, sql: Session) -> None:
    memory = Memory()
    async with house(database) as it, reactor_on(database, memory) as worker:
        insert(sql)
        await until(lambda: len(memory.began_ids) == 1)
        await until(lambda: worker.lines[next(iter(worker.lines))].dispatcher.sleeping)
        with psycopg.connect(database) as stranger:
            stranger.execute("lock table ops_mission_steps in access exclusive mode")
            worker.control.wake_all(Via.NEWS)
            await trio.sleep(SLOW_S * 2)
            stranger.rollback()
        claims = next(iter(worker.lines.values())).dispatcher
        await until(lambda: bool(claims.slow_claims))
        worker.sweeper.beat_now()
        await until(lambda: "slow_claims" in vitals(sql, str(worker.identity.id)))
        await until(lambda: bool(vitals(sql, str(worker.identity.id))["slow_claims"]))
        listed = told(await it.get("/workers"), 200)["items"]
        seen = next(one["vitals"] for one in listed if one["id"] == str(worker.identity.id))
    assert seen["listener"] == "up"
    assert seen["wakes"]["mission"]["times"] >= 1
    assert seen["missed_wakes"] == {"mission": 0}
    assert (seen["slow_claims"][0]["queue"], seen["slow_claims"][0]["rows"]) == ("mission", 0)
    assert seen["slow_claims"][0]["took_s"] > SLOW_S


def vitals(sql: Session, worker: str) -> dict[str, Any]:
    row = sql.execute("select vitals from ops_workers where id = %s", (worker,)).fetchone()
    assert row is not None
    found: dict[str, Any] = row[0]
    return found
