"""From what a handler returned to what is written of it."""

import math
from uuid import UUID

from reactor.engine.completer import Item
from reactor.model.backoff import delay
from reactor.model.outcomes import Cancel, Done, Fail, GiveBack, Interrupted, Outcome, Snooze
from reactor.store.claimed import ClaimedRow
from reactor.store.queues import Interruption, Settlement, Success, encode_result

RETRY_BASE_S = 1.0
RETRY_CAP_S = 300.0
RESULT_BYTES = 1048576
REASON_CHARS = 4000
LONGEST_SNOOZE_S = 10 * 366 * 86400.0


def item_of(row: ClaimedRow, token: UUID, outcome: Outcome, *, waited_s: float, chance: float) -> Item:
    """What is written for ``outcome``. ``waited_s``: how long the row lay read ahead; ``chance`` in [0, 1) jitters a retry.

    Never fails: what a handler put into its outcome may raise anything when it is read, and only its own row suffers.
    """
    try:
        return _item(row, token, outcome, waited_s=waited_s, chance=chance)
    except Exception as error:
        what = (
            "the result is no JSON"
            if isinstance(outcome, Done)
            else f"{type(outcome).__name__} cannot be read"
        )
        return Settlement(
            row.id, token, row.mission_id, "failed", 0, 0.0, clean(f"{what}: {describe(error)}")
        )


def _item(row: ClaimedRow, token: UUID, outcome: Outcome, *, waited_s: float, chance: float) -> Item:
    if isinstance(outcome, Done):
        text = cut(encode_result(dict(outcome.result))) if outcome.result else "{}"
        return Success(
            row.id, token, row.mission_id, waited_s, bool(outcome.simulated) or row.simulated, text
        )

    def settled(status: str, reason: str | None, *, attempts: int = 0, delay_s: float = 0.0) -> Settlement:
        return Settlement(row.id, token, row.mission_id, status, attempts, delay_s, reason)

    match outcome:
        case Fail(reason, retry):
            if retry and row.attempt < row.max_attempts:
                pause_s = delay(row.attempt - 1, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S, chance=chance)
                return settled("queued", clean(reason), delay_s=pause_s)
            return settled("failed", clean(reason))
        case Snooze(delay_s, reason):
            pause_s = 0.0 if math.isnan(delay_s) else min(max(delay_s, 0.0), LONGEST_SNOOZE_S)
            return settled("queued", clean(reason) or None, attempts=-1, delay_s=pause_s)
        case Cancel(reason):
            return settled("cancelled", clean(reason))
        case GiveBack(reason):
            return given_back(row, token, clean(reason))
        case Interrupted(reason):
            return Interruption(row.id, token, row.mission_id, clean(reason))
    return settled("failed", f"the handler returned {type(outcome).__name__}, which is no outcome")


def given_back(row: ClaimedRow, token: UUID, reason: str | None = None) -> Settlement:
    """The row goes back as if never taken."""
    return Settlement(row.id, token, row.mission_id, "queued", -1, 0.0, reason)


def describe(error: BaseException) -> str:
    """One line for an exception, groups unwrapped: ``TypeName: message``. Never fails, whatever its text does."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    try:
        message = " ".join(str(error).split())
    except Exception:
        message = ""
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def clean(reason: str) -> str:
    """A reason the database takes: one line of at most 4,000 characters, without NUL and lone surrogates."""
    text = reason.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
    return text[:REASON_CHARS]


def cut(text: str) -> str:
    """The JSON text of a result, or of what is left of one over 1 MiB, with a mark."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if size <= RESULT_BYTES:
        return text
    return encode_result({"truncated": True, "bytes": size, "text": text[: RESULT_BYTES // 8]})
