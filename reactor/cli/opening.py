"""``open``: the page of a running reactor, in a browser, signed in by a link that works once."""

import os
import socket
import sys
import webbrowser
from collections.abc import Sequence
from uuid import UUID

import click

from reactor.cli.output import answer_json, json_option, say
from reactor.cli.runtime import connection, run
from reactor.errors import UsageError
from reactor.settings import Settings
from reactor.store import fleet
from reactor.store.fleet import Worker
from reactor.web.sessions import TICKET_LASTS_S, ticket


@click.command("open", short_help="the page, in a browser")
@click.option("--print", "only_print", is_flag=True, help="Only print the link.")
@json_option
def open_command(only_print: bool, as_json: bool) -> None:
    """Open the page of the reactor that runs on this machine, else of another one; without a browser the link is printed.

    Where OPS_API_TOKEN is set the link signs in, once, within a minute: do not pass it on.
    """
    settings = Settings.load()
    url = run(_find, settings)
    word = ticket(settings)
    link = url if word is None else f"{url}/login?ticket={word}"
    if as_json:
        answer_json({"url": url, "link": link, "once": word is not None})
        return
    if not only_print and _has_browser() and webbrowser.open(link):
        say(f"{url} is open in your browser")
        return
    say(link)
    if word is not None and sys.stdout.isatty():
        say(f"it works once, for {TICKET_LASTS_S} s")


async def _find(settings: Settings) -> str:
    async with connection(settings, "open") as conn:
        return chosen(await fleet.fleet(conn), await fleet.pages(conn), socket.gethostname())


def chosen(workers: Sequence[Worker], pages: dict[UUID, str], hostname: str) -> str:
    """The page of a living reactor, on this machine if there is one. Raises UsageError: nobody serves one."""
    serving = [one for one in workers if one.live and one.id in pages]
    if not serving:
        raise UsageError(
            "no running reactor serves the page: start one with `voxyz-reactor run` (or with the part web)"
        )
    here = [one for one in serving if one.hostname == hostname]
    return pages[(here or serving)[0].id]


def _has_browser() -> bool:
    """Whether a browser can show itself here: there is one, and a screen for it."""
    screen = (
        sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    if not screen and not os.environ.get("BROWSER"):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True
