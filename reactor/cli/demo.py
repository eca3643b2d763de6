"""``demo``: the whole loop in under a minute, told from the rows it leaves."""

import json
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

import click
import trio

from reactor.cli import logs
from reactor.cli.output import clean, say
from reactor.cli.run import _bring_to_current, _reactor
from reactor.cli.runtime import Database, database, run
from reactor.errors import ReactorError, UsageError
from reactor.handlers.kinds import KindRegistry, load_modules
from reactor.handlers.thinking import house_kinds
from reactor.model.outcomes import Outcome
from reactor.model.queues import TERMINAL, What
from reactor.pg import Connection
from reactor.settings import Settings
from reactor.store import conversations, demo, enqueue, proposals, show
from reactor.store import why as why_store
from reactor.store.claimed import ClaimedRow

T = TypeVar("T")

PARTS: Final = ("mission", "roundtable", "initiative")
WAIT_S: Final = 20.0  # for one part on the mock
REAL_WAIT_S: Final = 180.0  # and with a model that thinks
CALLS: Final = 25  # more than the demonstration makes
USD_A_CALL: Final = 0.01  # more than a call costs at the default model's prices
_GAP_S: Final = 0.05
_ASK_WHY_EVERY_S: Final = 1.0
_STOPS: Final = frozenset({"key_refused", "rate_limited", "breaker", "budget"})  # what `ops_why` calls them
_LONGEST: Final = 150  # characters of a line
COMPANY: Final = {
    "name": "Brightside Coffee",
    "what": "roasts coffee in small batches and sends it to people's homes",
    "customers": "home baristas",
    "goals": ["double the subscriptions", "lose fewer customers after the third bag"],
    "tone": "warm and plain",
}
TOLD: Final = (
    "Subscribers who name their favourite roast in the first week stay twice as long.",
    "Most people who cancel do so right after the third bag arrives.",
    "Letters with a brewing recipe are opened more often than letters with a discount.",
    "Customers ask for smaller bags on weekends, when friends visit.",
    "The page that explains grind sizes brings more first orders than any other.",
    "Orders written on a Sunday evening are larger than all others.",
)


class DidNotHappenError(ReactorError):
    """A part of the demonstration did not happen; the message says which and why."""


class NothingFoundError(DidNotHappenError):
    """The model was asked and answered, and what it answered is nothing."""


class Quiet:
    """Watches rows begin and end, and says nothing."""

    def began(self, row: ClaimedRow) -> None:
        """Nothing."""

    def ended(self, row: ClaimedRow, outcome: Outcome, seconds: float) -> None:
        """Nothing."""


@click.command(short_help="the whole loop in under a minute")
@click.option("--here", is_flag=True, help="In the database in use, not in one of its own.")
@click.option("--yes", is_flag=True, help="Do not ask, though a real model costs money.")
def demo_command(here: bool, yes: bool) -> int:
    """Watch a mission, a conversation, memories, drift, an initiative, an approval and a refusal happen.

    Every line is read from a row. Exit 1 when any part did not happen.
    """
    settings = Settings.load()
    logs.configure(settings.log, "error")
    real = settings.provider() != "mock"
    if real:
        most = "what policy llm_budget allows" if here else f"${CALLS * USD_A_CALL:.2f}"
        say(f"this asks {settings.model} about {CALLS} times and costs at most {most}")
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError("a real model costs money: say --yes, or try it with VOXYZ_LLM=mock")
            click.confirm("go on?", abort=True)
    if here:
        return run(_demo, settings, real)
    # Told to stop it leaves as after Ctrl-C: nobody else would ever stop this server.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    home = Path(tempfile.mkdtemp(prefix="voxyz-demo-"))
    try:
        home.chmod(0o755)  # the embedded server may run under an account of its own
        own = settings.model_copy(update={"database_url": None, "direct_url": None, "voxyz_home": home})
        return run(_demo, own, real)
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def _demo(settings: Settings, real: bool) -> int:
    began = trio.current_time()
    missed: dict[str, ReactorError] = {}
    async with _at_work(settings) as place:
        conn = await place.connect("demo")
        try:
            teller = Teller(conn, REAL_WAIT_S if real else WAIT_S)
            if not settings.database_url:
                await demo.set_company(conn, dict(COMPANY))
                if real:
                    await _cap(conn)
            for name, part in teller.parts().items():
                try:
                    await part()
                except ReactorError as error:
                    missed[name] = error
                    say(f"  {name} did not happen: {error}")
        finally:
            await conn.aclose()
    say()
    if missed:
        say(f"did not happen: {', '.join(missed)}")
        if all(isinstance(error, NothingFoundError) for error in missed.values()):
            say(
                "Everything works: the model was asked, and had nothing to say there. Try again, or another VOXYZ_MODEL."
            )
        return 1
    say(f"all of it happened, in {trio.current_time() - began:.0f} s. Your own: voxyz-reactor init, then run")
    return 0


