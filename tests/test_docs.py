"""The docs site builds without a warning, has every decision, and asks no other server for anything.

Needs the extra [docs], Chromium and Playwright. Without them the tests are skipped, except on
continuous integration (CI=true), where they must run.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from search_spaces.operators import OPERATORS

ROOT = Path(__file__).parents[1]
FETCHED = ("src", "srcset", "poster", "data", "action")
pytestmark = pytest.mark.long


def needs(*, found: bool, what: str) -> None:
    if not found:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"needs {what}")


class Fetches(HTMLParser):
    """Collects the addresses that a page loads by itself; links to click are none of them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = (*FETCHED, "href") if tag == "link" else FETCHED
        self.found += [value for name, value in attrs if name in names and value]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs(
        found=all(importlib.util.find_spec(m) for m in ("mkdocs", "material", "mkdocstrings")),
        what="pip install -c constraints.txt -e '.[docs]'",
    )
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def unlike_pages(site: Path) -> list[Path]:
    """All, but of decisions, which are made alike, the first alone."""
    is_decision = [page.parent.name == "decisions" for page in pages(site)]
    first = is_decision.index(True)
    return [page for i, page in enumerate(pages(site)) if i == first or not is_decision[i]]


def test_every_decision_is_a_page_that_the_home_page_leads_to(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    names = [path.stem for path in (ROOT / "docs/decisions").glob("[0-9]*.md")]
    assert names
    assert not [name for name in names if f'href="decisions/{name}.html"' not in home]


def test_every_operator_is_on_a_page_with_its_picture(site: Path) -> None:
    pages = (site / "operators").glob("*.html")
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    names = OPERATORS.names()
    assert not [n for n in names if f'id="{n}"' not in text or f"Parts of {n}<" not in text]


def test_nothing_that_a_page_loads_is_on_another_server(site: Path) -> None:
    foreign = []
    for page in pages(site):
        parser = Fetches()
        parser.feed(page.read_text(encoding="utf-8"))
        assert parser.found
        foreign += [(page.name, url) for url in parser.found if "//" in url]
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        foreign += [
            (sheet.name, url) for url in re.findall(r"(?:url\(|@import)[^);]*//[^);]*", text)
        ]
    assert not foreign


def test_a_browser_that_visits_and_searches_asks_this_site_only(site: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    needs(
        found=bool(chromium and importlib.util.find_spec("playwright")),
        what="chromium and playwright",
    )
    from playwright.sync_api import sync_playwright

    with served(site) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page()
        asked, faults = [], []
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("response", lambda answer: answer.status >= 400 and faults.append(answer.url))
        tab.on("pageerror", lambda error: faults.append(str(error)))
        for page in unlike_pages(site):
            tab.goto(f"{address}/{page.relative_to(site).as_posix()}")
        tab.goto(f"{address}/index.html?q=hypervolume")
        tab.wait_for_selector(".md-search-result__item")
        browser.close()
    assert not faults
    assert len(asked) > len(unlike_pages(site))
    assert not [url for url in asked if not url.startswith((address, "data:", "blob:"))]


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder's address on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
