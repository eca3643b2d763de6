"""The heartbeat: what comes round with time.

A part is a function that does one thing and says what it came to; nothing to say means nothing was done. Each is taken by
one process at a time (`ops_heartbeat_parts`), runs on its own, and when it fails the others never notice: the failure is
in the book (`ops_action_runs`), and the part comes round again.

`apply_rules` is also what runs as events arrive; here it is the fallback.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final

import structlog
import trio

from reactor import tracing
from reactor.errors import DatabaseError, ReactorError
from reactor.pg import Pool
from reactor.store import heartbeat as store
from reactor.store.heartbeat import TakenEvent

log = structlog.get_logger()

EVERY_S: Final = 300.0
PART_WITHIN_S: Final = 120.0
PRUNE_BATCH: Final = 500
PRUNE_BATCHES: Final = 40  # of each table and beat
MOST_EVENTS: Final = 10_000  # in one go; the rest waits for the next

Result = Mapping[str, object]
Part = Callable[[Pool], Awaitable[Result]]


async def apply_rules(pool: Pool) -> Result:
    """Every event of the inbox has been looked at by the rules and reactions it concerns, or may not be now."""
    events = proposals = 0
    problems: list[str] = []
    async with pool.connection() as conn:
        while events < MOST_EVENTS and (event := await store.take_event(conn)) is not None:
            events += 1
            proposals += event.proposals
            _trace(event)
            if event.problem is not None:
                problems.append(f"event {event.id}: {event.problem}")
    return _said(proposals=proposals, problems=problems)


def _trace(event: TakenEvent) -> None:
    """A span says what came of the event, at the head of the chain that follows from it."""
    facts = {"event_id": event.id, "proposals": event.proposals}
    with tracing.work(f"event {event.kind}", facts, event.root_id) as span:
        tracing.ended(span, "proposed" if event.proposals else "seen", event.problem)


async def fire_timed_rules(pool: Pool) -> Result:
    """The timed rules that are due had their turn."""
    async with pool.connection() as conn:
        fired = await store.fire_timed_rules(conn)
    return _said(
        proposals=sum(one.proposals for one in fired),
        rules=[one.rule for one in fired if one.proposals],
        problems=[f"rule {one.rule}: {one.problem}" for one in fired if one.problem],
    )


async def prune(pool: Pool) -> Result:
    """What policy retention no longer keeps is gone, a batch a transaction; what is left over goes next time."""
    deleted: dict[str, int] = {}
    for what in store.WALKED:
        deleted[what] = await _prune(pool, what)
    async with pool.connection() as conn:
        deleted["small"] = await store.prune_rest(conn, "small", PRUNE_BATCH)
        deleted["leftovers"] = await store.prune_rest(conn, "leftovers", PRUNE_BATCH)
        deleted["ledger"] = await store.prune_rest(conn, "ledger", PRUNE_BATCH)
    return _said(**deleted)


async def _prune(pool: Pool, what: str) -> int:
    # A mission takes up to a thousand steps with it.
    batch = PRUNE_BATCH // 10 if what == "missions" else PRUNE_BATCH
    deleted = 0
    after: int | None = 0
    for _ in range(PRUNE_BATCHES):
        async with pool.connection() as conn:
            gone, after = await store.prune(conn, what, after or 0, batch)
        deleted += gone
        if after is None:
            break
    return deleted


def _counting(what: str) -> Part:
    async def part(pool: Pool) -> Result:
        async with pool.connection() as conn:
            return _said(rows=await store.count(conn, what))

    return part


PARTS: Final[Mapping[str, Part]] = {
    "rules": apply_rules,
    "timed_rules": fire_timed_rules,
    "promotion": _counting("promote"),
    "outcomes": _counting("learn"),
    "initiatives": _counting("queue_initiatives"),
    "talks": _counting("bring_talks"),
    "expiry": _counting("expire"),
    "retention": prune,
}


async def beat(pool: Pool, parts: Mapping[str, Part] = PARTS, every_s: float = EVERY_S) -> dict[str, bool]:
    """Each part that was due was done, by us or by a peer.

    Returns: those that were ours, and whether they went well.
    Raises: DatabaseError: no connection at all; what was not reached comes round again.
    """
    done: dict[str, bool] = {}
    for name, part in parts.items():
        async with pool.connection() as conn:
            # A little less than the interval: who sleeps exactly as long must not come a moment too early.
            ours = await store.take(conn, name, every_s - min(5.0, every_s / 10))
            started_at = await store.now(conn) if ours else None
        if started_at is not None:
            done[name] = await _run(pool, name, part, started_at)
    return done


async def _run(pool: Pool, name: str, part: Part, started_at: datetime) -> bool:
    """Whether the part went well; either way its row is written, if it has anything to say."""
    result: Result = {}
    problem: str | None = None
    try:
        with trio.fail_after(PART_WITHIN_S):
            result = await part(pool)
    except trio.TooSlowError:
        problem = f"it took longer than {PART_WITHIN_S:.0f} s"
    except ReactorError as error:
        problem = str(error)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        log.exception("heartbeat_part_broke", part=name)
    if (problems := result.get("problems")) and isinstance(problems, list):
        problem = "; ".join(str(one) for one in problems)
    await _note(pool, name, started_at, result, problem)
    return problem is None


async def _note(pool: Pool, name: str, started_at: datetime, result: Result, problem: str | None) -> None:
    if problem is None and not result:
        return
    if problem is None:
        log.info("heartbeat", part=name, **result)
    else:
        log.warning("heartbeat_part_failed", part=name, reason=problem)
    try:
        async with pool.connection() as conn:
            await store.note(conn, name, started_at, result, problem)
    except DatabaseError as error:
        log.warning("heartbeat_not_noted", part=name, reason=str(error))


def _said(**facts: object) -> Result:
    """The facts that say anything: no zeros, nothing empty."""
    return {name: value for name, value in facts.items() if value}
