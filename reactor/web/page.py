"""``/ops``: how things stand, on one page that needs no script.

Read-only; every text is escaped. It asks the database when somebody looks, and the browser looks again every few seconds.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from reactor.errors import DatabaseError
from reactor.store import events, overview
from reactor.web.health import Health

LOOK_AGAIN_S = 5
ANSWER_WITHIN_S = 2.0
EVENTS = 30
STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8884; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
"""


def ops_page(health: Health) -> Route:
    """The route ``/ops``."""

    async def ops(_request: Request) -> Response:
        report = await health.report()
        parts = [f"<p role=status><strong>{escape(report.status)}</strong> {escape(report.reason or '')}</p>"]
        if health.reactor is not None:
            with suppress(DatabaseError):
                async with health.reactor.pool.connection(timeout_s=ANSWER_WITHIN_S) as conn:
                    if not (await overview.facts(conn)).company_known:
                        parts.append(
                            "<p>Nobody has said what the company is: <code>voxyz-reactor init</code> asks.</p>"
                        )
                    parts.append(_queues(await overview.queues(conn)))
                    parts.append(_events((await events.recent(conn, EVENTS))[0]))
        return HTMLResponse(_document("".join(parts)))

    return Route("/ops", ops)


def _document(body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="refresh" content="{LOOK_AGAIN_S}"><title>voxyz ops</title><style>{STYLE}</style>'
        f"</head><body><h1>voxyz ops</h1>{body}</body></html>"
    )


def _queues(counts: Sequence[overview.QueueCounts]) -> str:
    rows = (
        (
            one.queue,
            one.waiting,
            one.queued,
            one.running,
            one.succeeded,
            one.failed,
            one.cancelled,
            "" if one.oldest_due_s is None else f"{max(one.oldest_due_s, 0):.0f} s",
        )
        for one in counts
    )
    columns = ("queue", "waiting", "queued", "running", "succeeded", "failed", "cancelled", "oldest due")
    return _table("Queues", columns, rows)


def _events(recent: Sequence[events.Event]) -> str:
    rows = (
        (f"{one.created_at:%H:%M:%S}", one.kind, one.agent_id or "", one.title, one.summary or "")
        for one in recent
    )
    return _table("What happened", ("at (UTC)", "event", "agent", "title", "summary"), rows)


def _table(title: str, columns: Iterable[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
    return (
        f'<h2>{escape(title)}</h2><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(value: object) -> str:
    return f'<td class="number">{value}</td>' if isinstance(value, int) else f"<td>{escape(str(value))}</td>"
