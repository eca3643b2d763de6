"""Who works here: agents, what they remember, how they talk, whom they like."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, StringConstraints

from reactor.model.memory import Memory
from reactor.model.voice import modifiers
from reactor.pg import Connection
from reactor.store import agents as roster_store
from reactor.store import conversations, lists, people, relationships
from reactor.store import memory as memory_store
from reactor.store.people import AgentStats, Profile
from reactor.store.relationships import PairRow
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
from reactor.web.api.paging import page_by_id, page_of_all
from reactor.web.api.serve import PREFIX
from reactor.web.problems import Refused

TOPIC = Topic("agents")
SHARED_S = 1.0  # their figures count whole tables
MemoryKind = Literal["insight", "pattern", "strategy", "preference", "lesson"]
Share = Annotated[float, Field(ge=0, le=1)]
Tags = Annotated[list[Annotated[Name, StringConstraints(max_length=100)]], Field(max_length=20)]
Said = Annotated[Words, StringConstraints(max_length=500)]


class AgentOut(NamedTuple):
    """An agent whole. ``not_now_because``: why it is not asked for an idea of its own at present."""

    id: str
    display_name: str
    role: str
    tone: str
    quirk: str
    directive: str
    model: str | None
    active: bool
    memories: int
    average_confidence: Decimal | None
    steps_succeeded: int | None
    steps_failed: int | None
    proposals_pending: int
    proposals_accepted: int
    proposals_rejected: int
    average_affinity: Decimal | None
    last_event_at: datetime | None
    not_now_because: str | None


class ProfileIn(Asked):
    """What an agent may be told to be; what is left out stays."""

    display_name: Annotated[Words, StringConstraints(max_length=100)] | None = None
    role: Annotated[Text, StringConstraints(max_length=500)] | None = None
    tone: Annotated[Text, StringConstraints(max_length=500)] | None = None
    quirk: Annotated[Text, StringConstraints(max_length=500)] | None = None
    directive: Annotated[Text, StringConstraints(max_length=4000)] | None = None
    model: Annotated[Text, StringConstraints(max_length=200)] | None = None

    def profile(self) -> Profile:
        """As the store takes it."""
        return Profile(
            display_name=self.display_name,
            role=self.role,
            tone=self.tone,
            quirk=self.quirk,
            directive=self.directive,
            model=self.model,
        )


class NewAgent(ProfileIn):
    """Somebody new."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class ChangedAgent(ProfileIn):
    """Somebody changed; ``active`` false: takes no new work."""

    active: bool | None = None


class VoiceOut(NamedTuple):
    """How an agent talks now, by what it has learnt: at most three sentences."""

    agent_id: str
    modifiers: list[str]


class MemoryQuery(PageQuery):
    """Whose memories, and of which type."""

    agent: Name | None = None
    type: MemoryKind | None = None
    superseded: Literal["true", "false"] = "false"


class NewMemory(Asked):
    """Something a person wants remembered."""

    agent_id: Name
    type: MemoryKind
    content: Said
    confidence: Share = 0.8
    tags: Tags = Field(default_factory=list)


class ChangedMemory(Asked):
    """A memory corrected by a person, or kept for good (pinned)."""

    pinned: bool | None = None
    content: Said | None = None
    confidence: Share | None = None
    tags: Tags | None = None


class PairOut(NamedTuple):
    """A pair with its last drifts, oldest first."""

    agent_a: str
    agent_b: str
    affinity: Decimal
    label: str
    drift_log: list[dict[str, Any]]


async def everybody(conn: Connection) -> list[AgentOut]:
    """All agents, the inactive included, by id."""
    profiles = {agent.id: agent for agent in await roster_store.roster(conn)}
    return [_whole(one, profiles[one.id]) for one in await people.stats(conn) if one.id in profiles]


def _whole(stats: AgentStats, profile: Any) -> AgentOut:
    return AgentOut(**{**stats._asdict(), **profile._asdict()})


async def _agent(conn: Connection, id: str) -> AgentOut:
    found = [one for one in await everybody(conn) if one.id == id]
    if not found:
        raise Refused(404, f"there is no agent {id[:100]!r}")
    return found[0]


@TOPIC.get("/agents", "Everybody, by id", Listed(AgentOut), query=PageQuery, shared_s=SHARED_S)
async def list_agents(conn: Connection, asking: Asking) -> Page:
    return page_of_all(asking.query, await everybody(conn), lambda one: one.id)


@TOPIC.post("/agents", "Somebody new", AgentOut, body=NewAgent, status=201)
async def add_agent(conn: Connection, asking: Asking) -> Reply:
    asked: NewAgent = asking.body
    profile = asked.profile()
    profile["display_name"] = profile["display_name"] or asked.id.capitalize()
    if not await people.add(conn, asked.id, profile):
        raise Refused(409, f"there is an agent {asked.id!r} already")
    return Reply(await _agent(conn, asked.id), {"location": f"{PREFIX}/agents/{asked.id}"})


