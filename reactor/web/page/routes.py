"""The page as requests: whole, panel by panel, sheet by sheet, and the forms.

A form answers a script with the sentence to show, and a browser without one with a redirect back to where it was sent from.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

import structlog
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from reactor.errors import ReactorError
from reactor.store import show
from reactor.web.desk import Desk
from reactor.web.forms import form_of
from reactor.web.page.assets import static
from reactor.web.page.deeds import DEEDS, WHO
from reactor.web.page.drafting import NO_CHOICE, Draft, Told, choices, draft_of, propose, redrafted
from reactor.web.page.drafting import shown as shown_draft
from reactor.web.page.panels import PANELS, seen
from reactor.web.page.render import render
from reactor.web.page.sheets import SHEETS
from reactor.web.problems import Explained, explain
from reactor.web.sessions import Grant, csrf_of

log = structlog.get_logger()

NAME_COOKIE: Final = "voxyz_name"
NOBODY_IN_PARTICULAR: Final = "somebody on the page"
A_YEAR_S: Final = 365 * 86400
_BACK: Final = re.compile(
    r"/ops(/(mission|step|proposal|roundtable|initiative|agent|pair|policy)/[\w:-]{1,130})?(#[\w-]{1,80})?"
)


class Page:
    """The routes of one process."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        return [
            static,
            Route("/ops", self.whole, methods=["GET"]),
            Route("/ops/panel/{name}", self.panel, methods=["GET"]),
            Route("/ops/do/name", self.name, methods=["POST"]),
            Route("/ops/do/propose", self.propose, methods=["POST"]),
            Route("/ops/do/{name}", self.deed, methods=["POST"]),
            Route("/ops/{what}/{name}", self.sheet, methods=["GET"]),
        ]

    async def whole(self, request: Request) -> Response:
        """The page. While the database cannot be asked it says so, and looks again by itself."""
        values: dict[str, Any] = {}
        try:
            for panel in PANELS.values():
                values[panel.name] = await seen(self._desk, panel)
        except ReactorError as error:
            return await self._not_now(request, _explained(error))
        common = self._common(request)
        inside = {
            name: Markup(render(f"panels/{name}.html", {**common, **look, "panel": PANELS[name]}))  # noqa: S704 - our own template, which escapes
            for name, look in values.items()
        }
        return self._html(
            request, "page.html", {"panels": PANELS, "inside": inside, "place": values["feed"]["place"]}
        )

    async def panel(self, request: Request) -> Response:
        """One panel's inside."""
        panel = PANELS.get(request.path_params["name"])
        if panel is None:
            raise HTTPException(404)
        try:
            values = await seen(self._desk, panel)
        except ReactorError as error:
            return self._refusal(request, error)
        return self._html(request, f"panels/{panel.name}.html", {**values, "panel": panel})

    async def sheet(self, request: Request) -> Response:
        """One thing whole: for a script the sheet alone, else a page of its own."""
        what, name = request.path_params["what"], request.path_params["name"]
        showing = SHEETS.get(what)
        if showing is None:
            raise HTTPException(404)
        try:
            async with self._desk.reading() as conn:
                values = await showing(conn, name)
                now = await show.now(conn)
        except ReactorError as error:
            return self._refusal(request, error)
        if values is None:
            sentence = f"there is no {what} {name[:100]}"
            return self._html(request, "refusal.html", {"sentence": sentence, "back": "/ops"}, 404)
        upto = request.query_params.get("turn", "")
        shown = int(upto) if upto.isascii() and upto.isdigit() and len(upto) < 6 else None
        whole = "sheets/" + what + ".html" if _by_script(request) else "sheet.html"
        here = f"/ops/{what}/{quote(name, safe=':')}"
        return self._html(request, whole, {**values, "now": now, "what": what, "here": here, "shown": shown})

    async def deed(self, request: Request) -> Response:
        """Something is done, or the database has said why not."""
        deed = DEEDS.get(request.path_params["name"])
        if deed is None:
            raise HTTPException(404)
        form = await form_of(request)
        who = _name_of(request) or NOBODY_IN_PARTICULAR
        try:
            async with self._desk.changing() as conn:
                sentence = await deed(conn, {**form, WHO: who})
        except ReactorError as error:
            return self._refusal(request, error, _back(form))
        return self._done(request, sentence, _back(form))

    async def propose(self, request: Request) -> Response:
        """What a person has filled in is put before the gates; or the form comes again, otherwise. Nothing typed is lost."""
        form = await form_of(request)
        draft = draft_of(form)
        if then := form.get("then"):
            return await self._drafted(request, redrafted(draft, then))
        try:
            async with self._desk.changing() as conn:
                told = await propose(conn, draft)
        except ReactorError as error:
            refused = _explained(error)
            told = Told(refused.detail, refused.status)
        if told.sheet:
            return self._done(request, told.sentence, told.sheet)
        if _by_script(request):
            return self._toast(request, told.sentence, told.status)
        return await self._drafted(request, draft, told)

    async def name(self, request: Request) -> Response:
        """From now on this browser decides in that name."""
        form = await form_of(request)
        name = re.sub(r"[^\w .'-]", "", form.get("name", "")).strip()[:100]
        answer = self._done(
            request, f"you decide as {name}" if name else "you decide without a name", _back(form)
        )
        answer.set_cookie(
            NAME_COOKIE, quote(name), max_age=A_YEAR_S, path="/ops", httponly=True, samesite="strict"
        )
        return answer

    # -- answers

    async def _drafted(self, request: Request, draft: Draft, told: Told | None = None) -> Response:
        """The form as it was left: for a script its inside, else a page of its own, which says what came of it."""
        offered = NO_CHOICE
        try:
            async with self._desk.reading() as conn:
                offered = await choices(conn)
        except ReactorError as error:
            if _by_script(request):
                return self._refusal(request, error)
            refused = _explained(error)
            told = told or Told(refused.detail, refused.status)
        told = told or Told("")
        page = "draft.html" if _by_script(request) else "draft_page.html"
        values = {**shown_draft(draft, offered), "sentence": told.sentence}
        return self._html(request, page, values, told.status)

    def _done(self, request: Request, sentence: str, back: str) -> Response:
        if not _by_script(request):
            return RedirectResponse(back, 303)
        answer = self._toast(request, sentence)
        answer.headers["HX-Trigger"] = json.dumps({"deed": True})
        return answer

    def _toast(self, request: Request, sentence: str, status: int = 200) -> HTMLResponse:
        return self._html(request, "toast.html", {"sentence": sentence, "well": status < 400}, status)

    def _refusal(self, request: Request, error: ReactorError, back: str = "/ops") -> Response:
        told = _explained(error)
        if _by_script(request):
            return self._toast(request, told.detail, told.status)
        return self._html(request, "refusal.html", {"sentence": told.detail, "back": back}, told.status)

    async def _not_now(self, request: Request, told: Explained) -> Response:
        report = await self._desk.health.report()
        status = "not now" if report.ready else report.status.value
        return self._html(
            request, "not_now.html", {"status": status, "reason": report.reason or told.detail}, told.status
        )

    def _html(
        self, request: Request, template: str, values: Mapping[str, Any], status: int = 200
    ) -> HTMLResponse:
        return HTMLResponse(render(template, {**self._common(request), **values}), status)

    def _common(self, request: Request) -> dict[str, Any]:
        return {
            "csrf": csrf_of(request),
            "may_change": request.state.grant is Grant.ALL,
            "who": _name_of(request),
            "back": "/ops",
        }


def page_routes(desk: Desk) -> list[BaseRoute]:
    """``/ops`` and everything below it that is not signing in."""
    return Page(desk).routes()


def _name_of(request: Request) -> str:
    """In whose name this browser decides; empty: nobody has said."""
    return unquote(request.cookies.get(NAME_COOKIE, "")).strip()[:100]


def _by_script(request: Request) -> bool:
    return request.headers.get("hx-request") == "true"


def _back(form: Mapping[str, str]) -> str:
    """Where the form was sent from, if that is a page of ours."""
    wanted = form.get("back", "")
    return wanted if _BACK.fullmatch(wanted) else "/ops"


def _explained(error: ReactorError) -> Explained:
    told = explain(error)
    if told.status == 500:
        log.error("page_failed", reason=str(error), exc_info=error)
    return told
