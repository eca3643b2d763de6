"""Giving work and taking it back: enqueue, retry, cancel."""

import getpass
import sys
from collections.abc import Awaitable, Callable

import click

from reactor.cli.output import say
from reactor.cli.parsing import IDENTIFIER, PRIORITY, Span, ThingType, WhatType, json_text, refuse_unknown
from reactor.cli.runtime import ask
from reactor.cli.waiting import follow
from reactor.errors import UsageError
from reactor.model.formats import FORMATS
from reactor.model.queues import Thing, What
from reactor.pg import Connection
from reactor.store import agents, control, kinds, proposals, show
from reactor.store import enqueue as entrance

wait_option = click.option(
    "--wait", is_flag=True, help="Follow it to its end and print the result; exit 1 when it failed."
)
timeout_option = click.option(
    "--timeout", "timeout_s", type=Span(), default="10min", show_default=True, help="How long --wait waits."
)
priority_option = click.option(
    "--priority", type=PRIORITY, default=5, show_default=True, help="10 goes first."
)
delay_option = click.option(
    "--in", "delay_s", type=Span(), default="0s", help="Not before so much time, such as 5min."
)
agent_option = click.option("--agent", help="The agent it is for.")


@click.group(short_help="give work")
def enqueue() -> None:
    """Give work: a step, a mission, a roundtable, an initiative. Prints the new id."""


@enqueue.command(short_help="one step of work")
@click.argument("kind")
@click.argument("payload", default="{}", metavar="[JSON]")
@agent_option
@priority_option
@delay_option
@click.option(
    "--max-attempts", type=click.IntRange(1, 100), default=3, show_default=True, help="Tries until it fails."
)
@wait_option
@timeout_option
def step(
    kind: str,
    payload: str,
    agent: str | None,
    priority: int,
    delay_s: float,
    max_attempts: int,
    wait: bool,
    timeout_s: float,
) -> int:
    """Queue one step of KIND with the payload JSON, an object; `-` reads it from stdin."""
    text = json_text(payload, "the payload", "object")

    async def insert(conn: Connection) -> int:
        refuse_unknown("kind", kind, await kinds.known(conn))
        if agent is not None:
            await _refuse_unknown_agent(conn, agent)
        return await entrance.step(
            conn, kind, text, agent=agent, priority=priority, max_attempts=max_attempts, delay_s=delay_s
        )

    return _queue("step", insert, wait, timeout_s)


@enqueue.command(short_help="several steps, one after another")
@click.argument("title")
@click.argument("steps", metavar="JSON")
@priority_option
@wait_option
@timeout_option
def mission(title: str, steps: str, priority: int, wait: bool, timeout_s: float) -> int:
    """Queue a mission: TITLE, and an array of steps like {"kind": "research", "payload": {}}; `-` reads stdin."""
    text = json_text(steps, "the steps", "array")

    async def insert(conn: Connection) -> int:
        return await entrance.mission(conn, title, text, created_by=_who(), priority=priority)

    return _queue("mission", insert, wait, timeout_s)


@enqueue.command(short_help="a conversation")
@click.argument("format")
@click.argument("topic", required=False)
@click.option(
    "--with", "participants", help="Who takes part, separated by commas; else format and hour choose."
)
@priority_option
@delay_option
@wait_option
@timeout_option
def roundtable(
    format: str,
    topic: str | None,
    participants: str | None,
    priority: int,
    delay_s: float,
    wait: bool,
    timeout_s: float,
) -> int:
    """Queue a conversation of FORMAT about TOPIC."""
    names = [name.strip() for name in (participants or "").split(",") if name.strip()]

    async def insert(conn: Connection) -> int:
        refuse_unknown("format", format, list(FORMATS))
        for name in names:
            await _refuse_unknown_agent(conn, name)
        return await entrance.roundtable(
            conn, format, topic, participants=names, priority=priority, delay_s=delay_s
        )

    return _queue("roundtable", insert, wait, timeout_s)


enqueue.add_command(roundtable, "conversation")


