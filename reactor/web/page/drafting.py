"""A mission in the making: the form by which a person gives one, and what comes of it.

The form comes back as it was left, right or wrong, with a step more or fewer or with the fields of another kind, as often as
somebody likes. Then it goes the way of every person's proposal: through ``ops_propose``, past its limits and gates.
"""

import json
from collections.abc import Mapping
from itertools import count, takewhile
from typing import Any, Final, NamedTuple

from reactor.errors import UsageError
from reactor.handlers import roundtable_plan
from reactor.handlers.fitting import steps_fit
from reactor.model.people import Agent
from reactor.pg import Connection
from reactor.store import agents, kinds, proposals, why
from reactor.store.kinds import KindRow
from reactor.web.page.fields import payload_of, shape_of_form

MOST_STEPS: Final = 20  # of a proposal; see ops_check_proposal
FIRST_KIND: Final = "research"
_NAME: Final = "payload"


class Step(NamedTuple):
    """``typed``: the fields of its payload as a form has them, named as for payload ``payload``."""

    kind: str = ""
    typed: Mapping[str, str] = {}


class Draft(NamedTuple):
    """What has been filled in so far. ``at``: the step somebody is at, from 1; 0: at none."""

    title: str = ""
    agent: str = ""
    steps: tuple[Step, ...] = (Step(),)
    at: int = 0


class Choices(NamedTuple):
    """Who may be asked for what; ``usual``: whom a mission is for when nobody is named."""

    kinds: list[KindRow]
    people: list[Agent]
    usual: str


class Told(NamedTuple):
    """What came of it, in words, as an answer of that status; ``sheet``: where it is shown whole."""

    sentence: str
    status: int = 200
    sheet: str = ""


BLANK: Final = Draft()
NO_CHOICE: Final = Choices([], [], "")


def draft_of(form: Mapping[str, str]) -> Draft:
    """The draft as the form was sent."""
    places = takewhile(lambda place: f"kind-{place}" in form, count(1))
    steps = tuple(Step(form[f"kind-{place}"].strip(), _typed(form, f"{_NAME}-{place}")) for place in places)
    return Draft(form.get("title", ""), form.get("agent", "").strip(), steps or BLANK.steps)


def _typed(form: Mapping[str, str], name: str) -> dict[str, str]:
    return {
        _NAME + key.removeprefix(name): value
        for key, value in form.items()
        if key == name or key.startswith(f"{name}.")
    }


def redrafted(draft: Draft, then: str) -> Draft:
    """After one press: ``add`` a step, ``drop-2``, or be shown the fields of the kind of ``kind-2``."""
    what, _, number = then.partition("-")
    place = int(number) if number.isascii() and number.isdigit() and len(number) < 4 else 0
    steps = draft.steps
    if what == "add" and len(steps) < MOST_STEPS:
        return draft._replace(steps=(*steps, Step()), at=len(steps) + 1)
    if what == "drop" and 1 <= place <= len(steps) > 1:
        left = (*steps[: place - 1], *steps[place:])
        return draft._replace(steps=left, at=min(place, len(left)))
    return draft._replace(at=place)


async def choices(conn: Connection) -> Choices:
    """Who and what there is now."""
    people = [one for one in await agents.roster(conn) if one.active]
    coordinator = (await roundtable_plan.rules(conn)).coordinator
    usual = next((one.id for one in people if one.id == coordinator), people[0].id if people else "")
    return Choices(await kinds.offered(conn), people, usual)


def shown(draft: Draft, choices: Choices) -> dict[str, Any]:
    """What the form shows: every step with the fields of its kind, and in them what was typed."""
    schemas = {one.kind: one.input_schema for one in choices.kinds}
    first = FIRST_KIND if FIRST_KIND in schemas else next(iter(schemas), "")
    steps = [step._replace(kind=step.kind or first) for step in draft.steps]
    return {
        "draft": draft._replace(agent=draft.agent or choices.usual, steps=tuple(steps)),
        "shapes": [shape_of_form(step.typed, _NAME, schemas.get(step.kind, {})) for step in steps],
        "choices": choices,
        "room": len(steps) < MOST_STEPS,
    }


async def propose(conn: Connection, draft: Draft) -> Told:
    """The draft is put before the gates, as what a person proposes.

    Raises: UsageError: a field cannot be read. PayloadRefused: it does not fit its kind. OpsError: as `proposals.propose`.
    """
    if not draft.title.strip():
        raise UsageError("the title is missing")
    asked = [
        {"kind": step.kind, "payload": _payload(step, place)} for place, step in enumerate(draft.steps, 1)
    ]
    await steps_fit(conn, asked)
    agent = draft.agent or (await choices(conn)).usual
    verdict = await proposals.propose(conn, agent, draft.title, json.dumps(asked), source="human")
    id = verdict.proposal_id
    if verdict.status == "accepted":
        return Told(f"mission {verdict.mission_id} has begun", sheet=f"/ops/mission/{verdict.mission_id}")
    because = (await why.why(conn, "proposal", id)).sentence
    if verdict.status == "rejected":
        return Told(f"proposal {id} is refused: {because}", 422)
    return Told(f"proposal {id} is made: {because}", sheet=f"/ops/proposal/{id}")


def _payload(step: Step, place: int) -> Any:
    value = payload_of(step.typed, _NAME, f"the payload of step {place}")
    return {} if value is None else value
