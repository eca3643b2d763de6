"""Getting a connection back for ever; timing on a virtual clock."""

import itertools
import random

import trio
from trio.testing import MockClock

from reactor.errors import AccessDenied, DatabaseError, DatabaseUnavailable
from reactor.pg.reconnecting import Reconnecting


class Server:
    """Refuses the first ``refusals`` who knock, remembers when they did."""

    def __init__(self, refusals: int, error: DatabaseError | None = None) -> None:
        self.refusals = refusals
        self.error = error or DatabaseUnavailable("away")
        self.knocks: list[float] = []

    async def open(self) -> int:
        self.knocks.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if len(self.knocks) <= self.refusals:
            raise self.error
        return len(self.knocks)


class AlwaysLate(random.Random):
    def random(self) -> float:
        return 1.0


async def test_it_knocks_until_it_is_let_in_ever_more_slowly(autojump_clock: MockClock) -> None:
    server = Server(refusals=8)
    heard: list[float] = []

    def note(_: DatabaseError, pause_s: float) -> None:
        heard.append(pause_s)

    line = Reconnecting(server.open, first_s=0.1, cap_s=5, rng=AlwaysLate(), on_failure=note)
    assert await line.open() == 9
    assert [round(pause_s, 3) for pause_s in heard] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5]
    assert server.knocks[0] == 0
    assert round(server.knocks[-1], 3) == 16.3


async def test_a_refusal_that_waiting_does_not_mend_is_waited_out_too(autojump_clock: MockClock) -> None:
    server = Server(refusals=50, error=AccessDenied("password"))
    assert await Reconnecting(server.open).open() == 51


async def test_after_a_long_life_the_next_try_comes_at_once(autojump_clock: MockClock) -> None:
    server = Server(refusals=3)
    line = Reconnecting(server.open, cap_s=5, rng=AlwaysLate())
    await line.open()
    await trio.sleep(5)
    before = trio.current_time()
    await line.open()
    assert trio.current_time() == before


async def test_a_server_that_lets_in_and_hangs_up_is_not_hammered(autojump_clock: MockClock) -> None:
    server = Server(refusals=0)
    line = Reconnecting(server.open, cap_s=5, rng=AlwaysLate())
    for _ in range(10):
        await line.open()
    gaps = [later - earlier for earlier, later in itertools.pairwise(server.knocks)]
    assert [round(gap, 3) for gap in gaps] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5]