@enqueue.command(short_help="ask an agent for a proposal")
@click.argument("agent")
@click.option("--reason", help="Why it is asked.")
@priority_option
@delay_option
@wait_option
@timeout_option
def initiative(
    agent: str, reason: str | None, priority: int, delay_s: float, wait: bool, timeout_s: float
) -> int:
    """Ask AGENT to propose something."""

    async def insert(conn: Connection) -> int:
        await _refuse_unknown_agent(conn, agent)
        return await entrance.initiative(conn, agent, reason=reason, priority=priority, delay_s=delay_s)

    return _queue("initiative", insert, wait, timeout_s)


async def _refuse_unknown_agent(conn: Connection, agent: str) -> None:
    refuse_unknown("agent", agent, [one.id for one in await agents.roster(conn) if one.active])


def _who() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return None  # an account without a name, as in some containers


def _queue(what: What, insert: Callable[[Connection], Awaitable[int]], wait: bool, timeout_s: float) -> int:
    """Insert, print the id, follow it when asked; returns the exit code."""

    async def queued(conn: Connection) -> int:
        id = await insert(conn)
        say(id)
        sys.stdout.flush()  # whoever reads it in a pipe wants it before the work has ended
        return await follow(conn, what, id, timeout_s=timeout_s) if wait else 0

    return ask("enqueue", queued)


@click.command(short_help="bring work back")
@click.argument("what", type=WhatType(), required=False)
@click.argument("id", type=IDENTIFIER, required=False)
@click.option("--failed", is_flag=True, help="Everything that failed, instead of one thing.")
@click.option(
    "--since", "since_s", type=Span(), help="With --failed: only what failed in that time, such as 2h."
)
def retry(what: What | None, id: int | None, failed: bool, since_s: float | None) -> int:
    """Bring WHAT (step, mission, roundtable, initiative) number ID back: failed or cancelled work runs again, work
    that is not due yet is due now. A step's retry reopens its mission.
    """
    if failed == (what is not None) or (what is None) != (id is None) or (since_s is not None and not failed):
        raise UsageError("retry takes WHAT and ID, such as `retry step 12`, or --failed [--since 2h]")
    if failed:
        return _retry_failed(since_s if since_s is not None else 365 * 86400.0)
    assert what is not None
    assert id is not None
    thing, number = what, id

    async def again(conn: Connection) -> tuple[bool, str]:
        changed = await control.retry(conn, thing, number)
        return changed, await _status(conn, thing, number)

    changed, status = ask("retry", again)
    if changed:
        say(f"{what} {id} is {status}")
        return 0
    say(f"{what} {id} is {status}: nothing to retry")
    return 1 if status == "succeeded" else 0


def _retry_failed(since_s: float) -> int:
    async def all_again(conn: Connection) -> int:
        found = await control.failed_since(conn, since_s)
        return sum([await control.retry(conn, what, id) for what, id in found])

    count = ask("retry", all_again)
    say(f"{count} {'row is' if count == 1 else 'rows are'} queued again")
    return 0


@click.command(short_help="call work off")
@click.argument("what", type=ThingType())
@click.argument("id", type=IDENTIFIER)
def cancel(what: Thing, id: int) -> int:
    """Call WHAT (step, mission, roundtable, initiative, proposal) number ID off, also when it runs: its handler is
    stopped.

    A cancelled step cancels the rest of its mission; a cancelled proposal is a rejected one.
    """

    async def off(conn: Connection) -> tuple[bool, str]:
        changed = await control.cancel(conn, what, id)
        return changed, await _status(conn, what, id)

    changed, status = ask("cancel", off)
    say(f"{what} {id} is {status}" + ("" if changed else ": nothing to cancel"))
    return 0 if status == ("rejected" if what == "proposal" else "cancelled") else 1


async def _status(conn: Connection, what: Thing, id: int) -> str:
    if what == "proposal":
        proposal = await proposals.proposal(conn, id)
        return proposal.status if proposal else "gone"
    found = await show.state(conn, what, id)
    return found.status if found else "gone"