async def _cap(conn: Connection) -> None:
    if await demo.ceiling_usd(conn) is not None:
        patch = json.dumps({"per_day_usd": CALLS * USD_A_CALL})
        await conn.run("select ops_set_policy('llm_budget', %(patch)s::jsonb)", {"patch": patch})


@asynccontextmanager
async def _at_work(settings: Settings) -> AsyncIterator[Database]:
    """A database with a reactor at work on it; both are left in order."""
    async with database(settings, create=True) as place:
        await _bring_to_current(settings, place)
        registry = KindRegistry(house_kinds())
        load_modules(settings.kinds, registry)
        async with _reactor(settings, place, PARTS, registry, Quiet()) as reactor:
            try:
                yield place
            finally:
                with trio.CancelScope(shield=True):
                    await reactor.stop(2.0)


class Teller:
    """Lets each part happen, waits for it, and tells it from its rows."""

    def __init__(self, conn: Connection, wait_s: float) -> None:
        self._conn = conn
        self._wait_s = wait_s
        # A title of this run's own, so that only its second proposal is a repetition.
        self._stamp = secrets.token_hex(3)
        self._talk: int | None = None

    def parts(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What happens, in order."""
        return {
            "the mission": self.mission,
            "the conversation": self.conversation,
            "its memories": self.memories,
            "its drift": self.drift,
            "the initiative": self.initiative,
            "the approval": self.approval,
            "the refusal": self.refusal,
        }

    async def mission(self) -> None:
        """Three steps, each building on those before."""
        steps = [
            {"kind": "research", "payload": {"topic": "why subscribers leave after the third bag"}},
            {"kind": "analyze", "payload": {"topic": "what would keep them"}},
            {"kind": "draft_tweet", "payload": {"topic": "the best reason to stay"}},
        ]
        id = await enqueue.mission(self._conn, "Keep subscribers past the third bag", json.dumps(steps))
        _head(f"mission {id}", "Keep subscribers past the third bag")
        await self._ended("mission", id)
        for step in await demo.steps(self._conn, id):
            _line(f"{step.agent}, {step.kind}{' (simulated)' if step.simulated else ''}", step.said)

    async def conversation(self) -> None:
        """Turns, each by somebody."""
        who = ("minion", "sage", "scout", "quill")
        id = await enqueue.roundtable(
            self._conn, "brainstorm", "What keeps people past the third bag?", participants=who
        )
        _head(f"conversation {id}", "brainstorm: What keeps people past the third bag?")
        await self._ended("roundtable", id)
        self._talk = id
        said = await conversations.turns(self._conn, id)
        for turn in said:
            _line(turn.speaker, turn.dialogue)
        if not said:
            raise NothingFoundError(f"nobody said anything in conversation {id}")

    async def memories(self) -> None:
        """What the conversation left in memory."""
        found = await demo.memories_of(self._conn, self._talk) if self._talk else []
        for agent, kind, content, confidence in found[:4]:
            _line(f"{agent} remembers ({kind}, {confidence})", content)
        if not found:
            raise await self._undistilled("the model found nothing in it worth remembering")

    async def drift(self) -> None:
        """Who came nearer to whom, and who moved apart."""
        found = await demo.drifts_of(self._conn, self._talk) if self._talk else []
        for one, other, before, after, reason in found[:4]:
            _line(f"{one} and {other}: {before} → {after}", reason)
        if not found:
            raise await self._undistilled("the model saw nobody come nearer or move apart")

    async def _undistilled(self, otherwise: str) -> DidNotHappenError:
        """Why nothing came of the conversation."""
        if self._talk is None:
            return DidNotHappenError("there was no conversation")
        problem, left_out = await demo.distilled(self._conn, self._talk)
        if problem is not None:
            return DidNotHappenError(f"what the model made of it could not be read: {problem}")
        strangers = f" ({left_out} of its notes name nobody who took part)" if left_out else ""
        return NothingFoundError(otherwise + strangers)

    async def initiative(self) -> None:
        """An agent that was told a few things has an idea of its own."""
        for place, content in enumerate(TOLD):
            await demo.tell(self._conn, "sage", content, f"demo:{place}")
        id = await enqueue.initiative(self._conn, "sage", reason="demo")
        _head(f"initiative {id}", f"sage was told {len(TOLD)} things and is asked for an idea of its own")
        await self._ended("initiative", id)
        found = await demo.initiative(self._conn, id)
        if found is None:
            raise NothingFoundError("sage found nothing worth doing")
        proposal, title, status, reason = found
        _line(f"proposal {proposal}, {status}", title if not reason else f"{title}: {reason}")

    async def approval(self) -> None:
        """What leaves the house waits twice: the proposal for a yes, the request for a look."""
        verdict = await self._propose()
        _head(f"proposal {verdict.proposal_id}", "xalt wants to post to https://example.com/hooks/post")
        _line(verdict.status, "a webhook leaves the house: a person decides")
        if verdict.status != "pending":
            raise DidNotHappenError(verdict.reason or verdict.status)
        mission = await proposals.approve(self._conn, verdict.proposal_id, "demo")
        status, _, by, _ = await demo.proposal(self._conn, verdict.proposal_id)
        _line(status, f"by {by}; it is mission {mission}")
        held = await self._until(lambda: demo.held_step(self._conn, mission), "no step was held")
        _line(f"step {held[0]} is held", f"it would go to {held[1]}")
        await proposals.release(self._conn, held[0], "demo")
        await self._ended("mission", mission)
        for step in await demo.steps(self._conn, mission):
            _line(
                f"{step.kind}, {step.status}{', simulated: nothing was sent' if step.simulated else ''}",
                step.said,
            )

    async def refusal(self) -> None:
        """The same again is refused at the door, with the reason kept."""
        verdict = await self._propose()
        status, reason, _, gate = await demo.proposal(self._conn, verdict.proposal_id)
        _head(f"proposal {verdict.proposal_id}", "xalt wants the same again")
        _line(f"{status} by {gate or 'the door'}", reason or "")
        if status != "rejected":
            raise DidNotHappenError(f"it is {status}")

    async def _propose(self) -> proposals.Verdict:
        body = {"text": "The third bag is where it gets good."}
        steps = [{"kind": "webhook", "payload": {"url": "https://example.com/hooks/post", "body": body}}]
        return await proposals.propose(
            self._conn,
            "xalt",
            f"Post about the third bag, {self._stamp}",
            json.dumps(steps),
            source="agent",
            simulated=True,
        )

    async def _ended(self, what: What, id: int) -> None:
        async def look() -> tuple[str, str | None] | None:
            found = await show.state(self._conn, what, id)
            return (found.status, found.failure_reason) if found and found.status in TERMINAL else None

        async def stopped() -> str | None:
            why = await why_store.why(self._conn, what, id)
            return why.sentence if why.code in _STOPS and await self._is_later(why.facts["until"]) else None

        status, reason = await self._until(look, f"{what} {id} did not end", stopped)
        if status != "succeeded":
            raise DidNotHappenError(f"{what} {id} {status}: {reason or 'no reason given'}")

    async def _is_later(self, until: str | None) -> bool:
        """Whether that is further off than this one waits."""
        give_up_at = await show.now(self._conn) + timedelta(seconds=self._wait_s)
        return until is not None and datetime.fromisoformat(until) > give_up_at

    async def _until(
        self,
        look: Callable[[], Awaitable[T | None]],
        otherwise: str,
        stopped: Callable[[], Awaitable[str | None]] | None = None,
    ) -> T:
        """What ``look`` finds. Raises DidNotHappenError: nothing in time, or ``stopped`` says why there will be nothing."""
        began = trio.current_time()
        ask_why_at = began + _ASK_WHY_EVERY_S
        while (found := await look()) is None:
            now = trio.current_time()
            if now > began + self._wait_s:
                raise DidNotHappenError(f"{otherwise} within {self._wait_s:g} s")
            if stopped is not None and now > ask_why_at:
                ask_why_at = now + _ASK_WHY_EVERY_S
                if (why := await stopped()) is not None:
                    raise DidNotHappenError(why)
            await trio.sleep(_GAP_S)
        return found


def _head(what: str, about: str) -> None:
    say()
    click.echo(f"{click.style(clean(what), bold=True)}  {clean(about)}")


def _line(who: str, said: str) -> None:
    words = clean(said)
    click.echo(
        f"  {click.style(clean(who), dim=True)}: {words if len(words) <= _LONGEST else words[:_LONGEST] + '…'}"
    )
    sys.stdout.flush()
