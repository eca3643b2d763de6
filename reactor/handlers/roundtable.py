"""The roundtable queue's handler: a conversation, turn by turn, and what it comes to.

Before each turn the handler looks whether the row is still its own and whether conversations are paused; each turn is one
call and one row, written under the claim's token. So whoever takes the row over after a crash, a pause or a stop reads what
was said and goes on with the next turn: no turn is made twice, and no call is paid twice but the one in flight. Who
speaks, how and in which tone comes from dice that were seeded once, when the conversation began.
"""

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import structlog

from reactor.errors import AnswerMisshapen, LLMReplyRefused, LLMRequestRefused, ReactorError
from reactor.handlers.context import Context
from reactor.handlers.prompts import system_prompt
from reactor.handlers.roundtable_plan import Plan, Rules, begin, format_of, rules
from reactor.handlers.roundtable_prompts import HUMAN, NOTE_TAKER, distil_prompt, turn_prompt
from reactor.handlers.roundtable_shapes import Distillate
from reactor.handlers.runner import verdict_on
from reactor.llm.fences import clean
from reactor.llm.request import LLMReply, LLMRequest, Material, Message, Said
from reactor.model.casts import affinity_of
from reactor.model.formats import ASK, FORMATS, Format
from reactor.model.memory import Memory
from reactor.model.outcomes import Done, GiveBack, Outcome
from reactor.model.people import Agent
from reactor.model.speakers import next_speaker
from reactor.model.talk import is_spent, tidy
from reactor.model.tone import Tone, tone
from reactor.store import conversations as store
from reactor.store import memory as memory_store
from reactor.store.claimed import ClaimedRoundtable, ClaimedRow
from reactor.store.conversations import Brief, Turn

TIMEOUT_S: Final = 1800.0  # forty turns of a slow model
SERVICE: Final = "anthropic"
DISTIL_TEMPERATURE: Final = 0.3
MOST_REPLIES: Final = 10  # turns more than planned, one for each of a person's
STRANGERS: Final = Decimal("0.5")  # affinity of two who have not met

PAUSED: Final = GiveBack("conversations are paused")
NOT_OURS: Final = GiveBack("the conversation is in other hands")


