"""The timetable: what is due when, what will be, and taking what is due now."""

import random
from datetime import datetime
from zoneinfo import ZoneInfo

import click

from reactor.cli.output import Cell, answer_json, json_option, say, table, when
from reactor.cli.runtime import ask
from reactor.errors import UsageError
from reactor.handlers.foresight import Preview, foresee
from reactor.handlers.schedule import Look, take_due
from reactor.llm.metering import price_of, prices_of
from reactor.model.schedule import NotUnderstood, Slot, next_after
from reactor.pg import Connection
from reactor.settings import Settings
from reactor.store import agents
from reactor.store import schedule as store
from reactor.store.schedule import Last, Rules

DAY_S = 86400.0

OUTCOMES = {
    "queued": "took place",
    "not_chosen": "left to chance: not this time",
    "day_full": "enough conversations that day",
    "quiet_hours": "in the quiet hours",
    "missed": "missed while nobody ran",
}


@click.command(short_help="what is due when, and what is due now")
@click.option("--once", is_flag=True, help="Take what is due now and end; for a crontab.")
@click.option(
    "--preview",
    "days",
    type=click.IntRange(1, 366),
    metavar="DAYS",
    help="What will be due, with the calls and USD to expect.",
)
@json_option
def schedule(once: bool, days: int | None, as_json: bool) -> int:
    """Show the slots of the timetable, each with its next and last time.

    A running reactor keeps the timetable by itself; --once is for where none runs all day.
    """
    if once and days is not None:
        raise UsageError("--once and --preview do not go together: take what is due, or look ahead")
    if once:
        return _take(as_json)
    if days is not None:
        _preview(days, as_json)
    else:
        _list(as_json)
    return 0


def _take(as_json: bool) -> int:
    async def taken(conn: Connection) -> Look:
        return await take_due(conn, random.random)

    look = ask("schedule", taken)
    if as_json:
        answer_json(
            {
                "taken": [
                    {"slot": due.slot.name, "format": due.slot.format, "due_at": due.at, **one._asdict()}
                    for due, one in look.taken
                ],
                "paused": look.paused,
                "problems": list(look.problems.values()),
            }
        )
    else:
        for due, one in look.taken:
            what = f"queued as roundtable {one.roundtable_id}" if one.roundtable_id else OUTCOMES[one.outcome]
            say(f"{due.slot.name}: {what}")
        if look.paused:
            say("roundtables are paused: nothing is taken until `voxyz-reactor resume roundtable`")
        elif not look.taken:
            say("nothing is due")
        for problem in look.problems.values():
            say(f"{problem}: correct it in ops_conversation_slots")
    return 1 if look.problems else 0


def _list(as_json: bool) -> None:
    async def look(conn: Connection) -> tuple[list[Slot], dict[int, Last], Rules]:
        return await store.slots(conn), await store.last(conn), await store.rules(conn)

    slots, last, rules = ask("schedule", look)
    rows = [(slot, *_next(slot, rules.now), last.get(slot.id)) for slot in slots]
    if as_json:
        answer_json(
            [
                {
                    "name": slot.name,
                    "cron": slot.cron,
                    "timezone": slot.zone,
                    "format": slot.format,
                    "probability": slot.probability,
                    "enabled": slot.enabled,
                    "next_at": coming,
                    "problem": problem,
                    "last": had._asdict() if had else None,
                }
                for slot, coming, problem, had in rows
            ]
        )
        return
    table(
        ("slot", "cron", "time zone", "format", "chance", "next", "last"),
        [
            (
                slot.name,
                slot.cron,
                slot.zone,
                slot.format,
                f"{slot.probability:g}",
                _coming(slot, coming, problem, rules.now),
                f"{when(had.due_at, rules.now)}, {OUTCOMES[had.outcome]}" if had else "",
            )
            for slot, coming, problem, had in rows
        ],
        right=("chance",),
    )


def _next(slot: Slot, now: datetime) -> tuple[datetime | None, str | None]:
    """When the slot is due next, and what keeps that from being told."""
    try:
        return (next_after(slot, now) if slot.enabled else None), None
    except NotUnderstood as error:
        return None, str(error)


def _coming(slot: Slot, coming: datetime | None, problem: str | None, now: datetime) -> Cell:
    if problem is not None:
        return Cell(problem, "red")
    if not slot.enabled:
        return Cell("off", "yellow")
    return Cell("never" if coming is None else f"{_local(coming, slot.zone)}, {when(coming, now)}")


def _local(at: datetime, zone: str) -> str:
    return at.astimezone(ZoneInfo(zone)).strftime("%a %d %b %H:%M")


def _preview(days: int, as_json: bool) -> None:
    settings = Settings.load()

    async def look(conn: Connection) -> Preview:
        policies = await agents.policies(conn, ["llm_prices"])
        price = price_of(settings.model, prices_of(policies.get("llm_prices")))
        return await foresee(conn, days, (price.input_usd, price.output_usd))

    found = ask("schedule", look)
    if as_json:
        answer_json(
            {
                "due": [
                    {
                        "due_at": one.at,
                        "slot": one.slot.name,
                        "format": one.slot.format,
                        "probability": one.slot.probability,
                    }
                    for one in found.due
                ],
                "conversations": round(found.forecast.conversations, 1),
                "calls": round(found.forecast.calls),
                "usd": round(found.forecast.usd, 4),
                "model": settings.model,
            }
        )
        return
    table(
        ("when", "slot", "format", "chance"),
        [
            (_local(one.at, one.slot.zone), one.slot.name, one.slot.format, f"{one.slot.probability:g}")
            for one in found.due
        ],
        right=("chance",),
    )
    _print_forecast(found, days, settings.model)


def _print_forecast(found: Preview, days: int, model: str) -> None:
    it = found.forecast
    say()
    say(
        f"{days} {'day' if days == 1 else 'days'}: about {it.conversations:.0f} conversations"
        f" (at most {found.most_a_day} a day) with {it.conversation_calls:.0f} calls,"
        f" {it.rule_calls:.0f} calls of timed rules, {it.idea_calls:.0f} for ideas"
    )
    say(
        f"expected: {it.calls:.0f} calls, ${it.usd:.2f} at the prices of {model}; what they lead to comes on top"
    )
