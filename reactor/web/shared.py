"""Answers that many may share for a moment: one asks, the others wait for what he gets.

The dearer an answer the longer it is shared: however large the tables and however many ask, finding out takes one
connection a small part of its time.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import trio

T = TypeVar("T")
MOST: Final = 100
DEAR: Final = 20  # an answer is given for so many times what it took
DEAREST_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Answer(Generic[T]):
    value: T
    begun_at: float
    until: float


class Shared(Generic[T]):
    """The last answers by what was asked; `forget` after a change, so that whoever made it sees it."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, _Answer[T]] = OrderedDict()
        self._asking: dict[str, trio.Lock] = {}
        self._changes = 0

    def forget(self) -> None:
        """No answer from before now is given any more."""
        self._answers.clear()
        self._changes += 1

    async def get(self, asked: str, lasts_s: float, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer, at most ``lasts_s`` old, a dear one `DEAREST_S`; raises what ``ask`` raises, shared by nobody."""
        return await self._known_or_found(
            asked, ask, lambda known: known.until > trio.current_time(), lasts_s
        )

    async def get_fresh(self, asked: str, ask: Callable[[], Awaitable[T]]) -> T:
        """An answer found out after this question, for all who asked before that; raises as `get`."""
        asked_at = trio.current_time()
        return await self._known_or_found(asked, ask, lambda known: known.begun_at >= asked_at)

    async def _known_or_found(
        self,
        asked: str,
        ask: Callable[[], Awaitable[T]],
        good: Callable[[_Answer[T]], bool],
        lasts_s: float = 0.0,
    ) -> T:
        lock = self._asking.setdefault(asked, trio.Lock())
        try:
            async with lock:
                known = self._answers.get(asked)
                if known and good(known):
                    return known.value
                return await self._find_out(asked, lasts_s, ask)
        finally:
            if not lock.statistics().tasks_waiting and not lock.locked():
                self._asking.pop(asked, None)

    async def _find_out(self, asked: str, lasts_s: float, ask: Callable[[], Awaitable[T]]) -> T:
        changes, begun_at = self._changes, trio.current_time()
        value = await ask()
        now = trio.current_time()
        if changes == self._changes:
            until = now + max(lasts_s, min(DEAREST_S, (now - begun_at) * DEAR))
            self._answers[asked] = _Answer(value, begun_at, until)
            self._answers.move_to_end(asked)
            if len(self._answers) > MOST:
                self._answers.popitem(last=False)
        return value
