"""One thing the API can do: its address, what it takes, what it answers. Routes and description are both made of these."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Generic, NamedTuple, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from reactor.pg import Connection
from reactor.web.desk import Desk

T = TypeVar("T")
MOST: Final = 500
LARGEST_ID: Final = 2**63 - 1
BY: Final = "operator"


def _digits(value: object) -> object:
    if isinstance(value, str) and not (value.isascii() and value.isdecimal() and len(value) <= 19):
        raise ValueError("a whole number is wanted")
    return value


def _sayable(value: str) -> str:
    if "\x00" in value:
        raise ValueError("a null character cannot be kept")
    if not value.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError("half a character cannot be kept")
    return value


def _named(value: str) -> str:
    if not value.strip():
        raise ValueError("it must say something")
    return value


Id = Annotated[int, BeforeValidator(_digits), Field(ge=1, le=LARGEST_ID)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_sayable)]
Text = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(_sayable)]
Words = Annotated[
    str, StringConstraints(min_length=1, max_length=4000), AfterValidator(_sayable), AfterValidator(_named)
]
Document = dict[str, Any]


class Asked(BaseModel):
    """What is sent or asked for: nothing but these fields, each of its own type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NoQuery(Asked):
    """Nothing is asked for behind the question mark."""

    model_config = ConfigDict(extra="forbid", strict=False, frozen=True)


class PageQuery(NoQuery):
    """Which page of a list: at most ``limit`` items behind the cursor ``after``."""

    limit: Annotated[int, BeforeValidator(_digits), Field(ge=1, le=MOST)] = 50
    after: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None, description="the cursor that came as next"
    )


class Listed(Generic[T]):
    """Marks an operation that answers a page of ``item``s."""

    def __init__(self, item: type[T]) -> None:
        self.item = item


class Page(NamedTuple):
    """Items, and the cursor of what comes behind them."""

    items: Sequence[object]
    next: str | None


class Made(NamedTuple):
    """The id of what was made."""

    id: int


class Changed(NamedTuple):
    """Whether something changed, and how the thing stands now."""

    changed: bool
    status: str


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that says more than its value: headers, another status."""

    value: object
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """One request, understood. ``path``, ``query`` and ``body`` are checked; ``headers`` by lower-case name."""

    desk: Desk
    path: Mapping[str, Any]
    query: Any
    body: Any
    headers: Mapping[str, str]
    grant: str = "all"
    csrf: str = ""

    @property
    def id(self) -> int:
        """The number in the path."""
        number: int = self.path["id"]
        return number


Answering = Callable[[Connection, Asking], Awaitable[object]]
A = TypeVar("A", bound=Answering)


@dataclass(frozen=True, slots=True)
class Operation:
    """``path`` is below /api/ops, with parts such as ``{id}``; ``answer`` a type, or `Listed`.

    ``body``: the type of what is sent; ``may``: further statuses it answers with. ``shared_s``: for so long all who ask get
    the same answer, unless something is changed here; for what reads whole tables.
    """

    method: str
    path: str
    summary: str
    answer: Any
    run: Answering
    query: type[NoQuery] = NoQuery
    body: Any = None
    status: int = 200
    body_needed: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)  # of requests, with what they mean
    may: Sequence[int] = ()
    shared_s: float = 0.0

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        return self.method != "GET"

    @property
    def name(self) -> str:
        """The operation's id in the description."""
        return f"{self.run.__module__.rpartition('.')[2]}_{self.run.__name__.strip('_')}"


class Topic:
    """Collects the operations of one module, in order."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.operations: list[Operation] = []

    def get(self, path: str, summary: str, answer: Any, **more: Any) -> Callable[[A], A]:
        """The decorated function answers GET at ``path``."""
        return self._at("GET", path, summary, answer, more)

    def post(self, path: str, summary: str, answer: Any, **more: Any) -> Callable[[A], A]:
        """The decorated function answers POST at ``path``."""
        return self._at("POST", path, summary, answer, more)

    def patch(self, path: str, summary: str, answer: Any, **more: Any) -> Callable[[A], A]:
        """The decorated function answers PATCH at ``path``."""
        return self._at("PATCH", path, summary, answer, more)

    def delete(self, path: str, summary: str, answer: Any, **more: Any) -> Callable[[A], A]:
        """The decorated function answers DELETE at ``path``."""
        return self._at("DELETE", path, summary, answer, more)

    def _at(
        self, method: str, path: str, summary: str, answer: Any, more: Mapping[str, Any]
    ) -> Callable[[A], A]:
        def declare(run: A) -> A:
            self.operations.append(Operation(method, path, summary, answer, run, **more))
            return run

        return declare
