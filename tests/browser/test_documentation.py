"""The built site in a real browser: it shows, and asks nobody but the host it lies on."""

import re
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, expect

from tests.docs.blocks import ROOT

pytestmark = pytest.mark.browser


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The address of the site, built now."""
    built = subprocess.run([ROOT / "bin/docs"], capture_output=True, text=True, timeout=500)
    assert built.returncode == 0, built.stdout + built.stderr
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(ROOT / "site"))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_it_asks_nobody_else_and_finds_what_is_searched(site: str, browser: Browser) -> None:
    page = browser.new_page()
    asked: list[str] = []
    failed: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda response: failed.append(response.url) if response.status >= 400 else None)
    for path in re.findall(r": ([\w/-]+)\.md", (ROOT / "mkdocs.yml").read_text()):
        page.goto(f"{site}/{path}.html", wait_until="networkidle")
        expect(page.locator("h1")).to_be_visible()
    page.goto(f"{site}/concepts.html")
    for picture in page.locator("img").all():
        assert picture.evaluate("image => image.naturalWidth") > 100
    page.get_by_placeholder("Search").click()
    page.get_by_placeholder("Search").press_sequentially("doorbell", delay=50)
    expect(page.locator(".md-search-result__item").first).to_contain_text("doorbell", ignore_case=True)
    page.close()
    foreign = [url for url in asked if not url.startswith((site, "data:", "blob:"))]
    assert (foreign, failed) == ([], [])
    assert len(asked) > 20
