"""The meter that keeps the books in the database, for all reactors together.

What a call may cost is set aside in one short transaction before it and replaced by what it did cost in another one after;
no lock is held while the model thinks. Calls that begin or end while one of these is under way share the next one. That
transaction also knows what other reactors know: that the provider wants fewer calls, that the key is refused, that the
minute is full, that a budget is spent, that everything is paused.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog
import trio

from reactor.errors import (
    BudgetSpent,
    CallsPaused,
    CallsQueued,
    DatabaseError,
    DatabaseUnavailable,
    KeyRefused,
    NotNow,
    RateLimited,
    TransientConflict,
)
from reactor.llm.metering import Reservation, Settlement
from reactor.llm.together import Together
from reactor.pg import Connection, Pool
from reactor.store import llm_ledger as store
from reactor.store.llm_ledger import NewCall, Reserved, Settled

log = structlog.get_logger()

T = TypeVar("T")

# After a call's own time nobody settles it any more; it has cost what was reserved.
_LAPSE_AFTER_S: Final = 15.0
# For a statement, the wait for a connection included.
_ANSWER_WITHIN_S: Final = 10.0
_TOGETHER: Final = 250
_TRIES: Final = 5


class Ledger:
    """A `reactor.llm.metering.Meter` on table ``ops_llm_calls``.

    ``key_print``: which key the calls are made with, by its fingerprint; its pauses do not hold up another one.
    """

    def __init__(self, pool: Pool, *, service: str, provider: str, key_print: str, simulated: bool) -> None:
        self._pool = pool
        self._service = service
        self._provider = provider
        self._key_print = key_print
        self._simulated = simulated
        self._open: dict[int, int] = {}  # by id() of a reservation, which its call keeps alive
        self._real_call_noted = False
        self._unpriced: set[str] = set()
        self._reserving = Together(
            self._reserve_all, most=_TOGETHER, within_s=_ANSWER_WITHIN_S, late=_too_late
        )
        self._settling = Together(self._settle_all, most=_TOGETHER, within_s=_ANSWER_WITHIN_S, late=_too_late)

    async def reserve(self, reservation: Reservation) -> None:
        """See `reactor.llm.metering.Meter`.

        Raises: CallsQueued: the minute is full, or the rest of a budget is reserved by others. BudgetSpent: it is spent.
            CallsPaused, RateLimited, KeyRefused: calls are paused. DatabaseError: nobody knows; no call may be made.
        Cancellation: before the statement nothing is set aside; once it has begun, it is waited for.
        """
        request = reservation.request
        if reservation.unpriced and reservation.model not in self._unpriced:
            self._unpriced.add(reservation.model)
            log.warning(
                "model_without_price",
                model=reservation.model,
                hint="it counts as the dearest known; add it to policy llm_prices",
            )
        call = NewCall(
            service=self._service,
            provider=self._provider,
            key_print=self._key_print,
            model=reservation.model,
            purpose=request.purpose,
            most_usd=reservation.most_usd,
            lapse_s=request.timeout_s + _LAPSE_AFTER_S,
            agent_id=request.agent_id,
            mission_id=request.mission_id,
            work=request.idempotency_key,
            by_human=request.by_human,
            simulated=self._simulated,
            unpriced=reservation.unpriced,
        )
        # Cancelled in the middle, it would be on the books of nobody until it lapses: that is waited for.
        reserved = await self._reserving(call)
        if reserved.call_id is None:
            self._refuse(reserved)
        else:
            self._open[id(reservation)] = reserved.call_id

    async def settle(self, reservation: Reservation, settlement: Settlement) -> None:
        """See `reactor.llm.metering.Meter`. What cannot be written lapses at the reserved amount; a warning says so."""
        call_id = self._open.pop(id(reservation), None)
        if call_id is None:
            return
        usage = settlement.usage
        settled = Settled(
            call_id=call_id,
            outcome=settlement.outcome,
            model=settlement.model,
            cost_usd=settlement.cost_usd,
            would_cost_usd=settlement.would_cost_usd,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            latency_ms=round(settlement.latency_s * 1000),
            made=settlement.made,
            pause=settlement.pause,
            pause_s=settlement.pause_s,
        )
        try:
            if settled.pause is None:
                await self._settling(settled)
            else:
                await self._settle_one(settled)
        except DatabaseError as error:
            _not_settled(settled, error)

    async def _reserve_all(self, calls: list[NewCall]) -> list[Reserved]:
        async with self._pool.connection() as conn:
            if len(calls) == 1:
                return [await _insistently(lambda: store.reserve(conn, calls[0]))]
            return await _insistently(lambda: store.reserve_together(conn, calls))

    async def _settle_all(self, calls: list[Settled]) -> list[None]:
        if len(calls) == 1:
            await self._settle_one(calls[0])
            return [None]
        try:
            async with self._pool.connection() as conn:
                _tell(await _insistently(lambda: store.settle_together(conn, calls)))
                await self._note_real_call(conn, any(call.outcome == "ok" for call in calls))
        except DatabaseError as error:
            if error.transient:
                raise
            for call in calls:  # what the database refuses of one is not to hold up the others
                try:
                    await self._settle_one(call)
                except DatabaseError as refused:
                    _not_settled(call, refused)
        return [None] * len(calls)

    async def _settle_one(self, call: Settled) -> None:
        async with self._pool.connection() as conn:
            _tell(await _insistently(lambda: store.settle(conn, call)))
            await self._note_real_call(conn, call.outcome == "ok")

    async def _note_real_call(self, conn: Connection, went_well: bool) -> None:
        if went_well and not self._simulated and not self._real_call_noted:
            await store.note_real_call(conn)
            self._real_call_noted = True

    def _refuse(self, reserved: Reserved) -> None:
        detail = reserved.detail or reserved.verdict
        if reserved.told:
            log.warning("llm", said=detail)
        match reserved.verdict:
            case "held":
                raise CallsPaused(detail)
            case "rate_limited":
                raise RateLimited(detail, reserved.wait_s)
            case "key_refused":
                raise KeyRefused(detail)
            case "rate" | "busy":
                raise CallsQueued(detail, reserved.wait_s)
            case "budget":
                raise BudgetSpent(detail, reserved.wait_s)
        raise NotNow(detail, reserved.wait_s)


def _too_late() -> DatabaseUnavailable:
    return DatabaseUnavailable("the books of the language model did not answer in time")


def _tell(lines: list[str]) -> None:
    for line in lines:
        log.warning("llm", said=line)


def _not_settled(call: Settled, error: DatabaseError) -> None:
    log.warning("call_not_settled", call=call.call_id, reason=str(error))


async def _insistently(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer; two that met in a database with stricter isolation try again."""
    for _ in range(_TRIES - 1):
        try:
            return await ask()
        except TransientConflict:
            await trio.lowlevel.checkpoint()
    return await ask()
