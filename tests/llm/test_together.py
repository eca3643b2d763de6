"""One question for many: how those who come meanwhile are asked for, whatever happens to the one who asks."""

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from reactor.llm.together import Together


class Oracle:
    """Answers each wish with its double, when it is let; remembers what it was asked."""

    def __init__(self, *, most: int = 100, within_s: float = 5.0) -> None:
        self.asked: list[list[int]] = []
        self.let = trio.Event()
        self.failing: Exception | None = None
        self.of = Together(self._answer, most=most, within_s=within_s, late=lambda: TimeoutError("late"))

    async def _answer(self, wishes: list[int]) -> list[int]:
        self.asked.append(wishes)
        await self.let.wait()
        if self.failing is not None:
            raise self.failing
        return [2 * wish for wish in wishes]


async def settle_down() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_one_alone_is_asked_for_at_once_and_those_who_come_meanwhile_together() -> None:
    oracle = Oracle()
    answers: dict[int, int] = {}

    async def wish(number: int) -> None:
        answers[number] = await oracle.of(number)

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(wish, number)
            await settle_down()
        assert oracle.asked == [[0]]
        oracle.let.set()
    assert oracle.asked == [[0], [1, 2, 3, 4]]
    assert answers == {number: 2 * number for number in range(5)}
    assert await oracle.of(7) == 14


async def test_a_list_has_a_bound() -> None:
    oracle = Oracle(most=2)
    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(oracle.of, number)
            await settle_down()
        oracle.let.set()
    assert oracle.asked == [[0], [1, 2], [3, 4], [5]]


async def test_who_leaves_before_it_is_asked_for_is_not_asked_for() -> None:
    oracle = Oracle()
    leaving = trio.CancelScope()

    async def leave() -> None:
        with leaving:
            await oracle.of(1)

    async with trio.open_nursery() as nursery:
        comers: list[Callable[[], Awaitable[object]]] = [lambda: oracle.of(0), leave, lambda: oracle.of(2)]
        for come in comers:
            nursery.start_soon(come)
            await settle_down()
        leaving.cancel()
        await settle_down()
        oracle.let.set()
    assert oracle.asked == [[0], [2]]


async def test_who_leaves_while_it_is_asked_for_waits_for_the_answer_and_so_do_the_others() -> None:
    oracle = Oracle()
    got: list[int] = []

    async def wish(number: int, scope: trio.CancelScope) -> None:
        with scope:
            got.append(await oracle.of(number))

    scopes = [trio.CancelScope() for _ in range(3)]
    async with trio.open_nursery() as nursery:
        for number, scope in enumerate(scopes):
            nursery.start_soon(wish, number, scope)
            await settle_down()
        scopes[0].cancel()  # it asks, for itself
        await settle_down()
        assert got == []
        oracle.let.set()
    assert got == [0, 2, 4]


async def test_the_one_appointed_to_ask_may_be_told_to_leave_at_that_moment() -> None:
    oracle = Oracle()
    got: list[int] = []
    scope = trio.CancelScope()

    async def wish(number: int) -> None:
        got.append(await oracle.of(number))

    async def appointed() -> None:
        with scope:
            await wish(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wish, 0)
        await settle_down()
        nursery.start_soon(appointed)
        await settle_down()
        nursery.start_soon(wish, 2)
        await settle_down()
        oracle.let.set()
        scope.cancel()
    assert sorted(got)[-1] == 4
    assert await oracle.of(3) == 6


async def test_an_error_is_everybodys_who_was_on_the_list_and_nobody_elses() -> None:
    oracle = Oracle()
    oracle.failing = ValueError("no")
    failed: list[int] = []

    async def wish(number: int) -> None:
        try:
            await oracle.of(number)
        except ValueError:
            failed.append(number)
            oracle.failing = None if number else oracle.failing

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(wish, number)
            await settle_down()
        oracle.let.set()
    assert sorted(failed) == [0, 1, 2]
    assert await oracle.of(4) == 8


async def test_what_takes_too_long_is_given_up() -> None:
    oracle = Oracle(within_s=0.05)
    with pytest.raises(TimeoutError, match="late"):
        await oracle.of(1)
    oracle.let.set()
    assert await oracle.of(2) == 4
