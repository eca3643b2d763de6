"""Proposals and the people who decide: propose, approve, reject, release, proposals, missions."""

import getpass
import json
import sys
from datetime import datetime
from typing import Any

import click

from reactor.cli.following import line
from reactor.cli.output import answer_json, document, facts, heading, json_option, say, state, table, when
from reactor.cli.parsing import IDENTIFIER, json_text
from reactor.cli.runtime import ask
from reactor.errors import ReactorError, UsageError
from reactor.handlers.fitting import fits, steps_fit
from reactor.pg import Connection
from reactor.store import events as event_store
from reactor.store import lists, show
from reactor.store import proposals as store
from reactor.store.events import Event
from reactor.store.proposals import HeldStep, MissionLine, ProposalRow, Verdict
from reactor.store.show import StepRow

MOST = click.IntRange(1, 10_000)
by_option = click.option("--by", help="Who decides; else the name of this account.")
limit_option = click.option(
    "--limit", "-n", type=MOST, default=50, show_default=True, help="At most so many."
)


def _decider(by: str | None) -> str:
    """Who decides. Raises UsageError: nobody is named."""
    if by is None:
        try:
            by = getpass.getuser()
        except (OSError, KeyError, ImportError):
            by = ""  # an account without a name, as in some containers
    if not by.strip():
        raise UsageError("say who decides: --by NAME")
    return by


@click.command(short_help="put work before the gates")
@click.argument("agent")
@click.argument("title")
@click.argument("steps", metavar="JSON")
@click.option("--description", help="What it is for.")
@click.option("--key", "dedupe_key", help="A key of your own: met again, it returns the first proposal.")
@json_option
def propose(
    agent: str, title: str, steps: str, description: str | None, dedupe_key: str | None, as_json: bool
) -> int:
    """Propose work for AGENT: TITLE, and an array of steps like {"kind": "research", "payload": {}}; `-` reads stdin.

    What needs nobody's approval begins at once; exit 1 when it is rejected.
    """
    text = json_text(steps, "the steps", "array")

    async def proposed(conn: Connection) -> Verdict:
        await steps_fit(conn, json.loads(text))
        return await store.propose(
            conn, agent, title, text, source="human", description=description, dedupe_key=dedupe_key
        )

    told = ask("propose", proposed)
    if as_json:
        answer_json(told._asdict())
    else:
        say(_verdict(told))
    return 1 if told.status == "rejected" else 0


def _verdict(told: Verdict) -> str:
    if told.status == "accepted":
        return f"proposal {told.proposal_id} is accepted: mission {told.mission_id}"
    if told.status == "rejected":
        return f"proposal {told.proposal_id} is rejected: {told.reason}"
    return f"proposal {told.proposal_id} is pending: `voxyz-reactor approve {told.proposal_id}` lets it begin"


@click.command(short_help="say yes to a proposal")
@click.argument("id", type=IDENTIFIER)
@click.option("--edit", is_flag=True, help="Change title and steps first, in your editor (EDITOR).")
@click.option("--steps", metavar="JSON", help="Other steps than it asks for; - reads them from stdin.")
@click.option("--title", help="Another title.")
@by_option
def approve(id: int, edit: bool, steps: str | None, title: str | None, by: str | None) -> None:
    """Accept the pending proposal ID; prints its mission. The gates are looked at again.

    What it asks for can be changed first; what was asked is kept beside it.
    """
    name = _decider(by)
    if edit and (steps is not None or title is not None):
        raise UsageError("say --edit, or --steps and --title")
    if steps is not None:
        steps = json_text(steps, "the steps", "array")
    if edit:
        title, steps = _edited(id)

    async def approved(conn: Connection) -> tuple[int, list[StepRow]]:
        async with conn.transaction():
            if steps is not None:
                await steps_fit(conn, json.loads(steps))
            if title is not None or steps is not None:
                await store.edit(conn, id, name, title=title, steps=steps)
            mission = await store.approve(conn, id, name)
        return mission, await lists.steps(conn, 1, None, mission=mission, held=True)

    mission, held = ask("approve", approved)
    say(f"proposal {id} is accepted: mission {mission}")
    for step in held:
        say(
            f"step {step.id} is held: `voxyz-reactor show step {step.id}` shows what would leave the house,"
            f" `voxyz-reactor release {step.id}` lets it"
        )


