"""The screen of ``top``: panels laid out for the terminal's size. Every text from the database is cleaned first."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from rich import box
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from reactor.cli.output import clean, span, wake_words, when
from reactor.model.wording import usd
from reactor.store.board import Budgets, Conversation, Rate, Seated
from reactor.store.breakers import BreakerRow
from reactor.store.events import Event
from reactor.store.fleet import Worker, worst_wakes
from reactor.store.overview import Facts, Pause, QueueCounts
from reactor.store.proposals import HeldStep, MissionLine, ProposalRow

LATELY: Final = timedelta(minutes=5)
WIDE: Final = 120  # columns from which two panels stand side by side
_COLOURS: Final = ("yellow", "bright_blue", "green", "magenta", "bright_magenta", "cyan")
_MOODS: Final = {"talks": "bold cyan", "thinks": "bold yellow", "listens": "cyan", "waits": "dim"}
_STATES: Final = {
    "succeeded": "green",
    "failed": "red",
    "cancelled": "dim",
    "running": "cyan",
    "approved": "cyan",
}
_ENDS: Final = {
    "succeeded": "green",
    "accepted": "green",
    "failed": "red",
    "rejected": "red",
    "opened": "red",
}


class Look(NamedTuple):
    """All that is on the screen."""

    facts: Facts
    llm: str
    budgets: Budgets
    queues: list[QueueCounts]
    rates: dict[str, Rate]
    pauses: list[Pause]
    workers: list[Worker]
    breakers: list[BreakerRow]
    room: list[Seated]
    talks: list[Conversation]
    missions: list[MissionLine]
    pending: list[ProposalRow]
    held: list[HeldStep]
    events: list[Event]


def screen(seen: Look, width: int, height: int | None) -> RenderableType:
    """Everything, cut to ``height`` lines; None: as long as it is."""
    hues = {one.id: _COLOURS[i % len(_COLOURS)] for i, one in enumerate(seen.room)}
    first = [_head(seen), *_notices(seen), _queues(seen)]
    used = 9 + len(_notices(seen)) + 2
    room, missions, waiting = _room(seen, hues), _missions(seen), _waiting(seen, hues)
    if width >= WIDE:
        half = width // 2
        middle: list[RenderableType] = [
            Columns([_boxed(room, "room", half), _boxed(missions, "missions", half)], padding=0),
            _boxed(waiting, "waiting for you", width),
        ]
        used += (
            max(len(seen.room) * 2, len(seen.missions)) + 2 + max(len(seen.pending) + len(seen.held), 1) + 2
        )
    else:
        middle = [
            _boxed(room, "room", width),
            _boxed(waiting, "waiting for you", width),
            _boxed(missions, "missions", width),
        ]
        used += len(seen.room) * 2 + len(seen.missions) + max(len(seen.pending) + len(seen.held), 1) + 6
    left = 15 if height is None else max(height - used - 3, 3)
    return Group(*first, *middle, _boxed(_feed(seen, hues, left), "what happens", width))


def _boxed(inside: RenderableType, title: str, width: int) -> Panel:
    return Panel(inside, title=title, title_align="left", box=box.ROUNDED, border_style="dim", width=width)


def _head(seen: Look) -> Text:
    live = sum(one.live for one in seen.workers)
    spent = seen.budgets.would_usd if seen.llm == "mock" else seen.budgets.cost_usd
    limit = seen.budgets.day_limit_usd
    line = Text.assemble(("voxyz ", "bold"), (clean(seen.facts.database), "dim"), "  ")
    line.append(f"{live} reactor{'' if live == 1 else 's'}  ", "green" if live else "bold red")
    line.append(f"llm {clean(seen.llm)}  ")
    line.append(f"today {usd(spent)}{' would-be' if seen.llm == 'mock' else ''}")
    if limit is not None:
        line.append(f" of {usd(limit)}", "red" if spent >= limit else "")
    line.append(f"  {seen.facts.now:%H:%M:%S} UTC", "dim")
    return line


def _notices(seen: Look) -> list[RenderableType]:
    told: list[RenderableType] = []
    if not seen.facts.company_known:
        told.append(Text("nobody has said yet what the company is: `voxyz-reactor init` asks", "yellow"))
    for pause in seen.pauses:
        why = f": {clean(pause.reason)}" if pause.reason else ""
        told.append(
            Text(
                f"{pause.queue} paused {when(pause.paused_at, seen.facts.now)} by {clean(pause.paused_by)}{why}",
                "yellow",
            )
        )
    told.extend(
        Text(f"breaker {clean(one.service)} is {one.state.replace('_', ' ')}", "red")
        for one in seen.breakers
        if one.state != "closed"
    )
    for one in seen.workers:
        if one.live:
            told.extend(_trouble_of(one, seen.facts.now))
    return told


def _trouble_of(one: Worker, now: datetime) -> list[RenderableType]:
    """What a living reactor has to complain about: missed wakes, claims that were slow lately, ears that hear nothing."""
    name = str(one.id)[:8]
    told = []
    if one.vitals.get("listener") in ("down", "deaf"):
        told.append(f"reactor {name} hears nothing: sweeps do its work")
    if one.missed_wakes:
        told.append(f"reactor {name} missed {one.missed_wakes} wakes: rows that only a sweep found")
    told += [
        f"reactor {name}: a claim of {claim.queue} took {span(claim.took_s)}, {when(claim.at, now)}"
        for claim in one.slow_claims[:1]
        if now - claim.at < LATELY
    ]
    return [Text(clean(line), "yellow") for line in told]


def _queues(seen: Look) -> Table:
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", expand=False)
    wakes = worst_wakes(seen.workers)
    for name in ("queue", "queued", "running", "waiting", "oldest", "a minute", "wake p99", "failed"):
        drawn.add_column(name, justify="left" if name == "queue" else "right")
    for one in seen.queues:
        oldest = "" if one.oldest_due_s is None else span(max(one.oldest_due_s, 0.0))
        drawn.add_row(
            one.queue,
            str(one.queued),
            Text(str(one.running), "cyan" if one.running else ""),
            str(one.waiting),
            oldest,
            f"{seen.rates[one.queue].last_five / 5:.1f}",
            wake_words(wakes.get(one.queue)).rpartition("/ ")[2],
            Text(str(one.failed), "red" if one.failed else ""),
        )
    return drawn


def _grid(*ratios: int | None) -> Table:
    drawn = Table.grid(padding=(0, 1), expand=True)
    for ratio in ratios:
        drawn.add_column(ratio=ratio, no_wrap=True, overflow="ellipsis")
    return drawn


def _room(seen: Look, hues: dict[str, str]) -> Table:
    drawn = _grid(None, None, 1)
    for one in seen.room:
        at = (
            one.busy_with
            if one.mood == "thinks" and one.busy_with
            else one.format
            if one.roundtable_id
            else ""
        )
        drawn.add_row(
            Text(clean(one.display_name), f"bold {hues[one.id]}"),
            Text(f"{one.mood} {clean(at)}".strip(), _MOODS[one.mood]),
            Text(clean(one.dialogue), "dim" if one.mood == "waits" else ""),
        )
    return drawn


def _missions(seen: Look) -> RenderableType:
    if not seen.missions:
        return Text("none yet", "dim")
    drawn = _grid(None, None, None, 1)
    for one in seen.missions:
        at = " ".join(filter(None, (one.step_kind, "held" if one.step_hold else None)))
        drawn.add_row(
            str(one.id),
            Text(one.status, _STATES.get(one.status, "")),
            f"{one.steps_done}/{one.steps_total}",
            Text.assemble(clean(one.title), (f"  {clean(one.failure_reason or at)}", "dim")),
        )
    return drawn


def _waiting(seen: Look, hues: dict[str, str]) -> RenderableType:
    if not seen.pending and not seen.held:
        return Text("nothing", "dim")
    drawn = _grid(None, None, 1)
    for held in seen.held:
        drawn.add_row(
            Text(f"step {held.id}", "yellow"),
            clean(held.kind),
            Text.assemble(clean(held.mission_title), (f"  voxyz-reactor release {held.id}", "dim")),
        )
    for one in seen.pending:
        drawn.add_row(
            Text(f"proposal {one.id}", "yellow"),
            Text(clean(one.agent_id), hues.get(one.agent_id, "")),
            Text.assemble(clean(one.title), (f"  voxyz-reactor approve {one.id}", "dim")),
        )
    return drawn


def _feed(seen: Look, hues: dict[str, str], most: int) -> Table:
    drawn = _grid(None, None, None, 1)
    for event in seen.events[: -most - 1 : -1]:
        drawn.add_row(
            Text(f"{event.created_at.astimezone():%H:%M:%S}", "dim"),
            Text(clean(event.kind.replace("_", " ")), _ENDS.get(event.kind.rpartition("_")[2], "")),
            Text(clean(event.agent_id), hues.get(event.agent_id or "", "")),
            Text.assemble(clean(event.title), (f"  {clean(event.summary)}", "dim")),
        )
    return drawn
