"""Every error of ours: whose fault it is, whether trying again can help, and one sentence that says what to do.

Driver and SDK errors are translated into these at their one door (``reactor.pg.errors``, ``reactor.llm``).
The command line prints ``str(error)`` on one line and exits with ``exit_code``.
"""


class ReactorError(Exception):
    """Base of all: a sentence for the operator, the exit code it means, and whether trying again may help."""

    exit_code = 1
    transient = False


class UsageError(ReactorError):
    """The caller's words or settings are off; nothing was done."""

    exit_code = 2


class ConfigurationError(UsageError):
    """A setting is missing, malformed or contradicts another."""


class PortInUse(ReactorError):
    """Somebody else listens where this process was to listen; the message names the place."""


class DatabaseError(ReactorError):
    """The database refused a statement; ``sqlstate`` is its five-letter code, or None when it never answered."""

    sqlstate: str | None = None

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class DatabaseUnavailable(DatabaseError):
    """No connection could be made: wrong address, server down or starting, too many clients. May pass."""

    transient = True


class ConnectionLost(DatabaseError):
    """The connection broke; whether the statement in flight was committed is unknown until looked at."""

    transient = True


class AccessDenied(DatabaseError):
    """A wrong password, an unknown role or database, or a missing right."""


class TransientConflict(DatabaseError):
    """Deadlock, serialization failure, lock or statement timeout: the same again may work."""

    transient = True


class TakesNoWrites(DatabaseError):
    """The server has no room or no memory, or has become read-only: it may pass, and is nobody's mistake."""

    transient = True


class PoolTimeout(DatabaseError):
    """All connections of the pool stayed busy for the time the caller was ready to wait."""

    transient = True


class OpsError(DatabaseError):
    """An ``ops_`` function refused (SQLSTATE class ``OP``); the message says what to do."""


class SchemaError(ReactorError):
    """The database's schema is missing, behind, ahead or was tampered with; the message says which."""


class EmbeddedServerError(ReactorError):
    """The embedded PostgreSQL could not be set up, started or stopped; the message names its log."""


class TemplateError(ReactorError):
    """A payload asks for something that is not there; the message names it."""


class UnknownAgent(UsageError):
    """No such agent, or one that is not active; the message names those who are."""


class PayloadRefused(ReactorError):
    """A step's payload is not what its kind takes; the message names the field."""


class NotNow(ReactorError):
    """Something outside is closed for a while; the work waits, it has not failed.

    ``delay_s`` is how long, or None when a ring or a timer of somebody else says when it is over.
    """

    transient = True

    def __init__(self, message: str, delay_s: float | None = None) -> None:
        super().__init__(message)
        self.delay_s = delay_s


class ServiceClosed(NotNow):
    """The circuit breaker of ``service`` allows no call now."""

    def __init__(self, service: str) -> None:
        super().__init__(f"the breaker of {service} is open")
        self.service = service


class CallsPaused(NotNow):
    """LLM calls are paused by somebody; they go on when that is lifted."""


class CallsQueued(NotNow):
    """As many calls as may be are under way or were made this minute; there is room again after ``delay_s``."""


class BudgetSpent(NotNow):
    """What may be spent on the language model is spent; the message names the budget, ``delay_s`` says until when."""


class RateLimited(NotNow):
    """The provider asks for fewer calls; the same again after ``delay_s``."""


class KeyRefused(NotNow):
    """The provider refuses the API key: a person has to look at it."""


class LLMUnavailable(ReactorError):
    """The provider failed, timed out or could not be reached; counts for its breaker, and may pass.

    ``may_cost``: whether it may have done the work, and charge for it, all the same.
    """

    transient = True

    def __init__(self, message: str, *, may_cost: bool = True) -> None:
        super().__init__(message)
        self.may_cost = may_cost


class LLMRequestRefused(ReactorError):
    """The provider will not take this request, today or tomorrow; the message says why."""


class LLMReplyRefused(ReactorError):
    """The model declined, or its answer had not the shape asked for; another attempt may differ."""

    transient = True


class AnswerMisshapen(LLMReplyRefused):
    """Twice the answer had not the shape asked for; ``raw`` is the last one, as it came, ``simulated`` whose it was."""

    def __init__(self, message: str, raw: str, *, simulated: bool) -> None:
        super().__init__(message)
        self.raw = raw
        self.simulated = simulated


class ConversationRefused(UsageError):
    """A conversation that cannot be held as it was asked for; the message says who or what is in the way."""


class AddressRefused(ReactorError):
    """A URL leads where requests of ours do not go; the message says why."""


class RequestFailed(ReactorError):
    """Another server could not be reached, broke off, or was too slow; the same again may work."""

    transient = True


class ReplyRefused(ReactorError):
    """What another server answered is not taken: too large, of the wrong kind, or a redirect too many."""