@TOPIC.get("/agents/{agent}", "One agent", AgentOut)
async def get_agent(conn: Connection, asking: Asking) -> AgentOut:
    return await _agent(conn, asking.path["agent"])


@TOPIC.patch("/agents/{agent}", "Change who somebody is, or let him rest", AgentOut, body=ChangedAgent)
async def change_agent(conn: Connection, asking: Asking) -> AgentOut:
    asked: ChangedAgent = asking.body
    agent = asking.path["agent"]
    await _agent(conn, agent)
    await people.edit(conn, agent, asked.profile())
    if asked.active is not None:
        await people.switch(conn, agent, active=asked.active)
    return await _agent(conn, agent)


@TOPIC.get("/agents/{agent}/hours", "The hours of an agent's day", Listed(lists.Hour), query=PageQuery)
async def agent_hours(conn: Connection, asking: Asking) -> Page:
    agent = (await _agent(conn, asking.path["agent"])).id
    return page_of_all(asking.query, await lists.hours(conn, agent), lambda one: str(one.hour))


@TOPIC.get("/voice", "How everybody talks now", Listed(VoiceOut), query=PageQuery)
async def voices(conn: Connection, asking: Asking) -> Page:
    team = [agent.id for agent in await roster_store.roster(conn)]
    known = await conversations.remembered(conn, team)
    told = [VoiceOut(agent, list(modifiers(known.get(agent, [])))) for agent in team]
    return page_of_all(asking.query, told, lambda one: one.agent_id)


@TOPIC.get("/memory", "What is remembered, the newest first", Listed(Memory), query=MemoryQuery)
async def list_memories(conn: Connection, asking: Asking) -> Page:
    query: MemoryQuery = asking.query

    async def read(limit: int, after: int | None) -> list[Memory]:
        return await lists.memories(
            conn, limit, after, agent=query.agent, type=query.type, superseded=query.superseded == "true"
        )

    return await page_by_id(query, read)


@TOPIC.post("/memory", "Tell an agent something to remember", Made, body=NewMemory, status=201)
async def add_memory(conn: Connection, asking: Asking) -> Reply:
    asked: NewMemory = asking.body
    id = await memory_store.remember(
        conn,
        asked.agent_id,
        asked.type,
        asked.content,
        confidence=asked.confidence,
        tags=asked.tags,
        trust="human",
    )
    return Reply(Made(id), {"location": f"{PREFIX}/memory/{id}"})


@TOPIC.get("/memory/{id}", "One memory", Memory)
async def get_memory(conn: Connection, asking: Asking) -> Memory:
    found = await memory_store.memory(conn, asking.id)
    if found is None:
        raise Refused(404, f"there is no memory {asking.id}")
    return found


@TOPIC.patch("/memory/{id}", "Pin or correct a memory", Memory, body=ChangedMemory)
async def change_memory(conn: Connection, asking: Asking) -> Memory:
    asked: ChangedMemory = asking.body
    await memory_store.edit(
        conn,
        asking.id,
        pinned=asked.pinned,
        content=asked.content,
        confidence=asked.confidence,
        tags=asked.tags,
    )
    return await get_memory(conn, asking)


@TOPIC.delete("/memory/{id}", "Forget for good", Changed)
async def forget(conn: Connection, asking: Asking) -> Changed:
    await memory_store.forget(conn, asking.id)
    return Changed(True, "forgotten")


@TOPIC.get("/relationships", "Every pair, the warmest first", Listed(PairRow), query=PageQuery)
async def pairs(conn: Connection, asking: Asking) -> Page:
    found = await relationships.relationship_map(conn)
    return page_of_all(asking.query, found, lambda one: f"{one.agent_a}.{one.agent_b}")


@TOPIC.get("/relationships/{one}/{other}", "A pair and its last drifts", PairOut)
async def pair(conn: Connection, asking: Asking) -> PairOut:
    two = {asking.path["one"], asking.path["other"]}
    for known in await relationships.relationship_map(conn):
        if {known.agent_a, known.agent_b} == two:
            log = await lists.drift_log(conn, known.agent_a, known.agent_b)
            return PairOut(known.agent_a, known.agent_b, known.affinity, known.label, list(log or []))
    raise Refused(404, "these two have never met, or are not two of ours")


@TOPIC.post(
    "/relationships/reset-simulated", "Pairs that only the stand-in has moved are as they began", Changed
)
async def reset_simulated(conn: Connection, asking: Asking) -> Changed:
    begun = await relationships.reset_simulated(conn)
    return Changed(begun > 0, "1 pair begins again" if begun == 1 else f"{begun} pairs begin again")
