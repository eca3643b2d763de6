"""What a person can do from the page: one form each, by the same functions that psql and the command line call.

A deed answers with the sentence to show. What the database refuses is told with its own words; nothing has changed then.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, get_args

from reactor.errors import UsageError
from reactor.handlers.fitting import fits, steps_fit
from reactor.model.queues import Thing, What
from reactor.pg import Connection
from reactor.store import breakers, control, conversations, enqueue, memory, people, proposals, show
from reactor.web.page.fields import payload_of
from reactor.web.page.render import seal
from reactor.web.storable import json_of
from reactor.web.unshown import meant

LONGEST: Final = 4000

Form = Mapping[str, str]
Deed = Callable[[Connection, Form], Awaitable[str]]
WHO: Final = "who"  # the form's field with the decider's name; laid in by the route


def _text(form: Form, name: str, wanted: str) -> str:
    text = form.get(name, "").strip()
    if not text:
        raise UsageError(f"{wanted} is missing")
    return text


def _id(form: Form) -> int:
    text = form.get("id", "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise UsageError("the form lacks the id of what it is about")
    return int(text)


def _json(form: Form, name: str, wanted: str) -> Any:
    """The field as JSON; None when it is empty."""
    text = form.get(name, "").strip()
    return json_of(text, wanted) if text else None


async def _approve(conn: Connection, form: Form) -> str:
    mission = await proposals.approve(conn, _id(form), form[WHO])
    return f"proposal {_id(form)} is accepted: mission {mission}"


async def _approve_edited(conn: Connection, form: Form) -> str:
    id = _id(form)
    found = await proposals.proposal(conn, id)
    if found is None or form.get("seen") != seal([found.title, found.steps]):
        raise UsageError(f"proposal {id} has changed since it was shown: look at it again")
    asked = list(enumerate(found.steps, 1))
    changes = {
        place: _payload(form, place, step) for place, step in asked if form.get(f"leave-{place}") != "yes"
    }
    # What nobody has changed is what was asked for, fitting or not.
    await steps_fit(
        conn, [{**step, **changes[place]} if changes.get(place) else None for place, step in asked]
    )
    steps = [{**step, **changes[place]} for place, step in asked if place in changes]
    title = _text(form, "title", "the title")
    changed = await proposals.edit(conn, id, form[WHO], title=title, steps=json.dumps(steps))
    mission = await proposals.approve(conn, id, form[WHO])
    return f"proposal {id} is accepted{' as you changed it' if changed else ''}: mission {mission}"


def _payload(form: Form, place: int, step: Mapping[str, Any]) -> dict[str, object]:
    """The payload of the step at that place, when the form has another one."""
    value = payload_of(form, f"payload-{place}", f"the payload of step {place}")
    if value is None:
        value = {}
    return {} if seal(value) == seal(step.get("payload", {})) else {"payload": value}


async def _reject(conn: Connection, form: Form) -> str:
    await proposals.reject(conn, _id(form), form[WHO], _text(form, "reason", "the reason"))
    return f"proposal {_id(form)} is rejected"


async def _release(conn: Connection, form: Form) -> str:
    id, value = _id(form), payload_of(form, "payload", "the payload")
    held = await show.step(conn, id)
    if held is None or value is None or seal(value) == seal(held.payload):
        await proposals.release(conn, id, form[WHO])
        return f"step {id} is released"
    if isinstance(value, dict):  # what is no object at all, the database refuses in words of its own
        await fits(conn, id, value)
    await proposals.release(conn, id, form[WHO], json.dumps(value))
    return f"step {id} is released as you changed it"


async def _reject_step(conn: Connection, form: Form) -> str:
    await proposals.reject_step(conn, _id(form), form[WHO], _text(form, "reason", "the reason"))
    return f"step {_id(form)} is cancelled"


async def _retry(conn: Connection, form: Form) -> str:
    what: What | None = next((one for one in get_args(What) if one == form.get("what")), None)
    if what is None:
        raise UsageError("this cannot be retried")
    changed = await control.retry(conn, what, _id(form))
    return (
        f"{what} {_id(form)} is due again" if changed else f"there is nothing to retry in {what} {_id(form)}"
    )


async def _cancel(conn: Connection, form: Form) -> str:
    what: Thing | None = next((one for one in get_args(Thing) if one == form.get("what")), None)
    if what is None:
        raise UsageError("this cannot be cancelled")
    changed = await control.cancel(conn, what, _id(form))
    return f"{what} {_id(form)} is cancelled" if changed else f"{what} {_id(form)} had ended already"


async def _pause(conn: Connection, form: Form) -> str:
    queue = form.get("queue", "all")
    await control.pause(conn, queue, form.get("reason", "").strip() or None, form[WHO])
    return "everything is paused" if queue == "all" else f"{queue} is paused"


async def _resume(conn: Connection, form: Form) -> str:
    queue = form.get("queue", "all")
    await control.resume(conn, queue, form[WHO])
    return "everything goes on" if queue == "all" else f"{queue} goes on"


async def _reset(conn: Connection, form: Form) -> str:
    service = _text(form, "service", "the service")
    changed = await breakers.reset(conn, service)
    return (
        f"the breaker of {service} is closed, calls go on"
        if changed
        else f"the breaker of {service} was closed"
    )


async def _say(conn: Connection, form: Form) -> str:
    turn = await conversations.say(conn, _id(form), _text(form, "text", "what you want to say"))
    return f"said, as turn {turn}"


async def _ask(conn: Connection, form: Form) -> str:
    question = _text(form, "text", "the question")
    id = await conversations.ask(conn, question, form.get("agent", "").strip() or None)
    return f"asked, in conversation {id}"


async def _talk(conn: Connection, form: Form) -> str:
    format = _text(form, "format", "the format")
    if format not in await conversations.formats(conn):
        raise UsageError(f"there is no format {format[:60]!r}")
    id = await enqueue.roundtable(conn, format, form.get("topic", "").strip() or None)
    return f"conversation {id} is queued"


async def _redistill(conn: Connection, form: Form) -> str:
    return f"conversation {_id(form)} is distilled again, as {await conversations.redistill(conn, _id(form))}"


async def _pin(conn: Connection, form: Form) -> str:
    pinned = form.get("pinned") == "yes"
    await memory.edit(conn, _id(form), pinned=pinned)
    return f"memory {_id(form)} is {'pinned' if pinned else 'not pinned any more'}"


async def _edit(conn: Connection, form: Form) -> str:
    await memory.edit(conn, _id(form), content=_text(form, "content", "the memory"))
    return f"memory {_id(form)} is changed"


async def _forget(conn: Connection, form: Form) -> str:
    await memory.forget(conn, _id(form))
    return f"memory {_id(form)} is forgotten"


async def _agent(conn: Connection, form: Form) -> str:
    agent, active = _text(form, "agent", "the agent"), form.get("active") == "yes"
    if await people.switch(conn, agent, active=active) is None:
        raise UsageError(f"there is no agent {agent[:60]!r}")
    return f"{agent} is {'active' if active else 'not active'}"


async def _policy(conn: Connection, form: Form) -> str:
    key, patch = _text(form, "key", "the policy"), _json(form, "value", "the value")
    if patch is None:
        raise UsageError("the value is missing")
    await control.set_policy(conn, key, meant(key, json.dumps(patch)))
    return f"policy {key} is changed, in force at once"


async def _company(conn: Connection, form: Form) -> str:
    goals = [line.strip() for line in form.get("goals", "").splitlines() if line.strip()]
    said = {name: form.get(name, "").strip() for name in ("name", "what", "customers", "tone")}
    _text(form, "what", "what the company does")
    value = {**{name: text for name, text in said.items() if text}, **({"goals": goals} if goals else {})}
    await control.set_policy(conn, "company", json.dumps(value))
    return "the team knows now what the company is"


DEEDS: Final[dict[str, Deed]] = {
    "approve": _approve,
    "approve-edited": _approve_edited,
    "reject": _reject,
    "release": _release,
    "reject-step": _reject_step,
    "retry": _retry,
    "cancel": _cancel,
    "pause": _pause,
    "resume": _resume,
    "reset": _reset,
    "say": _say,
    "ask": _ask,
    "talk": _talk,
    "redistill": _redistill,
    "pin": _pin,
    "edit": _edit,
    "forget": _forget,
    "agent": _agent,
    "policy": _policy,
    "company": _company,
}
