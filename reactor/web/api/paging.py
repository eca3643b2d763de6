"""Pages of lists: a cursor is the key of the last item of a page."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from reactor.errors import UsageError
from reactor.web.api.operation import LARGEST_ID, Page, PageQuery

T = TypeVar("T")


class BadCursor(UsageError):
    """``after`` is no cursor of this list."""

    def __init__(self) -> None:
        super().__init__("after must be a cursor that came as next of the same list")


async def page_by_id(
    query: PageQuery, read: Callable[[int, int | None], Awaitable[Sequence[T]]], key: str = "id"
) -> Page:
    """A page of what ``read`` gives for a limit and a key, the key being a number of the rows."""
    found = await read(query.limit + 1, number(query.after))
    return cut(found, query.limit, lambda row: str(getattr(row, key)))


def page_of_all(query: PageQuery, rows: Sequence[T], key: Callable[[T], str]) -> Page:
    """A page of a list that is short enough to be read whole; ``key`` tells its rows apart."""
    begin = 0
    if query.after is not None:
        keys = [key(row) for row in rows]
        if query.after not in keys:
            raise BadCursor
        begin = keys.index(query.after) + 1
    return cut(rows[begin : begin + query.limit + 1], query.limit, key)


def cut(found: Sequence[T], limit: int, key: Callable[[T], str]) -> Page:
    """The first ``limit`` of what was found, and the cursor when there is more."""
    items = found[:limit]
    return Page(items, key(items[-1]) if len(found) > limit else None)


def number(after: Any) -> int | None:
    """The cursor of a list that is ordered by a number. Raises BadCursor."""
    if after is None:
        return None
    if not (after.isascii() and after.isdecimal() and len(after) <= 19 and int(after) <= LARGEST_ID):
        raise BadCursor
    return int(after)
