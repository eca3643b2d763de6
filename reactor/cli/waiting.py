"""Following one piece of work to its end."""

import sys
from collections.abc import Awaitable, Callable

import trio

from reactor.cli.endings import complain
from reactor.cli.output import document, span
from reactor.cli.parsing import queue_of
from reactor.errors import OpsError
from reactor.model.queues import TERMINAL, What
from reactor.pg import Connection
from reactor.store import fleet, show
from reactor.store import why as why_store

# A look at one row by its key is cheap; most work takes either milliseconds or seconds.
FIRST_GAP_S = 0.02
LONGEST_GAP_S = 0.5
CHECK_FLEET_EVERY_S = 5.0
TELL_WHY_AFTER_S = 2.0
WAITING = frozenset({"waiting", "queued", "approved"})


async def follow(
    conn: Connection,
    what: What,
    id: int,
    *,
    timeout_s: float,
    look: Callable[[], Awaitable[None]] | None = None,
    tell: Callable[[object], None] | None = None,
) -> int:
    """Wait until the thing has ended and print its result; returns the exit code, 0 when it succeeded.

    ``look`` is called at every look, the last one included; ``tell`` is given the result instead of stdout.

    Without a live reactor that would take it, or once ``timeout_s`` is over, it stays queued and one line says so. What it
    waits for meanwhile, such as a pause, is told on stderr.
    """
    began = trio.current_time()
    gap_s = FIRST_GAP_S
    looked_at_fleet = -CHECK_FLEET_EVERY_S
    told, tell_why_at_s = "", TELL_WHY_AFTER_S
    while True:
        found = await show.state(conn, what, id)
        if found is None:
            complain(f"{what} {id} was deleted")
            return 1
        if look is not None:
            await look()
        if found.status in TERMINAL:
            return _report(what, id, found, tell or print_result)
        waited_s = trio.current_time() - began
        if waited_s - looked_at_fleet >= CHECK_FLEET_EVERY_S:
            looked_at_fleet = waited_s
            if not await _somebody_takes(conn, what, id):
                complain(
                    f"no live reactor takes {what} {id}, which stays {found.status}: start one with `voxyz-reactor run`"
                )
                return 1
        if found.status in WAITING and waited_s >= tell_why_at_s:
            tell_why_at_s = waited_s + CHECK_FLEET_EVERY_S
            told = await _tell_why(conn, what, id, told)
        if waited_s > timeout_s:
            complain(
                f"{what} {id} is still {found.status} after {span(timeout_s)}: `voxyz-reactor show {what} {id}`"
            )
            return 1
        await trio.sleep(min(gap_s, max(timeout_s - waited_s, 0) + FIRST_GAP_S))
        gap_s = min(gap_s * 1.5, LONGEST_GAP_S)


async def _tell_why(conn: Connection, what: What, id: int, told: str) -> str:
    """What it waits for is told, unless that was ``told`` before; returns what was told last."""
    try:
        sentence = (await why_store.why(conn, what, id)).sentence
    except OpsError:
        return told  # deleted this moment: the next look says so
    if sentence != told:
        complain(f"{what} {id}: {sentence}")
    return sentence


def _report(what: What, id: int, found: show.State, tell: Callable[[object], None]) -> int:
    if found.status == "succeeded":
        tell(found.result)
        return 0
    complain(f"{what} {id} {found.status}: {found.failure_reason or 'no reason given'}")
    return 1


def print_result(result: object) -> None:
    """The result on stdout, as JSON."""
    if result is not None:
        sys.stdout.write(document(result) + "\n")


async def _somebody_takes(conn: Connection, what: What, id: int) -> bool:
    kind: str | None = None
    agent: str | None = None
    if what == "step":
        step = await show.step(conn, id)
        if step is not None:
            kind, agent = step.kind, step.agent_id
    elif what == "mission":
        ahead = await show.ahead_of_mission(conn, id)
        if ahead is None:
            return True  # it ends this moment
        kind, agent = ahead
    return fleet.anybody_takes(await fleet.fleet(conn), queue_of(what), kind, agent)
