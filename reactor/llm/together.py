"""Asking for many at once: those who come while an answer is under way are asked for together next.

A single caller asks at once and alone. Of those who come meanwhile, the first asks for all as soon as the answer is there;
so lists grow with the load by themselves, and nothing runs while nobody asks. There is no task for it: whoever asks does so
in his own.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from copy import copy
from typing import Generic, TypeVar

import trio

A = TypeVar("A")
B = TypeVar("B")


class _Wish(Generic[A, B]):
    __slots__ = ("answer", "asked", "error", "task", "what")

    def __init__(self, what: A) -> None:
        self.what = what
        self.task = trio.lowlevel.current_task()
        self.asked = False
        self.answer: list[B] = []  # at most one
        self.error: Exception | None = None


class Together(Generic[A, B]):
    """Calls ``ask`` with lists of at most ``most`` wishes, one call at a time; its answers are in their order.

    ``ask`` gets ``within_s`` seconds and is shielded, for others depend on it; after them everybody on the list gets the
    error of ``late``.
    """

    def __init__(
        self,
        ask: Callable[[list[A]], Awaitable[list[B]]],
        *,
        most: int,
        within_s: float,
        late: Callable[[], Exception],
    ) -> None:
        self._ask = ask
        self._most = most
        self._within_s = within_s
        self._late = late
        self._asking = False  # somebody asks, or has been appointed to
        self._waiting: deque[_Wish[A, B]] = deque()

    async def __call__(self, what: A) -> B:
        """The answer to ``what``.

        Raises: what ``ask`` raised, as everybody who was on its list.
        Cancellation: before ``what`` is on a list nothing has happened; from then on the answer is waited for.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        wish: _Wish[A, B] = _Wish(what)
        self._waiting.append(wish)
        if self._asking:
            await self._wait(wish)
        if not wish.asked:
            self._asking = True
            await self._ask_for_all()
        if wish.error is not None:
            raise wish.error
        return wish.answer[0]

    async def _wait(self, wish: _Wish[A, B]) -> None:
        """It is answered, or it is the first of those who wait and nobody asks."""

        def abort(_: object) -> trio.lowlevel.Abort:
            if wish.asked:
                return trio.lowlevel.Abort.FAILED
            self._waiting.remove(wish)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    async def _ask_for_all(self) -> None:
        """Those who wait, the caller before all others, are answered; the next one is woken to ask."""
        wishes = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        for wish in wishes:
            wish.asked = True
        error = self._late()
        try:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + self._within_s):
                answers = await self._ask([wish.what for wish in wishes])
                for wish, answer in zip(wishes, answers, strict=True):
                    wish.answer.append(answer)
        except Exception as raised:
            error = raised
        finally:
            for wish in wishes:
                wish.error = None if wish.answer else copy(error)
            for wish in wishes[1:]:
                trio.lowlevel.reschedule(wish.task)
            self._asking = bool(self._waiting)
            if self._waiting:
                trio.lowlevel.reschedule(self._waiting[0].task)
