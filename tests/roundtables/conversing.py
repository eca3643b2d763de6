"""Conversations in a test: on a real database, with the mock or a script that answers."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import psycopg

from reactor.handlers.context import Context, Roster
from reactor.handlers.kinds import KindRegistry
from reactor.handlers.roundtable import RoundtableWork
from reactor.llm.gateway import Gateway, Provider
from reactor.llm.mock import MockProvider
from reactor.llm.request import Answer, LLMRequest, Usage
from reactor.model.outcomes import Outcome
from reactor.model.queues import Queue
from reactor.store import queues
from reactor.store.claimed import ClaimedRoundtable
from reactor.store.queues import Taker
from tests.handlers.house import OpenGuard, pool_of

Sql = psycopg.Connection[tuple[Any, ...]]


class Scripted:
    """A provider whose turns are numbered lines, or what the script says; keeps what it was asked.

    ``distillates``: what it answers when asked to distil, one after another; texts as they are, values as JSON.
    """

    name = "scripted"
    service = "anthropic"

    def __init__(self, *distillates: Any, turns: Any = None, simulated: bool = False) -> None:
        self.simulated = simulated
        self.asked: list[LLMRequest] = []
        self._distillates = list(distillates)
        self._turns = turns

    def purposes(self) -> list[str]:
        return [request.purpose for request in self.asked]

    async def answer(self, request: LLMRequest, model: str, schema: Mapping[str, Any] | None) -> Answer:
        self.asked.append(request)
        if request.purpose == "distil":
            found = self._distillates.pop(0) if self._distillates else EMPTY
            text = found if isinstance(found, str) else json.dumps(found)
        elif callable(self._turns):
            text = self._turns(request)
        else:
            number = len(self.asked)
            text = f"Thing number {number} nobody else would bring up: {'abcdefghij'[number % 10] * 7}."
        return Answer(text, model, Usage(10, 10))


EMPTY: dict[str, Any] = {"summary": "Little.", "memories": [], "drifts": [], "action_items": []}


class House:
    """A context on a database, and its roundtable queue, claimed by hand."""

    def __init__(self, dsn: str, provider: Provider | None = None) -> None:
        self.pool = pool_of(dsn)
        self.roster = Roster()
        gateway = Gateway(provider or MockProvider(), OpenGuard(), limits=lambda: self.roster.limits)
        self.context = Context(self.pool, gateway, KindRegistry([]), self.roster)
        self.work = RoundtableWork(self.context)

    async def claim(self) -> ClaimedRoundtable:
        """The next conversation, running in our name."""
        async with self.pool.connection() as conn:
            rows = await queues.claim(
                conn, Queue.ROUNDTABLE, Taker(uuid4(), ["any"], None), token=uuid4(), limit=1
            )
        assert len(rows) == 1, "nothing to claim"
        assert isinstance(rows[0], ClaimedRoundtable)
        return rows[0]

    async def hold(self) -> Outcome:
        """Claim the next conversation and hold it; its row stays running."""
        return await self.work.perform(await self.claim())


@asynccontextmanager
async def house_on(dsn: str, provider: Provider | None = None) -> AsyncIterator[House]:
    house = House(dsn, provider)
    try:
        yield house
    finally:
        await house.pool.aclose()


def queue(
    sql: Sql,
    format: str = "standup",
    topic: str | None = "What is blocking us?",
    *who: str | None,
    **columns: Any,
) -> int:
    """A conversation in the queue; returns its id."""
    names = ["format", "topic", "participants", *columns]
    values = [format, topic, list(who) or None, *columns.values()]
    row = sql.execute(
        f"insert into ops_roundtable_queue ({', '.join(names)})"
        f" values ({', '.join(['%s'] * len(names))}) returning id".encode(),
        values,
    ).fetchone()
    assert row is not None
    return int(row[0])


def turns(sql: Sql, id: int) -> list[tuple[int, str, str]]:
    """Number, speaker and words of every turn."""
    return sql.execute(
        "select turn, speaker, dialogue from ops_roundtable_turns where conversation_id = %s order by turn",
        (id,),
    ).fetchall()


def one(sql: Sql, query: str, *values: Any) -> Any:
    """The one value of the first row."""
    row = sql.execute(query.encode(), values).fetchone()
    assert row is not None, query
    return row[0]
