"""Looking: status, workers, relationships; events and show have modules of their own."""

from datetime import datetime
from typing import NamedTuple

import click

from reactor.cli.control import BREAKER_COLUMNS, breaker_rows
from reactor.cli.costs import PAUSES, dollars
from reactor.cli.following import events
from reactor.cli.output import (
    Cell,
    answer_json,
    facts,
    heading,
    json_option,
    say,
    size,
    span,
    state,
    table,
    wake_words,
    when,
)
from reactor.cli.runtime import ask
from reactor.cli.showing import show
from reactor.pg import Connection
from reactor.store import breakers as breaker_store
from reactor.store import costs, fleet, overview
from reactor.store import relationships as relationship_store
from reactor.store import show as show_store

__all__ = ["events", "relationships", "show", "status", "workers"]

DEAD_LETTERS = 10
STATES = ("waiting", "queued", "running", "succeeded", "failed", "cancelled")


class Status(NamedTuple):
    """All that ``status`` tells."""

    facts: overview.Facts
    queues: list[overview.QueueCounts]
    pauses: list[overview.Pause]
    workers: list[fleet.Worker]
    breakers: list[breaker_store.BreakerRow]
    dead_letters: list[overview.DeadLetter]
    budgets: list[costs.Budget]
    paused_keys: list[costs.PausedKey]


async def gather(conn: Connection) -> Status:
    """One look at everything, in a statement each."""
    return Status(
        await overview.facts(conn),
        await overview.queues(conn),
        await overview.pauses(conn),
        await fleet.fleet(conn),
        await breaker_store.breakers(conn),
        await overview.dead_letters(conn, DEAD_LETTERS),
        await costs.budgets(conn),
        await costs.paused_keys(conn),
    )


@click.command(short_help="queues, reactors, breakers, what failed")
@json_option
def status(as_json: bool) -> None:
    """How it stands: the queues, the reactors, the breakers, and the last work that failed for good."""
    found = ask("status", gather)
    if as_json:
        answer_json(
            {
                **found.facts._asdict(),
                "queues": [one._asdict() for one in found.queues],
                "pauses": [one._asdict() for one in found.pauses],
                "workers": [one._asdict() for one in found.workers],
                "breakers": [one._asdict() for one in found.breakers],
                "dead_letters": [one._asdict() for one in found.dead_letters],
                "budgets": [one._asdict() for one in found.budgets],
                "paused_keys": [one._asdict() for one in found.paused_keys],
            }
        )
        return
    _print_status(found)


def _print_status(found: Status) -> None:
    now = found.facts.now
    if not found.facts.company_known:
        say("nobody has said yet what the company is: `voxyz-reactor init` asks")
        say()
    live = [worker for worker in found.workers if worker.live]
    facts(_facts(found, len(live)))
    say()
    paused = {pause.queue: pause for pause in found.pauses}
    table(
        ("queue", *STATES, "oldest due", "takes work"),
        [(*_counts(one), _open(paused.get(one.queue), now)) for one in found.queues],
        right=(*STATES, "oldest due"),
    )
    if live:
        say()
        _worker_table(live, now)
    if found.breakers:
        say()
        table(BREAKER_COLUMNS, breaker_rows(found.breakers, now), right=("failures",))
    if found.dead_letters:
        say()
        heading("failed for good (retry WHAT ID brings it back)")
        table(
            ("what", "id", "kind", "agent", "when", "why"),
            [
                (one.what, one.id, one.kind, one.agent_id, when(one.completed_at, now), one.failure_reason)
                for one in found.dead_letters
            ],
            right=("id",),
        )


def _facts(found: Status, live: int) -> list[tuple[str, object]]:
    """What is said before the tables."""
    about = found.facts
    database = f"{about.database}, PostgreSQL {about.server_version}, {size(about.size_bytes)}"
    nobody = Cell("none running: start one with `voxyz-reactor run`", "yellow")
    unscanned = "none, scanning is off: add pages to policy sources"
    return [
        ("database", database),
        ("missions", f"{about.active_missions} under way"),
        ("reactors", f"{live} running" if live else nobody),
        ("sources", f"{about.sources} looked at" if about.sources else unscanned),
        ("model", _model(found)),
    ]


