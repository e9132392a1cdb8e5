"""The page in a real browser: nothing fails, nothing is fetched, everything can be read.

Needs Chromium (Debian: apt-get install chromium) and Playwright. Without them the tests are
skipped, except on continuous integration (CI=true), where they must run.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reports import build_report, load_run

NewRun = Callable[..., Path]
PHONE, TABLET, DESKTOP = (360, 740), (820, 1100), (1280, 900)

# Text nodes whose colour contrasts less than 4.5:1 with the nearest painted background, or that are
# smaller than 11 px. Source: WCAG 2.2, success criterion 1.4.3, relative luminance.
HARD_TO_READ = """() => {
  const parse = (c) => (c.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const bad = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n; (n = walker.nextNode()); ) {
    const e = n.parentElement;
    if (!n.data.trim() || !e.getClientRects().length || e.closest("script, noscript")) continue;
    const style = getComputedStyle(e);
    const ink = parse(e instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [light(ink), light(behind(e))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5 || parseFloat(style.fontSize) < 11) bad.push([n.data.trim(), contrast]);
  }
  return bad;
}"""

# Every plot was drawn at the width that it has now.
DRAWN = """() => [...document.querySelectorAll(".plot")].every(
  (host) => host.firstChild && +host.firstChild.getAttribute("width") === host.clientWidth)"""

# Texts of one plot that touch each other.
OVERLAPPING = """() => [...document.querySelectorAll(".plot svg")].flatMap((svg) => {
  const boxes = [...svg.querySelectorAll("text")].map((t) => t.getBoundingClientRect());
  return boxes.flatMap((a, i) => boxes.slice(i + 1).filter((b) =>
    a.left < b.right && b.left < a.right && a.top < b.bottom - 3 && b.top < a.bottom - 3));
}).length"""


@dataclass(kw_only=True)
class Tab:
    """A page in the browser and what went wrong on it."""

    page: Any
    faults: list[str] = field(default_factory=list)

    def evaluate(self, script: str) -> Any:
        return self.page.evaluate(script)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        reason = "needs chromium and playwright"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def open_tab(browser: Any) -> Iterator[Callable[..., Tab]]:
    """Opens a report; afterwards asserts that it raised no error and asked for no other file."""
    tabs: list[Tab] = []

    def open_(html: Path, size: tuple[int, int] = DESKTOP, scheme: str = "light") -> Tab:
        width, height = size
        context = browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": height}
        )
        tab = Tab(page=context.new_page())
        tabs.append(tab)

        def route(request: Any) -> None:
            if request.request.url != html.as_uri():
                tab.faults.append(f"asked for {request.request.url}")
            request.continue_()

        tab.page.route("**/*", route)
        tab.page.on("console", lambda message: tab.faults.append(message.text))
        tab.page.on("pageerror", lambda error: tab.faults.append(str(error)))
        tab.page.on("dialog", lambda dialog: tab.faults.append(f"dialog {dialog.message}"))
        tab.page.goto(html.as_uri())
        return tab

    yield open_
    for tab in tabs:
        tab.page.context.close()
        assert tab.faults == []


def test_every_text_can_be_read_and_nothing_overflows_in_light_and_dark(
    new_run: NewRun, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(build_report(new_run()))
    backgrounds = set()
    for width, height in (PHONE, TABLET, DESKTOP):
        tab.page.set_viewport_size({"width": width, "height": height})
        tab.page.wait_for_function(DRAWN)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.page.locator(".plot svg").count() == 3
        assert tab.evaluate(OVERLAPPING) == 0
        for scheme in ("light", "dark"):
            tab.page.emulate_media(color_scheme=scheme)
            assert tab.evaluate(HARD_TO_READ) == []
            backgrounds.add(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(backgrounds) == 2


def test_pointing_at_a_marker_shows_its_network_and_row(
    new_run: NewRun, open_tab: Callable[..., Tab]
) -> None:
    folder = new_run()
    tab = open_tab(build_report(folder))
    member = load_run(folder).front[0]
    assert not tab.page.locator("#tip").is_visible()
    tab.page.locator("path.mark[tabindex]").last.hover()  # drawn last: the fastest
    told = tab.page.locator("#tip").inner_text()
    assert member.key in told
    assert "stage1: width" in told
    assert tab.page.locator("tr.is-active").get_attribute("data-member") == member.folder
    tab.page.keyboard.press("Escape")
    assert not tab.page.locator("#tip").is_visible()


def test_the_keyboard_reaches_every_marker_and_the_screen_reader_is_told(
    new_run: NewRun, open_tab: Callable[..., Tab]
) -> None:
    folder = new_run()
    tab = open_tab(build_report(folder))
    markers = tab.page.locator("path.mark[tabindex='0']")
    assert markers.count() == 13
    keys = {member.key for member in load_run(folder).members}
    labels = [markers.nth(i).get_attribute("aria-label") for i in range(13)]
    assert {label.split(" ")[0] for label in labels} == keys
    markers.nth(2).focus()
    assert tab.page.locator("#tip").is_visible()


def test_a_tip_stays_on_the_screen_of_a_phone(
    new_run: NewRun, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(build_report(new_run()), PHONE)
    markers = tab.page.locator("path.mark[tabindex='0']")
    for i in (0, 6, 12):
        markers.nth(i).scroll_into_view_if_needed()
        markers.nth(i).focus()
        box = tab.page.locator("#tip").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE[0]
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= PHONE[1]


def test_plots_are_drawn_again_for_another_width(
    new_run: NewRun, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(build_report(new_run()))
    drawn = "document.querySelector('#plot-front svg').getAttribute('width')"
    wide = tab.evaluate(drawn)
    tab.page.set_viewport_size({"width": 500, "height": 800})
    tab.page.wait_for_function(DRAWN)
    assert int(tab.evaluate(drawn)) < 500 < int(wide)


def test_markup_in_names_runs_nothing(new_run: NewRun, open_tab: Callable[..., Tab]) -> None:
    evil = "<img src=x onerror=alert(1)>"
    script = "</script><script>alert(1)</script>"
    folder = new_run(key=lambda key: evil + key, data=script, classes=(script, evil))
    tab = open_tab(build_report(folder))
    assert tab.page.locator("img").count() == 0
    assert tab.evaluate("document.scripts.length") == 2
    assert tab.page.locator("h1").inner_text() == f"hybrid on {script}"
    tab.page.locator("path.mark[tabindex]").last.hover()
    assert evil in tab.page.locator("#tip").inner_text()
    assert tab.page.locator("tbody a.key").first.inner_text().startswith(evil)


@pytest.mark.parametrize(
    "options",
    [
        {"front": 1, "references": False, "trials": 1},
        {"trials": 0, "front": 0},
        {"trials": 30, "front": 0, "references": False},
        {"precision": "fp32", "data": "x" * 300, "key": lambda key: key + "y" * 120},
    ],
)
def test_small_empty_and_wordy_runs_are_drawn_without_overflow(
    new_run: NewRun, open_tab: Callable[..., Tab], options: dict[str, Any]
) -> None:
    tab = open_tab(build_report(new_run(**options)))
    for width, height in (DESKTOP, PHONE):
        tab.page.set_viewport_size({"width": width, "height": height})
        tab.page.wait_for_function(DRAWN)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(
        "[...document.querySelectorAll('.plot svg *')]"
        ".every((e) => [...e.attributes].every((a) => !/NaN|undefined|Infinity/.test(a.value)))"
    )
