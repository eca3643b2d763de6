"""What a held step will send, once somebody lets it go."""

from typing import Any

from reactor.errors import TemplateError
from reactor.model.templates import has_templates, resolve
from reactor.pg import Connection
from reactor.store import steps_read
from reactor.store.show import StepRow


async def request_of(conn: Connection, step: StepRow) -> Any:
    """The payload of a held step as it will be sent, its templates filled; None when they change nothing.

    A template that leads nowhere gives the sentence that the step will fail with.
    """
    if step.hold is None or step.status != "waiting" or step.mission_id is None:
        return None
    if not isinstance(step.payload, dict) or not has_templates(step.payload):
        return None
    earlier = await steps_read.earlier_results(conn, step.mission_id, step.seq, step.id)
    try:
        return resolve(step.payload, {one.seq: one.result for one in earlier})
    except TemplateError as error:
        return str(error)
