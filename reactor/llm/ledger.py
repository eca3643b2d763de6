"""The meter that keeps the books in the database, for all reactors together.

What a call may cost is set aside in one short transaction before it and replaced by what it did cost in another one after;
no lock is held while the model thinks. That transaction also knows what other reactors know: that the provider wants fewer
calls, that the key is refused, that the minute is full, that a budget is spent, that everything is paused.
"""

from typing import Final

import structlog
import trio

from reactor.errors import (
    BudgetSpent,
    CallsPaused,
    CallsQueued,
    DatabaseError,
    KeyRefused,
    NotNow,
    RateLimited,
    TransientConflict,
)
from reactor.llm.metering import Reservation, Settlement
from reactor.pg import Connection, Pool
from reactor.store import llm_ledger as store
from reactor.store.llm_ledger import NewCall, Reserved, Settled

log = structlog.get_logger()

# After a call's own time nobody settles it any more; it has cost what was reserved.
_LAPSE_AFTER_S: Final = 15.0
_RESERVE_WITHIN_S: Final = 2.0
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
        async with self._pool.connection() as conn:
            # Cancelled in the middle, it would be on the books of nobody until it lapses.
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _RESERVE_WITHIN_S):
                reserved = await _insistently(conn, call)
                if reserved.call_id is not None:
                    self._open[id(reservation)] = reserved.call_id
                    return
                self._refuse(reserved)
        raise DatabaseError("the books of the language model did not answer in time")

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
            async with self._pool.connection() as conn:
                for line in await _settled(conn, settled):
                    log.warning("llm", said=line)
                if settlement.outcome == "ok" and not settlement.simulated and not self._real_call_noted:
                    await store.note_real_call(conn)
                    self._real_call_noted = True
        except DatabaseError as error:
            log.warning("call_not_settled", call=call_id, reason=str(error))

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


async def _insistently(conn: Connection, call: NewCall) -> Reserved:
    """Reserved; two that met in a database with stricter isolation try again."""
    for _ in range(_TRIES - 1):
        try:
            return await store.reserve(conn, call)
        except TransientConflict:
            await trio.lowlevel.checkpoint()
    return await store.reserve(conn, call)


async def _settled(conn: Connection, call: Settled) -> list[str]:
    for _ in range(_TRIES - 1):
        try:
            return await store.settle(conn, call)
        except TransientConflict:
            await trio.lowlevel.checkpoint()
    return await store.settle(conn, call)
