"""What works on one queue, from hearing of a row to its outcome in the table."""

from dataclasses import dataclass

from reactor.engine.completer import Completer
from reactor.engine.dispatcher import Dispatcher
from reactor.engine.doorbell import Doorbell
from reactor.engine.executor import Executor
from reactor.engine.wake import Wake


@dataclass(frozen=True, slots=True)
class Line:
    """The parts of one queue, in the order a row meets them."""

    wake: Wake
    bell: Doorbell
    dispatcher: Dispatcher
    executor: Executor
    completer: Completer
