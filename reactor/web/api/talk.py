"""Conversations: begun, followed, joined by a person."""

from datetime import datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from pydantic import Field, StringConstraints

from reactor.model.formats import FORMATS
from reactor.pg import Connection
from reactor.store import conversations, enqueue, lists, memory, show
from reactor.store.conversations import Distillate, Turn
from reactor.store.show import RoundtableRow
from reactor.web.api.operation import (
    Asked,
    Asking,
    Changed,
    Listed,
    Made,
    Name,
    Page,
    PageQuery,
    Reply,
    Text,
    Topic,
    Words,
)
from reactor.web.api.paging import cut, number, page_by_id
from reactor.web.api.pieces import (
    Delay,
    Priority,
    QueueQuery,
    Thumbs,
    brought_back,
    called_off,
    known_agent,
    made,
    nothing,
)
from reactor.web.api.serve import PREFIX
from reactor.web.problems import FieldError, Refused

TOPIC = Topic("roundtable")
Spoken = Annotated[Words, StringConstraints(max_length=2000)]


class NewRoundtable(Asked):
    """A conversation; without participants its format and the hour choose them."""

    format: Name
    topic: Annotated[Text, StringConstraints(max_length=2000)] | None = None
    participants: Annotated[list[Name], Field(max_length=50)] = Field(default_factory=list)
    priority: Priority = 5
    delay_s: Delay = 0.0


class HumanTurn(Asked):
    """What a person says."""

    text: Spoken


class Question(Asked):
    """A question to an agent, or to the room."""

    question: Spoken
    agent: Name | None = None


class TurnThumbs(Thumbs):
    """What a person thinks of a turn."""

    turn: Annotated[int, Field(ge=1, le=10_000)]


class TurnOut(NamedTuple):
    """The number of the turn that was taken."""

    turn: int


class AskedOut(NamedTuple):
    """The conversation in which the answer comes."""

    roundtable_id: int


class RoundtableOut(NamedTuple):
    """A conversation whole: what was said, first to last, and what it came to."""

    id: int
    status: str
    priority: int
    run_at: datetime
    attempt: int
    max_attempts: int
    crashes: int
    simulated: bool
    claimed_by: UUID | None
    started_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    failure_reason: str | None
    result: Any
    format: str
    topic: str | None
    participants: list[str] | None
    turns: list[Turn]
    distillate: Distillate | None


async def _roundtable(conn: Connection, id: int) -> RoundtableRow:
    found = await show.roundtable(conn, id)
    if found is None:
        raise nothing("roundtable", id)
    return found


@TOPIC.get("/roundtable", "Conversations, the newest first", Listed(RoundtableRow), query=QueueQuery)
async def list_roundtables(conn: Connection, asking: Asking) -> Page:
    query: QueueQuery = asking.query

    async def read(limit: int, after: int | None) -> list[RoundtableRow]:
        return await lists.roundtables(conn, limit, after, status=query.status)

    return await page_by_id(query, read)


@TOPIC.post("/roundtable", "Queue a conversation", Made, body=NewRoundtable, status=201)
async def add_roundtable(conn: Connection, asking: Asking) -> Reply:
    asked: NewRoundtable = asking.body
    if asked.format not in FORMATS:
        told = f"unknown format {asked.format[:60]!r}; known are {', '.join(FORMATS)}"
        raise Refused(422, told, [FieldError("format", told)])
    for place, name in enumerate(asked.participants):
        await known_agent(conn, name, f"participants.{place}")
    id = await enqueue.roundtable(
        conn,
        asked.format,
        asked.topic,
        participants=asked.participants,
        priority=asked.priority,
        delay_s=asked.delay_s,
    )
    return made("roundtable", id)


@TOPIC.post(
    "/roundtable/ask", "Put a question to an agent, or to the room", AskedOut, body=Question, status=201
)
async def ask(conn: Connection, asking: Asking) -> Reply:
    asked: Question = asking.body
    await known_agent(conn, asked.agent, "agent")
    id = await conversations.ask(conn, asked.question, asked.agent)
    return Reply(AskedOut(id), {"location": f"{PREFIX}/roundtable/{id}"})


@TOPIC.get("/roundtable/{id}", "One conversation with its turns", RoundtableOut)
async def get_roundtable(conn: Connection, asking: Asking) -> RoundtableOut:
    found = await _roundtable(conn, asking.id)
    brief = await conversations.brief(conn, asking.id)
    talk = (brief.distils if brief else None) or asking.id
    said = await conversations.turns(conn, talk)
    return RoundtableOut(*found, turns=said, distillate=await conversations.distillate(conn, talk))


@TOPIC.get("/roundtable/{id}/turns", "What was said, first to last", Listed(Turn), query=PageQuery)
async def list_turns(conn: Connection, asking: Asking) -> Page:
    query: PageQuery = asking.query
    await _roundtable(conn, asking.id)
    behind = number(query.after) or 0
    said = [turn for turn in await conversations.turns(conn, asking.id) if turn.turn > behind]
    return cut(said[: query.limit + 1], query.limit, lambda turn: str(turn.turn))


@TOPIC.post("/roundtable/{id}/turns", "Say something; somebody answers", TurnOut, body=HumanTurn, status=201)
async def say(conn: Connection, asking: Asking) -> TurnOut:
    return TurnOut(await conversations.say(conn, asking.id, asking.body.text))


@TOPIC.post("/roundtable/{id}/retry", "Bring a conversation back", Changed)
async def retry_roundtable(conn: Connection, asking: Asking) -> Changed:
    return await brought_back(conn, "roundtable", asking.id)


@TOPIC.post("/roundtable/{id}/cancel", "Call a conversation off", Changed)
async def cancel_roundtable(conn: Connection, asking: Asking) -> Changed:
    return await called_off(conn, "roundtable", asking.id)


@TOPIC.post("/roundtable/{id}/redistill", "Ask again what it came to", Made, status=201)
async def redistill(conn: Connection, asking: Asking) -> Reply:
    return made("roundtable", await conversations.redistill(conn, asking.id))


@TOPIC.post("/roundtable/{id}/thumbs", "Say what you think of a turn", Made, body=TurnThumbs, status=201)
async def judge_turn(conn: Connection, asking: Asking) -> Reply:
    asked: TurnThumbs = asking.body
    id = await memory.thumbs(conn, "roundtable", asking.id, up=asked.up, reason=asked.reason, turn=asked.turn)
    return made("memory", id)
