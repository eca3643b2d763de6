"""Dear answers are shared for a moment, and never hide a change."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from reactor.web.shared import Shared


class Dear:
    """Counts how often it was asked; answers when it may."""

    def __init__(self) -> None:
        self.times = 0
        self.may = trio.Event()

    async def ask(self) -> int:
        self.times += 1
        await self.may.wait()
        return self.times


async def test_all_who_ask_at_once_get_one_answer_and_later_ones_another(mock_clock: MockClock) -> None:
    shared: Shared[int] = Shared()
    dear = Dear()
    got: list[int] = []

    async def one() -> None:
        got.append(await shared.get("status", 1.0, dear.ask))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(one)
        await wait_all_tasks_blocked()
        dear.may.set()
    assert got == [1] * 5
    mock_clock.jump(0.9)
    await one()
    mock_clock.jump(0.2)
    await one()
    assert got[5:] == [1, 2]


async def test_after_a_change_nobody_gets_what_was_before_not_even_from_a_look_under_way() -> None:
    shared: Shared[int] = Shared()
    dear = Dear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shared.get, "status", 60.0, dear.ask)
        await wait_all_tasks_blocked()
        shared.forget()
        dear.may.set()
    assert await shared.get("status", 60.0, dear.ask) == 2
    assert await shared.get("status", 60.0, dear.ask) == 2
    shared.forget()
    assert await shared.get("status", 60.0, dear.ask) == 3


async def test_an_error_is_shared_with_nobody() -> None:
    shared: Shared[int] = Shared()

    async def fails() -> int:
        raise ValueError

    async def works() -> int:
        return 7

    try:
        await shared.get("status", 60.0, fails)
    except ValueError:
        assert await shared.get("status", 60.0, works) == 7
    else:
        raise AssertionError("the error was swallowed")


async def test_who_asks_afresh_gets_nothing_found_out_before_his_question(mock_clock: MockClock) -> None:
    shared: Shared[int] = Shared()
    dear = Dear()
    dear.may.set()
    assert await shared.get("room", 60.0, dear.ask) == 1
    mock_clock.jump(0.1)
    assert await shared.get("room", 60.0, dear.ask) == 1
    assert await shared.get_fresh("room", dear.ask) == 2


async def test_what_took_long_is_given_for_longer_but_not_for_ever(mock_clock: MockClock) -> None:
    shared: Shared[int] = Shared()
    times = 0

    async def slow() -> int:
        nonlocal times
        times += 1
        mock_clock.jump(0.1)
        return times

    assert await shared.get("status", 1.0, slow) == 1
    mock_clock.jump(1.9)
    assert await shared.get("status", 1.0, slow) == 1
    mock_clock.jump(0.2)
    assert await shared.get("status", 1.0, slow) == 2

    async def slower() -> int:
        mock_clock.jump(60.0)
        return 3

    assert await shared.get("costs", 1.0, slower) == 3
    mock_clock.jump(5.1)
    assert await shared.get("costs", 1.0, slow) == 3