class RoundtableWork:
    """The roundtable queue's handlers, as the engine sees them."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def kinds(self, closed_services: Collection[str]) -> Sequence[str]:
        """The formats, none while the model cannot be asked."""
        return () if SERVICE in closed_services else FORMATS

    def timeout_s(self, row: ClaimedRow) -> float:
        """Long enough for the longest conversation."""
        return TIMEOUT_S

    async def perform(self, row: ClaimedRow) -> Outcome:
        """Hold the conversation from where it is to its end, and distil it; or distil another one again.

        Done: topic, participants, turns and what landed. GiveBack: paused, or in other hands; what was said stays said.
        Cancellation: the turn in flight is lost, those before it stay.
        """
        assert isinstance(row, ClaimedRoundtable)
        try:
            await self._context.roster.freshen(self._context.pool)
            async with self._context.pool.connection() as conn:
                brief = await store.brief(conn, row.id)
                if brief is None:
                    return NOT_OURS
                if brief.distils is not None:
                    format = await format_of(conn, brief.format)
                    return await _distil_again(self._context, row, brief, format)
                format = await format_of(conn, brief.format)
                plan = await begin(conn, row, brief, format, self._context)
            talk = Conversation(self._context, row, brief, format, plan)
            return await talk.hold()
        except ReactorError as error:
            return verdict_on(error)


class Conversation:
    """One conversation in the hands of this process."""

    def __init__(
        self, context: Context, row: ClaimedRoundtable, brief: Brief, format: Format, plan: Plan
    ) -> None:
        self._context = context
        self._row = row
        self._id = brief.distils or row.id
        self._by_human = brief.source == "human"
        self._format = format
        self._plan = plan
        self._rules = Rules()
        self._affinities: Mapping[tuple[str, str], Decimal] = {}
        self._memories: dict[str, Sequence[Memory]] = {}
        self._said: list[Turn] = []

    async def hold(self) -> Outcome:
        """From the next turn on until it is over; then distil it."""
        await self._prepare()
        while True:
            stopped = await self._look()
            if stopped is not None:
                return stopped
            if self.is_over():
                return await self.distil()
            if not self._said and self._format is ASK:
                written = await self._write(HUMAN, self._plan.topic, None, simulated=False)
            else:
                written = await self._turn()
            if not written:
                return NOT_OURS

    async def _prepare(self) -> None:
        async with self._context.pool.connection() as conn:
            self._rules = await rules(conn)
            self._affinities = await store.affinities(conn, self._plan.participants)
            for agent_id in self._plan.participants:
                self._memories[agent_id] = await memory_store.influence(
                    conn, agent_id, "roundtable", self._id
                )

    async def _look(self) -> Outcome | None:
        """Read what was said; an outcome when the conversation must not go on."""
        async with self._context.pool.connection() as conn:
            mine, paused = await store.standing(conn, self._row.id, self._row.token)
            self._said = await store.turns(conn, self._id)
        return PAUSED if mine and paused else None if mine else NOT_OURS

    def is_over(self) -> bool:
        """Whether everybody had the turns that were planned, or nothing new comes any more."""
        lines = [turn.dialogue for turn in self._said if turn.speaker != HUMAN]
        if len(lines) >= self._turns_wanted():
            return True
        if self._format is ASK or (self._said and self._said[-1].speaker == HUMAN):
            return False
        return is_spent(lines, len(self._plan.participants))

    def _turns_wanted(self) -> int:
        """The turns planned, and one to answer each thing a person said meanwhile."""
        people = sum(turn.speaker == HUMAN for turn in self._said)
        return self._plan.turns + (0 if self._format is ASK else min(people, MOST_REPLIES))

    async def _turn(self) -> bool:
        """One agent is asked and its line written; false when the row is not ours any more."""
        turns = sum(turn.speaker != HUMAN for turn in self._said)
        agent = self._agent(self._next_speaker(turns))
        mood = self._tone(agent.id, turns)
        reply = await self._context.gateway.complete(self.turn_request(agent, mood, turns))
        names = (agent.display_name, agent.id)
        line = tidy(clean(reply.text), self._rules.turn_chars, names)
        return await self._write(agent.id, line, mood, simulated=reply.simulated)

    async def _write(self, speaker: str, line: str, mood: Tone | None, *, simulated: bool) -> bool:
        async with self._context.pool.connection() as conn:
            taken = await store.take_turn(
                conn,
                self._row.id,
                self._row.token,
                speaker=speaker,
                dialogue=line,
                tone=mood,
                simulated=simulated,
            )
        return taken is not None

    def _next_speaker(self, turns: int) -> str:
        spoken = [turn.speaker for turn in self._said]
        participants: Sequence[str] = self._plan.participants
        if self._format is ASK:
            participants = [one for one in participants if one not in spoken]
        return next_speaker(
            participants,
            spoken,
            affinity_of({pair: float(value) for pair, value in self._affinities.items()}),
            self._plan.dice(f"speaker {turns}"),
            opener=self._rules.coordinator if self._format.formal else None,
        )

    def _tone(self, agent_id: str, turns: int) -> Tone:
        last = self._said[-1].speaker if self._said else HUMAN
        pair = (min(agent_id, last), max(agent_id, last))
        return tone(self._affinities.get(pair, STRANGERS), self._plan.dice(f"tone {turns}").random())

    def _agent(self, agent_id: str) -> Agent:
        return self._context.roster.agents.get(agent_id) or Agent(agent_id, agent_id.capitalize())

    def turn_request(self, agent: Agent, mood: Tone, turns: int) -> LLMRequest:
        """The call for the turn of ``agent``, when agents have had ``turns`` turns."""
        roster, plan = self._context.roster, self._plan
        people = [self._agent(one) for one in plan.participants]
        memories = self._memories.get(agent.id, ())
        prompt = turn_prompt(
            self._format,
            agent,
            topic=plan.topic,
            others=[one for one in people if one.id != agent.id],
            side=plan.sides.get(agent.id),
            voice=plan.voices.get(agent.id, ()),
            memories=memories,
            said=self._said,
            tone=mood,
            last_round=turns >= self._turns_wanted() - min(2, len(people)),
            turn_chars=self._rules.turn_chars,
        )
        return LLMRequest(
            purpose="turn",
            system=system_prompt(roster.company, agent),
            messages=(Message("user", prompt),),
            material=self._material(agent, people, mood, memories),
            max_tokens=roster.limits.answer_tokens("turn"),
            timeout_s=roster.limits.timeout_s,
            model=agent.model,
            temperature=self._format.temperature,
            agent_id=agent.id,
            idempotency_key=f"roundtable:{self._id}:turn:{len(self._said) + 1}",
            by_human=self._by_human,
        )

    def _material(
        self, agent: Agent, people: Sequence[Agent], mood: str, memories: Sequence[Memory] = ()
    ) -> Material:
        return Material(
            company=self._context.roster.company,
            agent=agent,
            topic=self._plan.topic,
            earlier=tuple(Said(agent.id, memory.content) for memory in memories),
            said=tuple(Said(turn.speaker, turn.dialogue, turn.turn) for turn in self._said if turn.dialogue),
            participants=tuple(people),
            tone=mood,
        )

    # -- what it comes to

    def distil_request(self) -> LLMRequest:
        """The call that asks what the conversation came to."""
        roster = self._context.roster
        people = [self._agent(one) for one in self._plan.participants]
        prompt = distil_prompt(self._format, topic=self._plan.topic, participants=people, said=self._said)
        return LLMRequest(
            purpose="distil",
            system=system_prompt(roster.company, NOTE_TAKER),
            messages=(Message("user", prompt),),
            material=self._material(NOTE_TAKER, people, "neutral"),
            max_tokens=roster.limits.answer_tokens("distil"),
            timeout_s=roster.limits.timeout_s,
            temperature=DISTIL_TEMPERATURE,
            idempotency_key=f"roundtable:{self._id}:distil",
            by_human=self._by_human,
        )

    async def distil(self, *, again: bool = False) -> Outcome:
        """Ask once what it came to and let all of that land; what was distilled before is not asked again.

        An answer that cannot be read is kept as it is; the conversation has succeeded all the same.
        """
        async with self._context.pool.connection() as conn:
            before = await store.distillate(conn, self._id)
        if before is not None and not (again and before.status == "failed"):
            problem = before.problem if before.status == "failed" else None
            return self._done(before.result, problem, simulated=before.simulated)
        if not any(turn.dialogue for turn in self._said if turn.speaker != HUMAN):
            return self._done({"summary": "Nobody said anything."}, None, simulated=False)
        try:
            found, reply = await self._context.gateway.structured(self.distil_request(), Distillate)
        except (LLMReplyRefused, LLMRequestRefused) as error:
            return await self._keep_raw(error)
        return await self._land(found, reply)

    async def _land(self, found: Distillate, reply: LLMReply) -> Outcome:
        people = [self._agent(one) for one in self._plan.participants]
        landing = found.landing(people, formal=self._format.formal)
        simulated = reply.simulated or self._simulated()
        async with self._context.pool.connection() as conn:
            landed = await store.land(conn, self._row.id, self._row.token, landing, simulated=simulated)
        return NOT_OURS if landed is None else self._done(landed, None, simulated=simulated)

    async def _keep_raw(self, error: ReactorError) -> Outcome:
        problem = " ".join(str(error).split())
        raw = error.raw if isinstance(error, AnswerMisshapen) else None
        simulated = self._context.gateway.simulated or self._simulated()
        async with self._context.pool.connection() as conn:
            kept = await store.keep_raw(
                conn, self._row.id, self._row.token, raw=raw, problem=problem, simulated=simulated
            )
        if not kept:
            return NOT_OURS
        log = structlog.get_logger()
        log.warning("not_distilled", roundtable_id=self._id, reason=problem, hint=f"redistill {self._id}")
        return self._done({}, problem, simulated=simulated)

    def _simulated(self) -> bool:
        return any(turn.simulated for turn in self._said)

    def _done(self, landed: Mapping[str, Any], problem: str | None, *, simulated: bool) -> Done:
        result: dict[str, Any] = {
            "topic": self._plan.topic,
            "participants": list(self._plan.participants),
            "turns": len(self._said),
            **landed,
            "distilled": problem is None,
        }
        if problem is not None:
            result["problem"] = problem
        if self._id != self._row.id:
            result["roundtable_id"] = self._id
        return Done(result, simulated=simulated or self._simulated())


async def _distil_again(context: Context, row: ClaimedRoundtable, brief: Brief, format: Format) -> Outcome:
    """Distil the conversation that ``brief.distils`` names once more."""
    assert brief.distils is not None
    async with context.pool.connection() as conn:
        whole = await store.brief(conn, brief.distils)
    if whole is None or whole.plan is None:
        return NOT_OURS
    talk = Conversation(context, row, brief, format, Plan.read(whole.plan))
    return await talk._look() or await talk.distil(again=True)
