"""A page without templates: for who is not let in yet, and for who was refused before any route was looked at."""

from html import escape
from typing import Final

STYLE: Final = "/ops/static/ops.css"  # what such a page looks like is no secret


def bare_page(title: str, heading: str, inside: str, trouble: str = "") -> str:
    """The page as HTML. ``inside`` is HTML already; ``trouble`` is a sentence said first."""
    told = f'<p class="trouble" role="alert">{escape(trouble)}</p>' if trouble else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(title)} · voxyz ops</title>'
        f'<link rel="stylesheet" href="{STYLE}"></head>'
        f'<body class="alone"><main class="sheet-page"><h1>{escape(heading)}</h1>{told}{inside}</main></body></html>'
    )
