"""The kinds of steps this reactor can do: ours, and the user's own by one decorator.

```python
from reactor.handlers import Step, step_kind

@step_kind("count_words")
def count_words(step: Step) -> dict[str, int]:
    return {"words": len(str(step.payload["text"]).split())}
```
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import fastjsonschema

from reactor.errors import ConfigurationError, PayloadRefused
from reactor.model.templates import has_templates

if TYPE_CHECKING:
    from reactor.handlers.step import Step

OWN_TIMEOUT_S = 300.0
_LONGEST_NAME = 100
_LONGEST_TIMEOUT_S = 86_400.0

Run = Callable[["Step"], Any]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class StepKind:
    """One kind of step: how it is done, and what the rest of the house must know about it.

    ``external``: it changes something outside, so it does not run on what is simulated, nor unreleased on what a page
    said; ``would_send`` says what it would have sent, else its payload does. ``services``: the breakers that must be
    closed for it to be claimed. ``in_thread``: ``run`` is a plain function and gets a worker thread. ``input_schema``: a
    JSON schema of the payload, or empty. A made-up schema raises ConfigurationError here, not on the first step.
    """

    kind: str
    run: Run
    description: str = ""
    external: bool = False
    timeout_s: float = OWN_TIMEOUT_S
    services: tuple[str, ...] = ()
    input_schema: dict[str, Any] = field(default_factory=dict)
    in_thread: bool = False
    would_send: "Callable[[Step], Any] | None" = None
    _validate: Callable[[Any], Any] | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if (
            not isinstance(self.kind, str)
            or not 1 <= len(self.kind) <= _LONGEST_NAME
            or self.kind.split() != [self.kind]
        ):
            raise ConfigurationError(
                f"a kind is one word of at most {_LONGEST_NAME} characters, not {self.kind!r}"
            )
        if not 0 < self.timeout_s <= _LONGEST_TIMEOUT_S:
            raise ConfigurationError(
                f"kind {self.kind}: timeout_s must be above 0 and at most {_LONGEST_TIMEOUT_S:g}"
            )
        if self.input_schema:
            object.__setattr__(self, "_validate", _compiled(self.kind, self.input_schema))

    def check(self, payload: Mapping[str, Any]) -> None:
        """Returns when the payload fits the input schema. Raises: PayloadRefused: names the field that does not."""
        if self._validate is not None:
            _checked(self.kind, self._validate, payload)

    @property
    def origin(self) -> str:
        """Where it is defined, as module and function."""
        return f"{self.run.__module__}.{self.run.__qualname__}"


def check_payload(kind: str, schema: Mapping[str, Any], payload: Mapping[str, Any]) -> None:
    """As `StepKind.check`, for a kind that is known by its row alone; one with templates is not looked at before it runs.

    Raises: PayloadRefused. ConfigurationError: the schema is none.
    """
    if schema and not has_templates(payload):
        _checked(kind, _compiled(kind, dict(schema)), payload)


def _checked(kind: str, validate: Callable[[Any], Any], payload: Mapping[str, Any]) -> None:
    try:
        validate(payload)
    except fastjsonschema.JsonSchemaValueException as error:
        raise PayloadRefused(f"kind {kind}: payload{error.message.removeprefix('data')}") from None


def _compiled(kind: str, schema: dict[str, Any]) -> Callable[[Any], Any]:
    try:
        validate: Callable[[Any], Any] = fastjsonschema.compile(
            schema, handlers={"http": _not_fetched, "https": _not_fetched}, use_default=False
        )
    except Exception as error:
        raise ConfigurationError(f"kind {kind}: its input_schema is no JSON schema: {error}") from error
    return validate


def _not_fetched(uri: str) -> dict[str, Any]:
    raise ValueError(f"it refers to {uri}; schemas are not fetched")


_declared: dict[str, list[StepKind]] = {}  # by the module that declares them, in order


def step_kind(
    kind: str,
    *,
    description: str = "",
    external: bool = False,
    timeout_s: float = OWN_TIMEOUT_S,
    services: Iterable[str] = (),
    input_schema: Mapping[str, Any] | None = None,
) -> Callable[[F], F]:
    """Declare the decorated function to be what a step of ``kind`` does; the function itself stays as it is.

    It gets a `Step` and returns an outcome, a mapping (the result), or nothing. ``async def`` runs on the event
    loop; a plain ``def`` in a worker thread, which cannot be stopped: over ``timeout_s`` (seconds) it is left behind.

    Raises: ConfigurationError: the name, the timeout or the schema is none.
    """

    def declare(function: F) -> F:
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            raise ConfigurationError(f"kind {kind}: a generator cannot do a step; return the result")
        declared = StepKind(
            kind=kind,
            run=function,
            description=description or inspect.getdoc(function) or "",
            external=external,
            timeout_s=timeout_s,
            services=tuple(services),
            input_schema=dict(input_schema or {}),
            in_thread=not inspect.iscoroutinefunction(function),
        )
        _declared.setdefault(function.__module__, []).append(declared)
        return function

    return declare


class KindRegistry:
    """The kinds of one reactor by name; filled at start, only read afterwards."""

    def __init__(self, kinds: Iterable[StepKind] = ()) -> None:
        self._kinds: dict[str, StepKind] = {}
        for kind in kinds:
            self.register(kind)

    def register(self, kind: StepKind) -> None:
        """``kind`` is on offer. Raises: ConfigurationError: another one has its name."""
        other = self._kinds.setdefault(kind.kind, kind)
        if other is not kind:
            raise ConfigurationError(
                f"the kind {kind.kind!r} is defined twice, by {other.origin} and by {kind.origin}: rename one"
            )

    def get(self, kind: str) -> StepKind | None:
        """The kind of that name, None when there is none."""
        return self._kinds.get(kind)

    def kinds(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._kinds)

    def all(self) -> list[StepKind]:
        """All kinds, sorted by name."""
        return [self._kinds[name] for name in self.kinds()]

    def available(self, closed_services: Collection[str]) -> list[str]:
        """The names, sorted, of the kinds that need none of ``closed_services``."""
        if not closed_services:
            return self.kinds()
        return [
            kind.kind
            for kind in self.all()
            if not any(service in closed_services for service in kind.services)
        ]


def load_modules(names: Iterable[str], registry: KindRegistry) -> None:
    """Every kind that the modules declare, or that a part of such a package declares, is in ``registry``.

    The working directory is on the module path, last, from then on.

    Raises: ConfigurationError: a module does not import or declares nothing, or a kind is defined twice.
    """
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    for name in names:
        _import(name)
        found = [
            kind
            for module, kinds in _declared.items()
            if module == name or module.startswith(name + ".")
            for kind in kinds
        ]
        if not found:
            raise ConfigurationError(
                f"VOXYZ_KINDS names {name}, which declares no kind: decorate one with @step_kind"
            )
        for kind in found:
            registry.register(kind)


def _import(name: str) -> ModuleType:
    known = name in sys.modules
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if not known:
            _declared.pop(name, None)
        said = " ".join(str(error).split())
        raise ConfigurationError(
            f"VOXYZ_KINDS names {name}, which cannot be imported: {type(error).__name__}: {said}"
        ) from error
