"""A reactor in a process of its own, to be killed: ``python -m tests.engine.victim DSN KIND SECONDS [CONCURRENCY]``.

It does steps of one kind, each in so many seconds, until somebody ends it. Prints one line when it is at work.
"""

import sys

import trio

from reactor.model.outcomes import Done, Outcome
from reactor.store.claimed import ClaimedRow
from tests.engine.support import Memory, reactor_on


async def work(dsn: str, kind: str, seconds: float, concurrency: int) -> None:
    async def deed(row: ClaimedRow) -> Outcome:
        await trio.sleep(seconds)
        return Done()

    async with reactor_on(dsn, Memory(deed, known=[kind]), concurrency=concurrency, asleep=False):
        sys.stdout.write("at work\n")
        sys.stdout.flush()
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(
        work, sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 10
    )
