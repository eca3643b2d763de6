"""A request that is refused before any route is looked at, told in the way its asker can read.

The page's script shows what comes back as it is, and a browser without scripts makes a page of it: both get words, not JSON.
"""

from collections.abc import Mapping
from html import escape

from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from reactor.web.bare import bare_page
from reactor.web.problems import problem

_BACK = '<p><a href="/ops">← to the page</a></p>'


def refusal_of(scope: Scope, status: int, told: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that says so: a line for the page's script, a page for a browser that asks for one, else a problem."""
    answer: dict[str, str] = {"cache-control": "no-store", **(headers or {})}
    if is_from_script(scope):
        line = f'<p class="toast trouble" role="alert">{escape(told)}</p>'
        return HTMLResponse(line, status, answer)
    if wants_a_page(scope):
        return HTMLResponse(bare_page("Not done", "Nothing was done", _BACK, told), status, answer)
    return problem(status, told, headers=headers)


def is_from_script(scope: Scope) -> bool:
    """Whether the page's own script asks."""
    return _is_of_the_page(scope) and _has(scope, b"hx-request", b"true")


def wants_a_page(scope: Scope) -> bool:
    """Whether a browser asks for something it can show."""
    return _is_of_the_page(scope) and _has(scope, b"accept", b"text/html")


def _is_of_the_page(scope: Scope) -> bool:
    path: str = scope["path"]
    return path == "/ops" or path.startswith("/ops/")


def _has(scope: Scope, name: bytes, word: bytes) -> bool:
    return any(given == name and word in value for given, value in scope["headers"])
