"""Answers that many may share for a moment, because they are dear: one asks, the others wait for what he gets."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import trio

T = TypeVar("T")
MOST: Final = 100


class Shared(Generic[T]):
    """The last answers by what was asked; `forget` after a change, so that whoever made it sees it."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._asking: dict[str, trio.Lock] = {}
        self._changes = 0

    def forget(self) -> None:
        """No answer from before now is given any more."""
        self._answers.clear()
        self._changes += 1

    async def get(self, asked: str, lasts_s: float, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer, at most ``lasts_s`` old; raises what ``ask`` raises, which is shared by nobody."""
        lock = self._asking.setdefault(asked, trio.Lock())
        try:
            async with lock:
                known = self._answers.get(asked)
                if known is not None and trio.current_time() < known[0]:
                    return known[1]
                changes = self._changes
                answer = await ask()
                if changes == self._changes:
                    self._answers[asked] = (trio.current_time() + lasts_s, answer)
                    self._answers.move_to_end(asked)
                    if len(self._answers) > MOST:
                        self._answers.popitem(last=False)
                return answer
        finally:
            if not lock.statistics().tasks_waiting and not lock.locked():
                self._asking.pop(asked, None)
