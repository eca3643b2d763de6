"""Why a thing is where it is."""

import click

from reactor.cli.output import answer_json, facts, json_option, say
from reactor.cli.parsing import IDENTIFIER, ThingType
from reactor.cli.runtime import ask
from reactor.model.queues import Thing
from reactor.pg import Connection
from reactor.store import why as store
from reactor.store.why import Why


@click.command(short_help="why a thing is where it is")
@click.argument("what", type=ThingType())
@click.argument("id", type=IDENTIFIER)
@json_option
def why(what: Thing, id: int, as_json: bool) -> None:
    """Say in one sentence why WHAT (step, mission, roundtable, initiative, proposal) number ID is where it is: what it
    waits for, who runs it, who decided. The facts behind it follow.
    """

    async def look(conn: Connection) -> Why:
        return await store.why(conn, what, id)

    found = ask("why", look)
    if as_json:
        answer_json(found._asdict())
        return
    say(f"{what} {id}: {found.sentence}")
    facts([(key.replace("_", " "), value) for key, value in found.facts.items()])
