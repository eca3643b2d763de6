"""Talking with the agents: ask, say, redistill; and conversations as a person reads them."""

from collections.abc import Awaitable, Callable, Sequence

import click

from reactor.cli.output import answer_json, clean, heading, json_option, say
from reactor.cli.parsing import IDENTIFIER, Span, refuse_unknown
from reactor.cli.runtime import ask as ask_database
from reactor.cli.waiting import follow
from reactor.pg import Connection
from reactor.store import agents, conversations, memory, show
from reactor.store.conversations import Distillate, Turn

ROOM = "room"
_TONES = {"challenge": "red", "critical": "yellow", "supportive": "green", "agreement": "green"}


@click.command(short_help="put a question to an agent, or to the room")
@click.argument("who", metavar="AGENT|room")
@click.argument("text")
@click.option(
    "--timeout",
    "timeout_s",
    type=Span(),
    default="5min",
    show_default=True,
    help="How long the answer is waited for.",
)
@click.option("--no-wait", is_flag=True, help="Only print the conversation's id.")
@json_option
def ask(who: str, text: str, timeout_s: float, no_wait: bool, as_json: bool) -> int:
    """Ask an AGENT, or with `room` several of them, and print what they answer.

    What comes of it is remembered as after any conversation.
    """

    async def asked(conn: Connection) -> int:
        if who != ROOM:
            active = [one.id for one in await agents.roster(conn) if one.active]
            refuse_unknown("agent", who, [*active, ROOM])
        id = await conversations.ask(conn, text, None if who == ROOM else who)
        if no_wait:
            say(id)
            return 0
        names = await _names(conn)
        code = await follow(
            conn,
            "roundtable",
            id,
            timeout_s=timeout_s,
            look=None if as_json else _answers(conn, id, names),
            tell=lambda result: None,
        )
        if as_json:
            answer_json(
                {
                    "roundtable_id": id,
                    "turns": [turn._asdict() for turn in await conversations.turns(conn, id)],
                }
            )
        return code

    return ask_database("ask", asked)


def _answers(conn: Connection, id: int, names: dict[str, str]) -> Callable[[], Awaitable[None]]:
    """Prints what agents have said since it was called last."""
    shown = 0

    async def look() -> None:
        nonlocal shown
        said = await conversations.turns(conn, id)
        for turn in said[shown:]:
            if turn.speaker != "human":
                say(f"{names.get(turn.speaker, turn.speaker)}: {turn.dialogue or '(says nothing)'}")
        shown = len(said)

    return look


@click.command("say", short_help="take a turn in a conversation")
@click.argument("id", type=IDENTIFIER)
@click.argument("text")
def say_command(id: int, text: str) -> None:
    """Take the next turn of conversation ID; somebody will answer it."""

    async def said(conn: Connection) -> int:
        return await conversations.say(conn, id, text)

    say(f"turn {ask_database('say', said)} of roundtable {id}")


@click.command(short_help="say what you think of a result or a turn")
@click.argument("verdict", metavar="up|down", type=click.Choice(["up", "down"]))
@click.argument("what", metavar="step|roundtable", type=click.Choice(["step", "roundtable"]))
@click.argument("id", type=IDENTIFIER)
@click.argument("reason", required=False)
@click.option("--turn", type=click.IntRange(min=1), help="Which turn of the roundtable.")
def thumbs(verdict: str, what: str, id: int, reason: str | None, turn: int | None) -> None:
    """Thumbs up or down for the result of step ID, or for a turn of roundtable ID.

    Whose it is remembers it, with the REASON if there is one; a thing teaches once.
    """

    async def judged(conn: Connection) -> int:
        return await memory.thumbs(conn, what, id, up=verdict == "up", reason=reason, turn=turn)

    say(f"remembered as memory {ask_database('thumbs', judged)}")


@click.command(short_help="ask again what a conversation came to")
@click.argument("id", type=IDENTIFIER)
@click.option("--wait", is_flag=True, help="Follow it to its end and print what landed.")
@click.option(
    "--timeout", "timeout_s", type=Span(), default="5min", show_default=True, help="How long --wait waits."
)
def redistill(id: int, wait: bool, timeout_s: float) -> int:
    """Distil conversation ID again, after an answer that could not be read. Prints the queue row that does it."""

    async def again(conn: Connection) -> int:
        row = await conversations.redistill(conn, id)
        say(row)
        if not wait:
            return 0
        code = await follow(conn, "roundtable", row, timeout_s=timeout_s)
        found = await show.state(conn, "roundtable", row)
        distilled = found is not None and isinstance(found.result, dict) and found.result.get("distilled")
        return code or (0 if distilled else 1)

    return ask_database("redistill", again)


async def _names(conn: Connection) -> dict[str, str]:
    return {one.id: one.display_name for one in await agents.roster(conn)}


class Replay(list[Turn]):
    """A conversation to look at: its turns, its ``distillate``, and what its speakers are called."""

    def __init__(self, turns: Sequence[Turn], distillate: Distillate | None, names: dict[str, str]) -> None:
        super().__init__(turns)
        self.distillate = distillate
        self.names = names

    @classmethod
    async def of(cls, conn: Connection, id: int) -> "Replay":
        """Conversation ``id``, or the one that it distils again."""
        brief = await conversations.brief(conn, id)
        id = (brief.distils if brief else None) or id
        return cls(
            await conversations.turns(conn, id), await conversations.distillate(conn, id), await _names(conn)
        )

    def as_json(self) -> dict[str, object]:
        """Turns and distillate for a program."""
        kept = self.distillate
        return {"turns": [turn._asdict() for turn in self], "distillate": kept._asdict() if kept else None}

    def show(self) -> None:
        """The conversation as it went, a line a turn; and, when it could not be distilled, the words that came instead."""
        if self:
            say()
            heading("transcript")
        for turn in self:
            who = self.names.get(turn.speaker, turn.speaker)
            tone = (
                ""
                if turn.tone in (None, "neutral")
                else click.style(f" ({turn.tone})", fg=_TONES.get(turn.tone or ""))
            )
            at = turn.created_at.astimezone().strftime("%H:%M:%S")
            words = clean(turn.dialogue) or "(says nothing)"
            click.echo(f"{at} {turn.turn:>3} {click.style(clean(who), bold=True)}{tone}: {words}")
        if self.distillate is not None and self.distillate.status == "failed":
            say()
            heading("not distilled")
            say(self.distillate.problem)
            if self.distillate.raw:
                say(self.distillate.raw[:2000])
