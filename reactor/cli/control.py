"""Steering: pause, resume, policy, breaker."""

import sys
from datetime import datetime
from typing import NamedTuple

import click
import trio

from reactor.cli.output import answer_json, document, facts, json_option, say, span, state, table, when
from reactor.cli.parsing import json_text
from reactor.cli.runtime import ask
from reactor.errors import UsageError
from reactor.model.queues import Queue
from reactor.pg import Connection
from reactor.store import breakers as breaker_store
from reactor.store import control, overview, relationships, show
from reactor.store.control import HeldBack, InHand

# How long a pause waits for what ran to go back or end, before it says what is still in flight.
SETTLE_WITHIN_S = 1.0
SETTLE_LOOK_S = 0.02

_QUEUES = click.Choice([*(queue.value for queue in Queue), "all"])


class Stopped(NamedTuple):
    """What a pause came upon: rows given back, how many ended by themselves, rows that still run, and what waits."""

    given_back: list[InHand]
    ended: int
    running: list[InHand]
    held_back: HeldBack


@click.command(short_help="stop taking work")
@click.argument("queue", type=_QUEUES, default="all")
@click.option("--reason", help="Why; shown by status.")
def pause(queue: str, reason: str | None) -> None:
    """Stop taking rows of QUEUE (all of them when none is named), on every reactor, until resumed.

    What runs is finished; a conversation stops after the turn in flight. Pausing all also stops every call to the
    language model that has not begun.
    """

    async def paused(conn: Connection) -> Stopped:
        return await _pause(conn, queue, reason)

    stopped = ask("pause", paused)
    say(f"{_named(queue)} paused: `voxyz-reactor resume{'' if queue == 'all' else ' ' + queue}` goes on")
    _tell_stopped(queue, stopped)


async def _pause(conn: Connection, queue: str, reason: str | None) -> Stopped:
    """The queue is paused, and what ran has had a moment to go back."""
    seen = {(row.queue, row.id): row for row in await control.in_hand(conn, queue)}
    await control.pause(conn, queue, reason)
    give_up_at = trio.current_time() + SETTLE_WITHIN_S
    while True:
        running = await control.in_hand(conn, queue)
        seen |= {(row.queue, row.id): row for row in running}
        if not running or trio.current_time() >= give_up_at:
            break
        await trio.sleep(SETTLE_LOOK_S)
    back = await control.given_back(conn, seen.values())
    given_back = [row for key, row in seen.items() if key in back]
    ended = len(seen.keys() - back - {(row.queue, row.id) for row in running})
    return Stopped(given_back, ended, running, await control.held_back(conn, queue))


def _tell_stopped(queue: str, stopped: Stopped) -> None:
    calls = stopped.held_back.calls
    facts(
        [
            (
                "stopped",
                "every call to the model that had not begun, schedule and heartbeat"
                if queue == "all"
                else "",
            ),
            ("held back", f"{stopped.held_back.queued} queued"),
            ("given back", ", ".join(f"{row.queue} {row.id} {row.what}" for row in stopped.given_back)),
            ("ended meanwhile", stopped.ended or ""),
            (
                "still in flight",
                ", ".join(f"{row.queue} {row.id} {row.what} ({span(row.since_s)})" for row in stopped.running)
                or "nothing",
            ),
            ("calls under way", calls or ""),
        ]
    )


@click.command(short_help="take work again")
@click.argument("queue", type=_QUEUES, default="all")
def resume(queue: str) -> None:
    """Take rows of QUEUE again (of all when none is named)."""

    async def resumed(conn: Connection) -> list[overview.Pause]:
        await control.resume(conn, queue)
        return await overview.pauses(conn)

    left = ask("resume", resumed)
    rest = f"; still paused: {', '.join(pause.queue for pause in left)}" if left else ""
    say(f"{_named(queue)} resumed{rest}")


def _named(queue: str) -> str:
    return "all queues are" if queue == "all" else f"queue {queue} is"


@click.command("reset", short_help="undo what the stand-in did to relationships")
@click.option("--simulated", is_flag=True, required=True, help="Undo what was simulated, nothing else.")
def reset_command(simulated: bool) -> None:
    """Start relationships that only the stand-in has moved from where they were seeded.

    The first call to a real model does so by itself; what moved for real stays.
    """
    begun = ask("reset", relationships.reset_simulated)
    say(
        f"{begun} {'relationship begins' if begun == 1 else 'relationships begin'} again where"
        f" {'it was' if begun == 1 else 'they were'} seeded"
        if begun
        else "no relationship was moved by the stand-in alone"
    )


@click.command(short_help="read or change a policy")
@click.argument("key", required=False)
@click.argument("value", required=False, metavar="[JSON]")
@json_option
def policy(key: str | None, value: str | None, as_json: bool) -> None:
    """List the policies, print the one of KEY, or merge JSON into it; `-` reads the JSON from stdin.

    Objects are merged key by key, everything else is replaced. The new value is in force at once, everywhere.
    """
    if key is None:
        _list_policies(as_json)
    elif value is None:
        _print_policy(key, as_json)
    else:
        patch = json_text(value, "the value")

        async def changed(conn: Connection) -> object:
            return await control.set_policy(conn, key, patch)

        _print_value(ask("policy", changed))


def _list_policies(as_json: bool) -> None:
    found = ask("policy", control.policies)
    if as_json:
        answer_json([one._asdict() for one in found])
        return
    rows = [(one.key, f"v{one.version}", one.description) for one in found]
    table(("policy", "version", "what it rules"), rows)


def _print_policy(key: str, as_json: bool) -> None:
    found = {one.key: one for one in ask("policy", control.policies)}
    if key not in found:
        raise UsageError(f"there is no policy {key}; known are {', '.join(found) or 'none'}")
    if as_json:
        answer_json(found[key]._asdict())
    else:
        _print_value(found[key].value)


def _print_value(value: object) -> None:
    sys.stdout.write(document(value) + "\n")


@click.group(short_help="the circuit breakers", invoke_without_command=True)
@json_option
@click.pass_context
def breaker(ctx: click.Context, as_json: bool) -> None:
    """Show the circuit breakers; `breaker reset SERVICE` closes one by hand."""
    if ctx.invoked_subcommand is None:
        _list_breakers(as_json)


@breaker.command(short_help="close one by hand")
@click.argument("service")
def reset(service: str) -> None:
    """Close the breaker of SERVICE and forget its failures; a refused key is tried again; held-back work goes on."""

    async def closed(conn: Connection) -> bool:
        return await breaker_store.reset(conn, service)

    changed = ask("breaker", closed)
    say(f"breaker {service} is closed" + ("" if changed else " and had been before"))


def _list_breakers(as_json: bool) -> None:
    async def look(conn: Connection) -> tuple[list[breaker_store.BreakerRow], list[tuple[object, ...]]]:
        found = await breaker_store.breakers(conn)
        return found, breaker_rows(found, await show.now(conn))

    found, rows = ask("breaker", look)
    if as_json:
        answer_json([one._asdict() for one in found])
        return
    table(BREAKER_COLUMNS, rows, right=("failures",))


BREAKER_COLUMNS = ("service", "state", "failures", "next try")


def breaker_rows(found: list[breaker_store.BreakerRow], now: datetime) -> list[tuple[object, ...]]:
    """The breakers as lines under ``BREAKER_COLUMNS``."""
    return [
        (
            one.service,
            state(one.state),
            f"{one.failure_count}/{one.failure_threshold}",
            "now" if one.open_until is not None and one.open_until <= now else when(one.open_until, now),
        )
        for one in found
    ]
