"""``/ops/login``: a token, or a link that signs in once, becomes a cookie; ``/ops/logout`` ends it."""

from collections.abc import Sequence
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from reactor.errors import DatabaseError
from reactor.store import login_links
from reactor.web.access import LOGIN, LOGOUT, Rules
from reactor.web.bare import bare_page
from reactor.web.desk import Desk
from reactor.web.forms import form_of
from reactor.web.limits import WRONG_TOKENS_A_MINUTE, Buckets, address_of
from reactor.web.problems import NotReady
from reactor.web.sessions import COOKIE, LASTS_S, Grant

HOME = "/ops"


def login_routes(desk: Desk) -> Sequence[BaseRoute]:
    """The two routes. Without tokens there is nothing to sign in for: they lead to the page."""
    rules = desk.rules
    wrong = Buckets(WRONG_TOKENS_A_MINUTE / 60, WRONG_TOKENS_A_MINUTE)

    async def login(request: Request) -> Response:
        onward = _onward(request.query_params.get("next", HOME))
        if rules.open:
            return RedirectResponse(onward, 303)
        if request.method == "POST":
            return await _with_token(request)
        if (ticket := request.query_params.get("ticket")) is not None:
            return await _with_link(request, ticket, onward)
        return _form(onward)

    async def _with_link(request: Request, ticket: str, onward: str) -> Response:
        link = rules.sessions.link(ticket)
        try:
            if link is not None:
                async with desk.changing() as conn:
                    if await login_links.use(conn, link.digest, link.expires_at):
                        return _signed_in(request, rules, link.grant, onward)
        except (DatabaseError, NotReady):
            return _form(
                onward, "The reactor is not ready: take the link again in a moment, or the token.", 503
            )
        return _form(
            onward,
            "This link was used before, is too old, or was made with other tokens: sign in with one.",
            401,
        )

    async def _with_token(request: Request) -> Response:
        form = await form_of(request)
        onward = _onward(form.get("next", HOME))
        address = address_of(request.scope)
        if wrong.wait_s(address):
            return _form(onward, "Too many wrong tokens came from there: wait a minute.", 429)
        grant = rules.grant_of(form.get("token", "").strip().encode())
        if grant is None:
            wrong.take(address)
            return _form(onward, "This token opens nothing here.", 401)
        return _signed_in(request, rules, grant, onward)

    async def logout(_request: Request) -> Response:
        answer = RedirectResponse(LOGIN, 303)
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    return (Route(LOGIN, login, methods=["GET", "POST"]), Route(LOGOUT, logout, methods=["POST"]))


def _signed_in(request: Request, rules: Rules, grant: Grant, onward: str) -> Response:
    answer = RedirectResponse(onward, 303)
    secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", "").lower())
    answer.set_cookie(
        COOKIE,
        rules.sessions.cookie(grant),
        max_age=LASTS_S,
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )
    return answer


def _onward(wanted: str) -> str:
    """Where to go afterwards: a page of ours, whatever was asked for."""
    ours = wanted == HOME or wanted.startswith((f"{HOME}/", f"{HOME}?"))
    return wanted if ours and "\\" not in wanted and wanted.isprintable() and LOGIN not in wanted else HOME


def _form(onward: str, trouble: str = "", status: int = 200) -> Response:
    inside = (
        f'<form method="post" action="{LOGIN}"><input type="hidden" name="next" value="{escape(onward)}">'
        '<p><label for="token">Token (OPS_API_TOKEN or OPS_READ_TOKEN)</label></p>'
        '<p><input id="token" name="token" type="password" autocomplete="current-password" required autofocus>'
        '</p><p><button class="go">Sign in</button></p></form>'
    )
    return HTMLResponse(bare_page("Sign in", "voxyz ops", inside, trouble), status)
