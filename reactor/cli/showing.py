"""One thing whole."""

import sys
from datetime import datetime
from typing import Any

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
from reactor.store import events as event_store
from reactor.store import show as things
from reactor.store.events import Event

Row = things.StepRow | things.MissionRow | things.RoundtableRow | things.InitiativeRow
Whole = tuple[Row, list[things.StepRow], Replay | None, Any, list[Event], datetime]


@click.command(short_help="one thing whole")
@click.argument("what", type=ThingType())
@click.argument("id", type=IDENTIFIER)
@json_option
def show(what: Thing, id: int, as_json: bool) -> None:
    """Show WHAT (step, mission, roundtable, initiative, proposal) number ID whole: its steps, results, and what happened.

    A roundtable is told turn by turn; of a held step, the request as it would be sent.
    """
    if what == "proposal":
        show_proposal(id, as_json)
        return
    thing = what

    async def look(conn: Connection) -> Whole:
        return await _whole(conn, thing, id)

    row, steps, talk, request, events, now = ask("show", look)
    if as_json:
        answer = {"what": what, **row._asdict(), "events": [event._asdict() for event in events]}
        if what == "mission":
            answer["steps"] = [step._asdict() for step in steps]
        if talk is not None:
            answer.update(talk.as_json())
        if request is not None:
            answer["request"] = request
        answer_json(answer)
        return
    heading(f"{what} {id}")
    facts(_facts(row, now))
    if what == "mission":
        _print_steps(steps, now)
    else:
        if talk is not None:
            talk.show()
        _print_document("payload", getattr(row, "payload", None))
        _print_document("the request as it would be sent", request)
        _print_document("result", getattr(row, "result", None))
    if events:
        say()
        heading("events")
        for event in events:
            click.echo(line(event))


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
    return row, steps, talk, request, await event_store.about(conn, f"{what}_id", id), await things.now(conn)


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