def _edited(id: int) -> tuple[str, str]:
    """Title and steps (JSON text) as somebody left them in an editor. Raises UsageError: nothing was saved, or no JSON."""

    async def look(conn: Connection) -> ProposalRow | None:
        return await store.proposal(conn, id)

    found = ask("approve", look)
    if found is None:
        raise ReactorError(f"there is no proposal {id}")
    if found.status != "pending":
        raise ReactorError(f"proposal {id} is already {found.status} by {found.decided_by}")
    text = click.edit(document({"title": found.title, "steps": found.steps}) + "\n", extension=".json")
    if text is None:
        raise UsageError(f"nothing was saved: proposal {id} is as it was")
    value = json.loads(json_text(text, "what was saved", "object"))
    if not isinstance(value.get("title"), str) or not isinstance(value.get("steps"), list):
        raise UsageError("what was saved needs a title, a string, and steps, an array")
    return value["title"], json.dumps(value["steps"])


@click.command(short_help="say no, and why")
@click.argument("id", type=IDENTIFIER)
@click.argument("reason", required=False)
@click.option("--reason", "named_reason", help="The reason, instead of behind the id.")
@click.option("--step", "is_step", is_flag=True, help="ID is a held step, not a proposal.")
@by_option
def reject(id: int, reason: str | None, named_reason: str | None, is_step: bool, by: str | None) -> None:
    """Reject the pending proposal ID, or with --step the held step ID, for REASON, which its agent remembers."""
    why = (reason or named_reason or "").strip()
    if not why or (reason and named_reason):
        raise UsageError(f"say why, once: `voxyz-reactor reject {id} REASON`")
    name = _decider(by)

    async def rejected(conn: Connection) -> None:
        await (store.reject_step if is_step else store.reject)(conn, id, name, why)

    ask("reject", rejected)
    say(f"step {id} is cancelled" if is_step else f"proposal {id} is rejected")


@click.command(short_help="let a held step go")
@click.argument("id", type=IDENTIFIER)
@click.argument("payload", required=False, metavar="[JSON]")
@by_option
def release(id: int, payload: str | None, by: str | None) -> None:
    """Let the held step ID go on, with the payload JSON instead of its own when given; `-` reads it from stdin."""
    text = None if payload is None else json_text(payload, "the payload", "object")
    name = _decider(by)

    async def released(conn: Connection) -> str:
        if text is not None:
            await fits(conn, id, json.loads(text))
        await store.release(conn, id, name, text)
        found = await show.state(conn, "step", id)
        return found.status if found else "gone"

    say(f"step {id} is released and {ask('release', released)}")


@click.command(short_help="what waits for a yes, and what was decided")
@click.option("--all", "everything", is_flag=True, help="Also those that are decided.")
@limit_option
@json_option
def proposals(everything: bool, limit: int, as_json: bool) -> None:
    """What waits for a person: pending proposals and held steps; with --all also what was decided."""

    async def look(conn: Connection) -> tuple[list[ProposalRow], list[HeldStep], datetime]:
        found = await store.proposals(conn, None if everything else "pending", limit)
        return found, await store.held_steps(conn, limit), await show.now(conn)

    found, held, now = ask("proposals", look)
    if as_json:
        answer_json(
            {"proposals": [one._asdict() for one in found], "held_steps": [one._asdict() for one in held]}
        )
        return
    if not found and not held:
        say("nothing waits for a decision")
    if found:
        _proposal_table(found, now)
    if held:
        if found:
            say()
        heading("held steps (release ID lets one go, reject --step ID REASON does not)")
        _held_table(held, now)


