"""What a reactor is made of: the numbers and the handlers a supervisor is given."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reactor.engine.work import Watcher, Work
from reactor.model.queues import Queue


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
    living process holds; two processes that drew the same would only look alive for each other.
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
    liveness_key: int = field(default_factory=lambda: secrets.randbelow(2**31))
    policy_changed: Callable[[], None] = field(default=lambda: None)
