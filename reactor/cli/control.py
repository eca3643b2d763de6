"""Steering: pause, resume, policy, breaker."""

import sys
from datetime import datetime

import click

from reactor.cli.output import answer_json, document, json_option, say, state, table, when
from reactor.cli.parsing import json_text
from reactor.cli.runtime import ask
from reactor.errors import UsageError
from reactor.model.queues import Queue
from reactor.pg import Connection
from reactor.store import breakers as breaker_store
from reactor.store import control, overview, show

_QUEUES = click.Choice([*(queue.value for queue in Queue), "all"])


@click.command(short_help="stop taking work")
@click.argument("queue", type=_QUEUES, default="all")
@click.option("--reason", help="Why; shown by status.")
def pause(queue: str, reason: str | None) -> None:
    """Stop taking rows of QUEUE (all of them when none is named), on every reactor, until resumed.

    What runs is finished; a conversation stops after the turn in flight. Pausing all also stops every call to the
    language model that has not begun.
    """

    async def paused(conn: Connection) -> None:
        await control.pause(conn, queue, reason)

    ask("pause", paused)
    say(f"{_named(queue)} paused: `voxyz-reactor resume{'' if queue == 'all' else ' ' + queue}` goes on")


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
    """Close the breaker of SERVICE and forget its failures; held-back work goes on."""

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