def _proposal_table(found: list[ProposalRow], now: datetime) -> None:
    table(
        ("proposal", "agent", "status", "source", "made", "expires", "steps", "title", "why"),
        [
            (
                one.id,
                one.agent_id,
                state(one.status),
                one.source,
                when(one.created_at, now),
                when(one.expires_at, now),
                _kinds(one.steps),
                one.title,
                _why(one),
            )
            for one in found
        ],
        right=("proposal",),
    )


def _why(one: ProposalRow) -> str:
    if one.status == "rejected":
        return one.rejection_reason or ""
    if one.status == "accepted":
        return f"mission {one.mission_id}, by {one.decided_by}"
    wanted = _decided(one).get("to_approve") or []
    return f"needs a yes for {', '.join(map(str, wanted))}" if wanted else ""


def _decided(one: ProposalRow) -> dict[str, Any]:
    return one.decision if isinstance(one.decision, dict) else {}


def _kinds(steps: Any) -> str:
    found = steps if isinstance(steps, list) else []
    return ", ".join(str(step.get("kind")) for step in found if isinstance(step, dict))


def _held_table(held: list[HeldStep], now: datetime) -> None:
    table(
        ("step", "kind", "agent", "held", "expires", "mission", "title"),
        [
            (
                one.id,
                one.kind,
                one.agent_id,
                when(one.held_at, now),
                when(one.expires_at, now),
                one.mission_id,
                one.mission_title,
            )
            for one in held
        ],
        right=("step", "mission"),
    )


@click.command(short_help="the missions under way")
@click.option("--all", "everything", is_flag=True, help="Also those that have ended.")
@limit_option
@json_option
def missions(everything: bool, limit: int, as_json: bool) -> None:
    """The missions under way, and how far they are."""

    async def look(conn: Connection) -> tuple[list[MissionLine], datetime]:
        return await store.missions(conn, limit, ended=everything), await show.now(conn)

    found, now = ask("missions", look)
    if as_json:
        answer_json([one._asdict() for one in found])
    elif not found:
        say("no missions yet" if everything else "no mission is under way")
    else:
        table(
            ("mission", "status", "done", "at", "by", "made", "title"),
            [
                (
                    one.id,
                    state(one.status),
                    f"{one.steps_done}/{one.steps_total}",
                    _at(one),
                    one.created_by,
                    when(one.created_at, now),
                    one.title,
                )
                for one in found
            ],
            right=("mission",),
        )


def _at(one: MissionLine) -> str:
    if one.step_kind is None:
        return one.failure_reason or ""
    return f"{one.step_kind}, {'held' if one.step_hold else one.step_status}"


def show_proposal(id: int, as_json: bool) -> None:
    """One proposal whole is printed. Raises ReactorError: there is none of that id."""

    async def look(conn: Connection) -> tuple[ProposalRow | None, list[Event], datetime]:
        events = await event_store.about(conn, "proposal_id", id)
        return await store.proposal(conn, id), events, await show.now(conn)

    found, events, now = ask("show", look)
    if found is None:
        raise ReactorError(f"there is no proposal {id}")
    if as_json:
        answer_json({"what": "proposal", **found._asdict(), "events": [event._asdict() for event in events]})
        return
    heading(f"proposal {id}")
    facts(_facts(found, now))
    parts = [("decision", found.decision), ("steps", found.steps)]
    if found.asked is not None:
        parts.append(("as it was proposed", found.asked))
    for title, value in parts:
        say()
        heading(title)
        sys.stdout.write(document(value) + "\n")
    if events:
        say()
        heading("events")
        for event in events:
            click.echo(line(event))


def _facts(found: ProposalRow, now: datetime) -> list[tuple[str, object]]:
    return [
        ("status", state(found.status)),
        ("title", found.title),
        ("description", found.description),
        ("agent", found.agent_id),
        ("source", found.source),
        ("why", _why(found)),
        ("mission", found.mission_id),
        ("changed by", found.edited_by),
        ("decided by", found.decided_by),
        ("decided", when(found.decided_at, now)),
        ("expires", when(found.expires_at, now)),
        ("simulated", "yes" if found.simulated else None),
        ("cause", found.root_id if found.depth else None),
        ("depth", found.depth or None),
        ("made", when(found.created_at, now)),
    ]
