"""One thing whole."""

import sys
from datetime import datetime
from typing import Any, NamedTuple

import click

from reactor.cli.following import line
from reactor.cli.output import (
    answer_json,
    document,
    facts,
    heading,
    json_option,
    say,
    span,
    state,
    table,
    when,
)
from reactor.cli.parsing import IDENTIFIER, ThingType
from reactor.cli.proposals import show_proposal
from reactor.cli.runtime import ask
from reactor.cli.talk import Replay
from reactor.errors import ReactorError
from reactor.handlers.held import request_of
from reactor.model.queues import Thing, What
from reactor.pg import Connection
from reactor.store import board, costs
from reactor.store import events as event_store
from reactor.store import show as things
from reactor.store.events import Event

Row = things.StepRow | things.MissionRow | things.RoundtableRow | things.InitiativeRow


class Whole(NamedTuple):
    """All there is to show of a thing."""

    row: Row
    steps: list[things.StepRow]
    talk: Replay | None
    request: Any
    cost: costs.OfThing
    chain: list[board.Link]
    events: list[Event]
    now: datetime


@click.command(short_help="one thing whole")
@click.argument("what", type=ThingType())
@click.argument("id", type=IDENTIFIER)
@json_option
def show(what: Thing, id: int, as_json: bool) -> None:
    """Show WHAT (step, mission, roundtable, initiative, proposal) number ID whole: steps, results, cost, what led to it.

    A roundtable is told turn by turn; of a held step, the request as it would be sent.
    """
    if what == "proposal":
        show_proposal(id, as_json)
        return
    thing = what

    async def look(conn: Connection) -> Whole:
        return await _whole(conn, thing, id)

    whole = ask("show", look)
    if as_json:
        answer_json(_as_json(what, whole))
        return
    heading(f"{what} {id}")
    facts([*_facts(whole.row, whole.now), ("cost", _cost(whole.cost))])
    if what == "mission":
        _print_steps(whole.steps, whole.now)
    else:
        if whole.talk is not None:
            whole.talk.show()
        _print_document("payload", getattr(whole.row, "payload", None))
        _print_document("the request as it would be sent", whole.request)
        _print_document("result", getattr(whole.row, "result", None))
    if whole.chain:
        say()
        heading("what led to it, and what it led to")
        for link in whole.chain:
            who = f" {link.agent_id}" if link.agent_id else ""
            say(f"{'· ' * link.depth}{when(link.created_at, whole.now)}{who} {link.kind}: {link.title}")
    if whole.events:
        say()
        heading("events")
        for event in whole.events:
            click.echo(line(event))


def _as_json(what: What, whole: Whole) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "what": what,
        **whole.row._asdict(),
        "cost": whole.cost._asdict(),
        "chain": [link._asdict() for link in whole.chain],
        "events": [event._asdict() for event in whole.events],
    }
    if what == "mission":
        answer["steps"] = [step._asdict() for step in whole.steps]
    if whole.talk is not None:
        answer.update(whole.talk.as_json())
    if whole.request is not None:
        answer["request"] = whole.request
    return answer


def _cost(cost: costs.OfThing) -> str:
    if not cost.calls:
        return ""
    would = f" (would be ${cost.would_cost_usd:.5f})" if cost.would_cost_usd > cost.cost_usd else ""
    return f"{cost.calls} {'call' if cost.calls == 1 else 'calls'}, ${cost.cost_usd:.5f}{would}"


async def _whole(conn: Connection, what: What, id: int) -> Whole:
    reader = {
        "step": things.step,
        "mission": things.mission,
        "roundtable": things.roundtable,
        "initiative": things.initiative,
    }[what]
    row: Row | None = await reader(conn, id)
    if row is None:
        raise ReactorError(f"there is no {what} {id}")
    steps = await things.steps_of_mission(conn, id) if what == "mission" else []
    talk = await Replay.of(conn, id) if what == "roundtable" else None
    request = await request_of(conn, row) if isinstance(row, things.StepRow) else None
    root = await things.root_of(conn, what, id)
    return Whole(
        row,
        steps,
        talk,
        request,
        await costs.of_thing(conn, what, id),
        await board.chain(conn, root) if root is not None else [],
        await event_store.about(conn, f"{what}_id", id),
        await things.now(conn),
    )


def _facts(row: Row, now: datetime) -> list[tuple[str, object]]:
    values = row._asdict()
    skipped = {"id", "status", "payload", "result", "run_at", "claimed_by", "crashes", "max_attempts"}
    pairs: list[tuple[str, object]] = [("status", state(row.status))]
    for name, value in values.items():
        if name in skipped or value is False:
            continue
        if name == "attempt":
            value = f"{value} of {values['max_attempts']}" + _crashes(values["crashes"])
        elif isinstance(value, datetime):
            value = f"{when(value, now)} ({value.astimezone().isoformat(' ', 'seconds')})"
        elif isinstance(value, list):
            value = ", ".join(map(str, value))
        elif value is True:
            value = "yes"
        pairs.append((name.replace("_", " "), value))
    if row.status in ("queued", "waiting") and values.get("run_at") and values["run_at"] > now:
        pairs.append(("due", when(values["run_at"], now)))
    if row.status == "running" and values.get("claimed_by"):
        pairs.append(("reactor", str(values["claimed_by"])[:8]))
    if row.started_at and row.completed_at:
        pairs.append(("took", span((row.completed_at - row.started_at).total_seconds())))
    return pairs


def _crashes(count: int) -> str:
    return f", {count} {'crash' if count == 1 else 'crashes'}" if count else ""


def _print_steps(steps: list[things.StepRow], now: datetime) -> None:
    say()
    table(
        ("seq", "step", "kind", "agent", "status", "attempt", "ended", "reason"),
        [
            (
                step.seq,
                step.id,
                step.kind,
                step.agent_id,
                state(step.status),
                f"{step.attempt}/{step.max_attempts}",
                when(step.completed_at, now),
                step.failure_reason,
            )
            for step in steps
        ],
        right=("seq", "step"),
    )
    for step in steps:
        if step.result is not None:
            _print_document(f"result of step {step.id} ({step.kind})", step.result)


def _print_document(title: str, value: Any) -> None:
    if value is None or value == {}:
        return
    say()
    heading(title)
    sys.stdout.write(document(value) + "\n")
