"""The log on stderr: lines in colour for a terminal, JSON for everything else.

Engine code calls ``structlog.get_logger()``; libraries that use the standard ``logging`` come out the same
way. Every line has time, level and event, and what is known of queue, id, mission_id, agent, worker,
attempt. What agents read or write and what opens doors is never logged: fields of such names are dropped,
passwords in addresses are blanked, and an exception is logged with its place and its own message, not with
the chain of those that led to it.

Under systemd stderr is the journal, which takes a level from ``<N>`` before a line and leaves it away: then
``journalctl -p warning`` finds what it should, and ``journalctl -o cat`` shows the lines as they were.
"""

import logging
import os
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog

ORDER = ("time", "level", "event", "queue", "id", "mission_id", "agent", "worker", "attempt")
_WORK = (
    "payload",
    "prompt",
    "prompts",
    "messages",
    "system",
    "result",
    "results",
    "text",
    "dialogue",
    "content",
)
_DOORS = (
    "password",
    "secret",
    "token",
    "api_key",
    "authorization",
    "cookie",
    "dsn",
    "database_url",
    "direct_url",
)
PRIVATE = frozenset((*_WORK, *_DOORS, "claim_token"))
_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):[^\s/]+@")
_KEYWORD_PASSWORD = re.compile(r"\bpassword\s*=\s*('[^']*'|\S+)", re.IGNORECASE)
_API_KEY = re.compile(r"\bsk-[A-Za-z0-9_-]{8,}")
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_SYSLOG = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))

Fields = MutableMapping[str, Any]


class OurHandler(logging.StreamHandler[TextIO]):
    """The one handler that `configure` puts at the root, known again by its type."""


def configure(
    form: Literal["console", "json"] | None = None, level: str = "info", stream: TextIO | None = None
) -> None:
    """From now on everything logged at ``level`` or above goes to ``stream`` (default stderr).

    ``form`` None: console when the stream is a terminal, else JSON. May be called again, which replaces the
    former.
    """
    target = stream or sys.stderr
    chosen = form or ("console" if target.isatty() else "json")
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _exception,
        _discreet,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    render: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if chosen == "json":
        render += [_ordered, _json]
    else:
        render += [
            _legible,
            structlog.dev.ConsoleRenderer(colors=target.isatty(), timestamp_key="time", pad_event_to=28),
        ]
    handler = OurHandler(target)
    formatter = _JournalFormatter if is_journal(target) else structlog.stdlib.ProcessorFormatter
    handler.setFormatter(
        formatter(processors=render, foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()])
    )
    root = logging.getLogger()
    for former in [one for one in root.handlers if isinstance(one, OurHandler)]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(_LEVELS[level])
    # Their debug lines carry statements, parameters and whole requests.
    for chatty in ("psycopg", "httpx", "httpx2", "httpcore", "anthropic", "hypercorn"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, _LEVELS[level]))
    logging.raiseExceptions = False  # a log nobody can read any more must not stop the work


def is_journal(stream: TextIO) -> bool:
    """Whether ``stream`` is the one systemd connected with its journal: JOURNAL_STREAM names device and inode."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class _JournalFormatter(structlog.stdlib.ProcessorFormatter):
    """Puts syslog's number of the level before every line."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines of ``record``, each with its level."""
        number = next((n for least, n in _SYSLOG if record.levelno >= least), 7)
        return "\n".join(f"<{number}>{line}" for line in super().format(record).splitlines())


def _ordered(_logger: Any, _method: str, fields: Fields) -> Fields:
    first = {name: fields.pop(name) for name in ORDER if name in fields}
    return {**first, **fields}


_to_json = structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
_SEPARATORS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def _json(logger: Any, method: str, fields: Fields) -> str:
    """One line of JSON, also for readers to whom the separators of Unicode end one."""
    return str(_to_json(logger, method, fields)).translate(_SEPARATORS)


def _legible(_logger: Any, _method: str, fields: Fields) -> Fields:
    """What a terminal would obey, or take for the end of a line, is shown as its escape; exceptions keep their lines."""
    for name, value in fields.items():
        if isinstance(value, str) and name != "exception" and not value.isprintable():
            fields[name] = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
    return fields


def _discreet(_logger: Any, _method: str, fields: Fields) -> Fields:
    for name in [name for name in fields if name.lower() in PRIVATE]:
        del fields[name]
    for name, value in fields.items():
        if isinstance(value, str):
            fields[name] = without_secrets(value)
    return fields


def without_secrets(text: str) -> str:
    """``text`` with the passwords of addresses and with API keys blanked."""
    text = _PASSWORD.sub(r"\1:***@", text)
    text = _KEYWORD_PASSWORD.sub("password=***", text)
    return _API_KEY.sub("sk-***", text)


def _exception(_logger: Any, _method: str, fields: Fields) -> Fields:
    """``exc_info`` becomes ``exception``: places and messages of the error itself, causes left out."""
    info = fields.pop("exc_info", None)
    if not info:
        return fields
    if isinstance(info, BaseException):
        error: BaseException | None = info
    elif isinstance(info, tuple):
        error = info[1]
    else:
        error = sys.exc_info()[1]
    if error is not None:
        fields["exception"] = "\n".join(_told(error))
    return fields


def _told(error: BaseException) -> list[str]:
    places = [
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
    ]
    lines = [*places, f"{type(error).__name__}: {' '.join(str(error).split())}"]
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            lines += [f"  {line}" for line in _told(part)]
    return lines
