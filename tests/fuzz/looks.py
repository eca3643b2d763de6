"""Everything reactors ask of a database again and again: none of it may fail because of what a row says."""

from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID, uuid4

from reactor.model.queues import Queue
from reactor.pg import Connection
from reactor.store import (
    agents,
    breakers,
    conversations,
    gauges,
    heartbeat,
    llm_ledger,
    memory,
    outside,
    overview,
    pauses,
    queues,
    rescue,
    schedule,
    steps,
    terms,
    workers,
)
from reactor.store.queues import Interruption, Settlement, Success, Taker

Look = Callable[[Connection], Awaitable[Any]]

KEY_PRINT: Final = "0123456789abcdef"
ME: Final = UUID(int=7)
KINDS: Final = ("noop", "analyze")
_GOOD: Final = {
    Queue.MISSION: "insert into ops_mission_steps (kind) values ('noop') returning id",
    Queue.ROUNDTABLE: "insert into ops_roundtable_queue (format, topic) values ('standup', 'tea') returning id",
    Queue.INITIATIVE: "insert into ops_initiative_queue (agent_id) values ('sage') returning id",
}
_DEAD: Final = """
insert into ops_workers (id, hostname, pid, version, parts, liveness_key, state, heartbeat_at)
values (%(id)s, 'gone', 1, '0', '{}', 987654321, 'ready', ops_now())
"""
_CALL: Final = llm_ledger.NewCall(
    "anthropic", "anthropic", KEY_PRINT, "m", "step:analyze", 0.001, 60.0, "sage", None, None, True, False, False
)  # fmt: skip


async def _beat(conn: Connection) -> None:
    await workers.beat(conn, ME, working=True, kinds=KINDS, agent=None, queues=tuple(Queue), vitals={})
    await workers.look(conn, ME)


async def _next_due(conn: Connection) -> None:
    for queue in Queue:
        await queues.next_due(conn, queue, Taker(ME, KINDS, None))


async def _rows_come_and_go(conn: Connection) -> None:
    """What is due is claimed, a good row behind it all too, and each row ends in its own way."""
    for queue in Queue:
        token = uuid4()
        good = await conn.fetch_value(_GOOD[queue])
        held = await conn.fetch_value(f"select status from {queue.table} where id = {good}") == "waiting"
        rows = await queues.claim(conn, queue, Taker(ME, KINDS, None), token=token, limit=100)
        # A hand that made its kind an external one has it held for approval, as it should be.
        assert held or good in [row.id for row in rows], f"the good row of {queue} was not claimed"
        successes, settlements, interruptions = [], [], []
        for place, row in enumerate(rows):
            match place % 4:
                case 0:
                    successes.append(
                        Success(row.id, token, row.mission_id, 0.1, False, '{"lesson": "look twice"}')
                    )
                case 1:
                    settlements.append(Settlement(row.id, token, row.mission_id, "failed", 0, 0.0, "no"))
                case 2:
                    settlements.append(Settlement(row.id, token, row.mission_id, "queued", -1, 5.0, "later"))
                case _:
                    interruptions.append(Interruption(row.id, token, row.mission_id, "broken"))
        done, settled = await queues.finish(conn, queue, successes, settlements, interruptions)
        assert done | settled.keys() == {row.id for row in rows}


async def _strangers(conn: Connection) -> None:
    failed = await steps.fail_orphaned_kinds(conn, KINDS)
    missions = {mission for _, _, mission in failed if mission is not None}
    await steps.lock_missions(conn, missions)
    await steps.roll_up(conn, missions)


async def _rescue(conn: Connection) -> None:
    dead = uuid4()
    await conn.run(_DEAD, {"id": dead})
    held = 0
    for queue in Queue:
        await conn.run(_GOOD[queue])
        held += len(await queues.claim(conn, queue, Taker(dead, KINDS, None), token=uuid4(), limit=100))
    rescued = await rescue.rescue(conn, dead)
    assert rescued is not None, "a dead one was not buried"
    assert sum(rescued.values()) == held, "rows of a dead one were left behind"


async def _rules(conn: Connection) -> None:
    for _ in range(5):
        await heartbeat.take_event(conn)
    await heartbeat.fire_timed_rules(conn)


async def _parts(conn: Connection) -> None:
    for what in ("promote", "learn", "queue_initiatives", "bring_talks", "expire"):
        await heartbeat.count(conn, what)


async def _retention(conn: Connection) -> None:
    for what in heartbeat.WALKED:
        await heartbeat.prune(conn, what, 0, 100)
    for what in ("small", "leftovers", "ledger"):
        await heartbeat.prune_rest(conn, what, 100)


async def _schedule(conn: Connection) -> None:
    from reactor.handlers.schedule import take_due

    await take_due(conn, lambda: 0.0)


async def _money(conn: Connection) -> None:
    reserved = await llm_ledger.reserve(conn, _CALL)
    if reserved.call_id is not None:
        await llm_ledger.settle(
            conn,
            llm_ledger.Settled(reserved.call_id, "ok", None, 0.001, 0.001, 1, 1, 0, 0, 1, True, None, None),
        )
    await llm_ledger.remaining(conn)
    await breakers.closed_services(conn, KEY_PRINT)
    for service in ("anthropic", "shut", "ajar"):
        if await breakers.allow(conn, service):
            await breakers.record(conn, service, False)


async def _telling(conn: Connection) -> None:
    await outside.daily_digest(conn)
    await outside.take_notices(conn, "mission_failed", 1)


async def _people(conn: Connection) -> None:
    await agents.roster(conn)
    await agents.policies(conn, ["llm_limits", "company", "llm_prices", "notify"])
    await memory.influence(conn, "sage", "mission", 1)
    await conversations.formats(conn)
    await conversations.candidates(conn, "standup")
    await conversations.fresh_matters(conn)
    await conversations.remembered(conn, ["sage", "minion"])


async def _standing(conn: Connection) -> None:
    await terms.terms(conn)
    await pauses.paused(conn)
    await gauges.due(conn)
    await gauges.statuses(conn)
    await gauges.breakers(conn)
    await overview.facts(conn)
    await overview.queues(conn)


async def _timetable(conn: Connection) -> None:
    await schedule.slots(conn)
    await schedule.last(conn)


LOOKS: Final[dict[str, Look]] = {
    "beat": _beat,
    "next due": _next_due,
    "claims and outcomes": _rows_come_and_go,
    "strangers": _strangers,
    "rescue": _rescue,
    "rules": _rules,
    "parts of the heartbeat": _parts,
    "retention": _retention,
    "schedule": _schedule,
    "timetable": _timetable,
    "money": _money,
    "telling": _telling,
    "people": _people,
    "standing": _standing,
}
