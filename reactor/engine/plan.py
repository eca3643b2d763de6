"""What a reactor is made of: the numbers and the handlers a supervisor is given."""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from reactor.engine.timekeepers import Keeper
from reactor.engine.work import Watcher, Work
from reactor.model.queues import Queue
from reactor.pg import Connection, Pool
from reactor.store import breakers


def new_liveness_key() -> int:
    """The name of a lock that no other process has, as good as certainly; never 0, which means none."""
    return 1 + secrets.randbelow(2**31 - 1)


@dataclass(frozen=True, slots=True)
class QueuePlan:
    """How one queue is worked on."""

    work: Work
    concurrency: int
    sweep_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """How one process works.

    ``direct_dsn`` is where sessions last: for listening and for locks. ``liveness_key`` names the advisory lock that a
    living process holds; two processes that drew the same would only look alive for each other. ``keepers`` makes the roles
    that begin things by themselves, given the pool and whether anything can be heard. ``pauses_changed`` hears which queues
    are paused, ``closed_services`` asks which services may not be called and for how many seconds.
    """

    dsn: str
    direct_dsn: str
    queues: Mapping[Queue, QueuePlan]
    parts: tuple[str, ...]
    kinds: tuple[str, ...]
    agent: str | None
    grace_s: float
    watcher: Watcher
    chance: Callable[[], float]
    pool_limit: int = 4
    liveness_key: int = field(default_factory=new_liveness_key)
    policy_changed: Callable[[], None] = field(default=lambda: None)
    pauses_changed: Callable[[frozenset[Queue]], None] = field(default=lambda paused: None)
    closed_services: Callable[[Connection], Awaitable[Mapping[str, float]]] = breakers.closed_services
    keepers: Callable[[Pool, Callable[[], bool]], Sequence[Keeper]] = field(
        default=lambda pool, listening: ()
    )