def _model(found: Status) -> Cell:
    """What keeps calls to the model from being made, else what was spent on them today."""
    for key in found.paused_keys:
        return Cell(f"calls are paused: {PAUSES.get(key.reason, key.reason)} ({span(key.wait_s)})", "yellow")
    for budget in found.budgets:
        spent = f"{dollars(budget.spent_usd)} of {dollars(budget.limit_usd)} a {budget.scope}"
        if budget.scope != "agent" and budget.spent_usd >= budget.for_agents_usd:
            whose = "all" if budget.spent_usd >= budget.limit_usd else "the agents' share"
            return Cell(f"out of budget: {whose} is spent, {spent}; raise it in policy llm_budget", "yellow")
    return Cell(
        ", ".join(
            f"{dollars(one.spent_usd)} of {dollars(one.limit_usd)} a {one.scope} spent"
            for one in found.budgets
            if one.scope != "agent"
        )
    )


def _counts(one: overview.QueueCounts) -> tuple[object, ...]:
    due = "" if one.oldest_due_s is None else span(max(one.oldest_due_s, 0.0))
    failed = Cell(str(one.failed), "red" if one.failed else "")
    return one.queue, one.waiting, one.queued, one.running, one.succeeded, failed, one.cancelled, due


def _open(pause: overview.Pause | None, now: datetime) -> Cell:
    if pause is None:
        return Cell("yes")
    why = f": {pause.reason}" if pause.reason else ""
    return Cell(f"paused {when(pause.paused_at, now)} by {pause.paused_by}{why}", "yellow")


def _worker_table(found: list[fleet.Worker], now: datetime) -> None:
    table(
        (
            "reactor",
            "state",
            "pid",
            "host",
            "version",
            "started",
            "heartbeat",
            "wake p50 / p99",
            "missed",
            "slow",
            "agent",
            "parts",
        ),
        [
            (
                str(one.id)[:8],
                _worker_state(one),
                one.pid,
                one.hostname,
                one.version,
                when(one.started_at, now),
                when(one.heartbeat_at, now),
                ", ".join(f"{queue} {wake_words(wakes)}" for queue, wakes in one.wakes.items()),
                one.missed_wakes or "",
                _slow(one, now),
                one.agent_id,
                " ".join(one.parts),
            )
            for one in found
        ],
        right=("pid", "missed"),
    )


def _slow(one: fleet.Worker, now: datetime) -> str:
    """The last claim that was slow."""
    return "".join(f"{span(last.took_s)}, {when(last.at, now)}" for last in one.slow_claims[:1])


def _worker_state(one: fleet.Worker) -> Cell:
    if not one.live and one.state in ("starting", "ready", "stopping"):
        return Cell("gone", "red")
    return state(one.state)


@click.command(short_help="the reactors that run or ran")
@json_option
def workers(as_json: bool) -> None:
    """The reactors that run or ran, the living first: how soon they wake, rows only a sweep found, the last slow claim."""

    async def look(conn: Connection) -> tuple[list[fleet.Worker], datetime]:
        return await fleet.fleet(conn), await show_store.now(conn)

    found, now = ask("workers", look)
    if as_json:
        answer_json([one._asdict() for one in found])
    elif found:
        _worker_table(found, now)
    else:
        say("no reactor has run on this database yet: start one with `voxyz-reactor run`")


@click.command(short_help="who likes whom, and how much")
@json_option
def relationships(as_json: bool) -> None:
    """Who likes whom, and how much: affinity between 0.10 and 0.95, the warmest pair first."""

    async def look(conn: Connection) -> tuple[list[relationship_store.PairRow], datetime]:
        return await relationship_store.relationship_map(conn), await show_store.now(conn)

    found, now = ask("relationships", look)
    if as_json:
        answer_json([one._asdict() for one in found])
        return
    table(
        ("pair", "affinity", "label", "interactions", "good", "bad", "lately", "last change"),
        [
            (
                f"{one.agent_a} – {one.agent_b}",
                f"{one.affinity:.3f}",
                one.label,
                one.total_interactions,
                one.positive_interactions,
                one.negative_interactions,
                f"{one.recent_drift:+.3f}" if one.recent_drift else "",
                " ".join(filter(None, (when(one.last_drift_at, now), one.last_reason))),
            )
            for one in found
        ],
        right=("affinity", "interactions", "good", "bad", "lately"),
    )
