"""Conversations: what they are to be, what was said, what they came to. Twin of ``queries/conversations.sql``."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from reactor.model.casts import Candidate
from reactor.model.formats import Format
from reactor.model.voice import Remembered
from reactor.pg import Connection
from reactor.store.named import statements

_SQL = statements("conversations")


class Brief(NamedTuple):
    """What a row of the queue asks for. ``plan`` is None until it has begun; ``distils`` names another conversation."""

    format: str
    topic: str | None
    participants: list[str] | None
    source: str
    topics: list[str] | None
    plan: Any
    distils: int | None
    simulated: bool


class Turn(NamedTuple):
    """One turn; an empty ``dialogue`` was silence. ``speaker``: an agent's id, or ``human``."""

    turn: int
    speaker: str
    dialogue: str
    tone: str | None
    simulated: bool
    created_at: datetime


class Distillate(NamedTuple):
    """What a conversation came to. ``status``: landed, or failed with ``raw`` and ``problem``."""

    status: str
    raw: str | None
    problem: str | None
    result: dict[str, Any]
    simulated: bool
    created_at: datetime


async def formats(conn: Connection) -> dict[str, Format]:
    """Every format by name."""
    rows = await conn.fetch_all(_SQL["formats"])
    return {row[0]: Format(*(*row[:9], tuple(row[9]))) for row in rows}


async def brief(conn: Connection, id: int) -> Brief | None:
    """What the row asks for, None when it is gone."""
    row = await conn.fetch_row(_SQL["brief"], {"id": id})
    return Brief._make(row) if row else None


async def begin(
    conn: Connection,
    id: int,
    token: UUID,
    *,
    topic: str,
    participants: Sequence[str],
    plan: Mapping[str, Any],
) -> bool:
    """The conversation has its topic, participants and plan, and an event; false: it has one already, or is not ours."""
    values = {"id": id, "token": token, "topic": topic, "participants": list(participants)}
    return await conn.fetch_value(_SQL["begin"], {**values, "plan": json.dumps(plan)}) is not None


async def standing(conn: Connection, id: int, token: UUID) -> tuple[bool, bool]:
    """Whether the row still runs under the token, and whether conversations are paused."""
    row = await conn.fetch_row(_SQL["standing"], {"id": id, "token": token})
    return (bool(row[0]), bool(row[1])) if row else (False, False)


async def turns(conn: Connection, id: int) -> list[Turn]:
    """What was said so far, first to last."""
    return [Turn._make(row) for row in await conn.fetch_all(_SQL["turns"], {"id": id})]


async def take_turn(
    conn: Connection,
    id: int,
    token: UUID,
    *,
    speaker: str,
    dialogue: str,
    tone: str | None = None,
    simulated: bool = False,
) -> int | None:
    """The number of the turn added, with its event; None, and nothing added, when the row is not ours any more."""
    values = {"id": id, "token": token, "speaker": speaker, "dialogue": dialogue}
    taken: int | None = await conn.fetch_value(
        _SQL["take_turn"], {**values, "tone": tone, "simulated": simulated}
    )
    return taken


async def affinities(conn: Connection, agents: Sequence[str]) -> dict[tuple[str, str], Decimal]:
    """The affinity of each pair among ``agents`` who have met, smaller id first."""
    rows = await conn.fetch_all(_SQL["affinities"], {"agents": list(agents)})
    return {(one, other): affinity for one, other, affinity in rows}


async def candidates(conn: Connection, format: str) -> list[Candidate]:
    """Every active agent as this hour has it, by id."""
    return [Candidate(*row) for row in await conn.fetch_all(_SQL["candidates"], {"format": format})]


async def fresh_matters(conn: Connection) -> tuple[list[str], list[str]]:
    """Titles of missions that failed within a week, and insights had in it; the latest first, at most 20 each."""
    rows = await conn.fetch_all(_SQL["fresh_matters"])
    return [text for kind, text in rows if kind == "failure"], [
        text for kind, text in rows if kind == "insight"
    ]


async def used_topics(conn: Connection, days: float) -> set[str]:
    """What was talked about in the last ``days`` days."""
    return {row[0] for row in await conn.fetch_all(_SQL["used_topics"], {"days": days})}


async def remembered(conn: Connection, agents: Sequence[str]) -> dict[str, list[Remembered]]:
    """What each of ``agents`` has to look back on, type by type."""
    found: dict[str, list[Remembered]] = {agent: [] for agent in agents}
    for agent, *rest in await conn.fetch_all(_SQL["remembered"], {"agents": list(agents)}):
        found[agent].append(Remembered(*rest))
    return found


async def distillate(conn: Connection, id: int) -> Distillate | None:
    """What the conversation came to, None while it was not distilled."""
    row = await conn.fetch_row(_SQL["distillate"], {"id": id})
    return Distillate._make(row) if row else None


async def land(
    conn: Connection, id: int, token: UUID, distillate: Mapping[str, Any], *, simulated: bool
) -> dict[str, Any] | None:
    """Memories, drifts and action items have landed, all of them, once; what became of them, now or before.

    None, and nothing landed, when the row is not ours any more.
    """
    values = {"id": id, "token": token, "distillate": json.dumps(distillate), "simulated": simulated}
    landed: dict[str, Any] | None = await conn.fetch_value(_SQL["land"], values)
    return landed


async def keep_raw(
    conn: Connection, id: int, token: UUID, *, raw: str | None, problem: str, simulated: bool
) -> bool:
    """The model's words are kept as they were, with a warning event; false when the row is not ours any more."""
    values = {"id": id, "token": token, "problem": problem, "simulated": simulated}
    # PostgreSQL has no text with a null character in it.
    return bool(
        await conn.fetch_value(_SQL["keep_raw"], {**values, "raw": (raw or "").replace("\x00", "") or None})
    )


async def say(conn: Connection, id: int, text: str) -> int:
    """A person takes the next turn; returns its number. Raises OpsError OP001, OP004, OP006."""
    taken: int = await conn.fetch_value(_SQL["say"], {"id": id, "text": text})
    return taken


async def redistill(conn: Connection, id: int) -> int:
    """The queue row that distils the conversation again. Raises OpsError OP001, OP008, OP009."""
    row: int = await conn.fetch_value(_SQL["redistill"], {"id": id})
    return row


async def ask(conn: Connection, question: str, agent: str | None) -> int:
    """The conversation in which ``agent``, or without one the room, answers. Raises OpsError OP003, OP004."""
    new: int = await conn.fetch_value(_SQL["ask"], {"question": question, "agent": agent})
    return new
