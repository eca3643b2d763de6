"""The agents: who they are, what they remember."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import click

from reactor.cli.output import Cell, answer_json, json_option, say, table, when
from reactor.cli.parsing import refuse_unknown
from reactor.cli.runtime import ask
from reactor.errors import UsageError
from reactor.model.memory import TYPES, Memory
from reactor.model.people import Agent
from reactor.pg import Connection
from reactor.store import agents as roster_store
from reactor.store import memory as memory_store
from reactor.store import people as store
from reactor.store import show
from reactor.store.people import AgentStats, Profile

C = TypeVar("C", bound=Callable[..., Any])

FIELDS = ("display_name", "role", "tone", "quirk", "directive", "model")


def _profile_options(command: C) -> C:
    for option in (
        click.option("--model", help="The model it thinks with; empty: the default one."),
        click.option("--directive", help="What it is there for, in a few sentences."),
        click.option("--quirk", help="What people remember it by."),
        click.option("--tone", help="How it talks."),
        click.option("--role", help="What it does here."),
        click.option("--name", "display_name", help="What it is called."),
    ):
        command = option(command)
    return command


@click.group(short_help="who works here", invoke_without_command=True)
@json_option
@click.pass_context
def agents(ctx: click.Context, as_json: bool) -> None:
    """Show who works here; `agents add`, `edit`, `on` and `off` change it, at once and everywhere."""
    if ctx.invoked_subcommand is None:
        _list_agents(as_json)


@agents.command(short_help="somebody new")
@click.argument("id")
@_profile_options
def add(id: str, **given: str | None) -> None:
    """Take on agent ID: small letters, digits, - and _, such as `archivist`."""
    profile = _profile(given)
    profile["display_name"] = profile["display_name"] or id.capitalize()

    async def added(conn: Connection) -> bool:
        return await store.add(conn, id, profile)

    if not ask("agents", added):
        raise UsageError(f"there is an agent {id!r} already: change it with `voxyz-reactor agents edit {id}`")
    say(f"{id} works here now")


@agents.command(short_help="change who somebody is")
@click.argument("id")
@_profile_options
def edit(id: str, **given: str | None) -> None:
    """Change agent ID; what is not named stays."""
    profile = _profile(given)
    if all(value is None for value in profile.values()):
        raise UsageError(f"say what to change, such as `agents edit {id} --tone 'warm and brief'`")

    async def edited(conn: Connection) -> None:
        if not await store.edit(conn, id, profile):
            await _refuse_unknown(conn, id)

    ask("agents", edited)
    say(f"{id} is changed")


@agents.command(short_help="somebody works again")
@click.argument("id")
def on(id: str) -> None:
    """Let agent ID work again."""
    _switch(id, active=True)


@agents.command(short_help="somebody stops working")
@click.argument("id")
def off(id: str) -> None:
    """Agent ID takes no new work; what it remembers stays."""
    _switch(id, active=False)


def _switch(id: str, *, active: bool) -> None:
    async def switched(conn: Connection) -> bool | None:
        changed = await store.switch(conn, id, active=active)
        if changed is None:
            await _refuse_unknown(conn, id)
        return changed

    changed = ask("agents", switched)
    say(f"{id} is {'active' if active else 'not active'}{'' if changed else ', as before'}")


def _profile(given: dict[str, str | None]) -> Profile:
    values = {key: None if (text := given[key]) is None else text.strip() for key in FIELDS}
    if values["display_name"] == "":
        raise UsageError("a name cannot be empty")
    return Profile(
        display_name=values["display_name"],
        role=values["role"],
        tone=values["tone"],
        quirk=values["quirk"],
        directive=values["directive"],
        model=values["model"],
    )


async def _refuse_unknown(conn: Connection, id: str) -> list[Agent]:
    everybody = await roster_store.roster(conn)
    refuse_unknown("agent", id, [agent.id for agent in everybody])
    return everybody


def _list_agents(as_json: bool) -> None:
    async def look(conn: Connection) -> tuple[list[AgentStats], list[Agent], datetime]:
        return await store.stats(conn), await roster_store.roster(conn), await show.now(conn)

    found, profiles, now = ask("agents", look)
    if as_json:
        by_id = {agent.id: agent._asdict() for agent in profiles}
        answer_json([{**by_id.get(one.id, {}), **one._asdict()} for one in found])
        return
    table(
        (
            "agent",
            "active",
            "memories",
            "sure",
            "done",
            "failed",
            "proposed",
            "accepted",
            "rejected",
            "liked",
            "last seen",
            "role",
        ),
        [
            (
                one.id,
                Cell("yes") if one.active else Cell("no", "yellow"),
                one.memories,
                "" if one.average_confidence is None else f"{one.average_confidence:.2f}",
                one.steps_succeeded or 0,
                one.steps_failed or 0,
                one.proposals_pending + one.proposals_accepted + one.proposals_rejected,
                one.proposals_accepted,
                one.proposals_rejected,
                "" if one.average_affinity is None else f"{one.average_affinity:.2f}",
                when(one.last_event_at, now),
                one.role,
            )
            for one in found
        ],
        right=("memories", "sure", "done", "failed", "proposed", "accepted", "rejected", "liked"),
    )


@click.command(short_help="what an agent remembers")
@click.argument("agent")
@click.option("--type", "kind", type=click.Choice(TYPES), help="Only these.")
@click.option("--all", "superseded", is_flag=True, help="Also what has been superseded.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="At most so many."
)
@json_option
def memories(agent: str, kind: str | None, superseded: bool, limit: int, as_json: bool) -> None:
    """Show what AGENT remembers: pinned ones first, then the newest."""

    async def look(conn: Connection) -> tuple[list[Memory], datetime]:
        await _refuse_unknown(conn, agent)
        found = await memory_store.memories(conn, agent, type=kind, superseded=superseded, limit=limit)
        return found, await show.now(conn)

    found, now = ask("memories", look)
    if as_json:
        answer_json([one._asdict() for one in found])
    elif found:
        _print_memories(found, now)
    else:
        say(f"{agent} remembers nothing{f' of type {kind}' if kind else ''} yet")


def _print_memories(found: list[Memory], now: datetime) -> None:
    table(
        ("id", "type", "sure", "used", "from", "when", "marks", "tags", "what"),
        [
            (
                one.id,
                one.type,
                f"{one.confidence:.2f}",
                one.used_count,
                one.source_trace_id,
                when(one.created_at, now),
                " ".join(_marks(one)),
                ", ".join(one.tags),
                one.content,
            )
            for one in found
        ],
        right=("id", "sure", "used"),
    )


def _marks(one: Memory) -> list[str]:
    marks = [
        (one.pinned, "pinned"),
        (one.simulated, "simulated"),
        (one.trust != "agent", one.trust),
        (one.superseded_by is not None, f"superseded by {one.superseded_by}"),
    ]
    return [word for true, word in marks if true]
