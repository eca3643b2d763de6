"""Spans for OpenTelemetry, where an operator brings its SDK; without one nothing is recorded and next to nothing spent.

A chain of work crosses the database several times: an event leads to a proposal, that to a mission, whose steps ask the
language model. All of it is one trace. Nothing has to be carried along for that: the id of the trace is made of the event
that the chain began with, which every step knows (``root_id``), so any reactor makes the same one. Rows that nobody
proposed are traces of their own. Prompts and answers are never recorded.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    ProxyTracerProvider,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)

from reactor import __version__

_tracer: Final = trace.get_tracer("voxyz-reactor", __version__)
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)

Attributes = Mapping[str, str | int | float | bool]


class _Origin:
    """Two databases have events of the same number; their traces must not be one."""

    database = ""


def enabled() -> bool:
    """Whether somebody has brought an SDK; asked when a reactor starts."""
    return not isinstance(trace.get_tracer_provider(), ProxyTracerProvider)


def of_database(name: str) -> None:
    """From now on traces are those of the database that ``name`` tells from all others."""
    _Origin.database = name


def chain(root_id: int | None) -> Context | None:
    """The trace of the chain that began with event ``root_id``; None: of whatever is under way."""
    if root_id is None:
        return None
    digest = hashlib.sha256(f"{_Origin.database} {root_id}".encode()).digest()
    # The event itself is nobody's span; what came of it stands below this one.
    event = SpanContext(
        int.from_bytes(digest[:16], "big") or 1,
        int.from_bytes(digest[16:24], "big") or 1,
        is_remote=True,
        trace_flags=_SAMPLED,
    )
    return trace.set_span_in_context(NonRecordingSpan(event), Context())


@contextmanager
def work(name: str, attributes: Attributes, root_id: int | None = None) -> Iterator[Span]:
    """Inside, work of that name is under way, in the chain of ``root_id``."""
    with _tracer.start_as_current_span(
        name, chain(root_id), SpanKind.CONSUMER, {f"voxyz.{key}": value for key, value in attributes.items()}
    ) as span:
        yield span


@contextmanager
def model_call(model: str, purpose: str, *, provider: str, most_tokens: int) -> Iterator[Span]:
    """Inside, the language model is asked; names as in OpenTelemetry's conventions for generative AI."""
    attributes: dict[str, str | int] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        "gen_ai.request.max_tokens": most_tokens,
        "voxyz.purpose": purpose,
    }
    with _tracer.start_as_current_span(f"chat {model}", kind=SpanKind.CLIENT, attributes=attributes) as span:
        yield span


def answered(
    span: Span, model: str, *, input_tokens: int, output_tokens: int, cost_usd: float, simulated: bool
) -> None:
    """The model's answer, in figures."""
    span.set_attributes(
        {
            "gen_ai.response.model": model,
            "gen_ai.usage.input_tokens": input_tokens,
            "gen_ai.usage.output_tokens": output_tokens,
            "voxyz.cost_usd": cost_usd,
            "voxyz.simulated": simulated,
        }
    )


def ended(span: Span, outcome: str, trouble: str | None = None) -> None:
    """How the work ended; with ``trouble`` it failed."""
    span.set_attribute("voxyz.outcome", outcome)
    if trouble is not None:
        span.set_status(Status(StatusCode.ERROR, trouble[:500]))
