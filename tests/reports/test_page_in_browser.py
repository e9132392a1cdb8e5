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
from urllib.parse import unquote, urlparse

import pytest

from reports import build_comparison, build_report, compare, embedded, filters, load_run
from tests.reports.conftest import make_run

NewRun = Callable[..., Path]
PHONE, TABLET, DESKTOP = (360, 740), (820, 1100), (1280, 900)
MARKERS = "#plot-front path.mark[tabindex='0']"
ROWS = "#members tbody tr:not([hidden])"

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

# Texts of one plot or picture that touch each other.
OVERLAPPING = """() => [...document.querySelectorAll(
  ".plot svg, .picture svg, .waterline svg")].flatMap((svg) => {
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
        tab.page.wait_for_function(DRAWN)
        return tab

    yield open_
    for tab in tabs:
        tab.page.context.close()
        assert tab.faults == []


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run. Do not change it."""
    return build_report(make_run(tmp_path_factory.mktemp("plain") / "run"))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run that has all that only some have. Do not change it."""
    return build_report(make_run(tmp_path_factory.mktemp("full") / "run", extras=True))


def point_at_the_fastest(tab: Tab) -> None:
    """Scrolls first: scrolling under a resting pointer hides what it points at."""
    marker = tab.page.locator(MARKERS).last  # drawn last: the fastest
    marker.scroll_into_view_if_needed()
    tab.page.wait_for_timeout(100)
    marker.hover()


def test_every_text_can_be_read_and_nothing_overflows_in_light_and_dark(
    full: Path, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(full)
    tab.evaluate("document.querySelectorAll('details').forEach((node) => (node.open = true))")
    backgrounds = set()
    for width, height in (PHONE, TABLET, DESKTOP):
        tab.page.set_viewport_size({"width": width, "height": height})
        tab.page.wait_for_function(DRAWN)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.page.locator(".plot svg").count() == 9
        assert tab.evaluate(OVERLAPPING) == 0
        for scheme in ("light", "dark"):
            tab.page.emulate_media(color_scheme=scheme)
            assert tab.evaluate(HARD_TO_READ) == []
            backgrounds.add(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(backgrounds) == 2


def test_within_another_page_the_front_is_drawn_and_links_stay_in_the_frame(
    new_run: NewRun, open_tab: Callable[..., Tab], tmp_path: Path
) -> None:
    html = tmp_path / "notebook.html"
    html.write_text(f"<!doctype html><meta charset=utf-8>{embedded(load_run(new_run()))}", "utf-8")
    frame = open_tab(html).page.frame_locator("iframe")
    frame.locator(MARKERS).first.wait_for()
    frame.locator("#members a").first.click()
    assert frame.locator("#plot-front svg").count() == 1


def test_what_is_confused_can_be_read_and_pointed_at(
    new_run: NewRun, open_tab: Callable[..., Tab], tmp_path: Path
) -> None:
    names = ("ok", "defect", "a class of a long name", "dirt")
    tab = open_tab(build_report(new_run(trials=30, front=3, extras=True, classes=names)))
    for width, height in (PHONE, DESKTOP):
        tab.page.set_viewport_size({"width": width, "height": height})
        tab.page.wait_for_function(DRAWN)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate(OVERLAPPING.replace(".picture svg", ".matrix svg")) == 0
        for scheme in ("light", "dark"):
            tab.page.emulate_media(color_scheme=scheme)
            assert tab.evaluate(HARD_TO_READ) == []
            picture = tmp_path / f"classes-{scheme}-{width}.png"
            tab.page.locator("section", has_text="Most often taken for").last.screenshot(
                path=picture
            )
    pictures = tab.page.locator(".matrix svg[role=img]")
    assert pictures.count() == 3 + 1
    label = pictures.first.get_attribute("aria-label")
    assert "balanced accuracy" in label
    assert "taken for" in label


def test_pointing_at_a_marker_shows_its_network_and_row(
    plain: Path, open_tab: Callable[..., Tab]
) -> None:
    folder = plain.parents[1]
    tab = open_tab(plain)
    member = load_run(folder).front[0]
    assert not tab.page.locator("#tip").is_visible()
    point_at_the_fastest(tab)
    told = tab.page.locator("#tip").inner_text()
    assert member.key in told
    assert "stage1: width" in told
    assert tab.page.locator("tr.is-active").get_attribute("data-member") == member.folder
    tab.page.keyboard.press("Escape")
    assert not tab.page.locator("#tip").is_visible()


def test_the_keyboard_reaches_every_marker_and_the_screen_reader_is_told(
    plain: Path, open_tab: Callable[..., Tab]
) -> None:
    folder = plain.parents[1]
    tab = open_tab(plain)
    markers = tab.page.locator(MARKERS)
    assert markers.count() == 13
    keys = {member.key for member in load_run(folder).members}
    labels = [markers.nth(i).get_attribute("aria-label") for i in range(13)]
    assert {label.split(" ")[0] for label in labels} == keys
    markers.nth(2).focus()
    assert tab.page.locator("#tip").is_visible()


def test_a_tip_stays_on_the_screen_of_a_phone(plain: Path, open_tab: Callable[..., Tab]) -> None:
    tab = open_tab(plain, PHONE)
    markers = tab.page.locator(MARKERS)
    for i in (0, 6, 12):
        markers.nth(i).scroll_into_view_if_needed()
        markers.nth(i).focus()
        box = tab.page.locator("#tip").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE[0]
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= PHONE[1]


def test_arrow_keys_go_through_the_dots_of_a_plot(
    plain: Path, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(plain)
    tab.page.wait_for_function(DRAWN)
    tab.page.locator("#plot-mix svg").focus()
    tip = tab.page.locator("#tip")
    assert not tip.is_visible()
    tab.page.keyboard.press("ArrowRight")
    first = tip.inner_text()
    tab.page.keyboard.press("ArrowRight")
    assert tip.inner_text() != first
    tab.page.keyboard.press("ArrowLeft")
    assert tip.inner_text() == first
    tab.page.keyboard.press("Tab")
    assert not tip.is_visible()


def test_filters_narrow_plot_and_table_down_alike(
    plain: Path, open_tab: Callable[..., Tab]
) -> None:
    folder = plain.parents[1]
    tab = open_tab(plain)
    tab.page.wait_for_function(DRAWN)
    run = load_run(folder)
    archs = [(m.arch, m.policy) for m in run.members]
    trials = [(trial.arch, trial.policy) for trial in run.trials if trial.failure is None]

    def count(networks: list[Any], *wanted: str) -> int:
        return sum(set(wanted) <= set(filters.tags(*network)) for network in networks)

    def shown() -> tuple[int, int, int]:
        trials_drawn = tab.page.locator("#plot-front circle.trial").count()
        return tab.page.locator(MARKERS).count(), tab.page.locator(ROWS).count(), trials_drawn

    status, reset = tab.page.locator("#filter-status"), tab.page.locator("#filter-reset")
    assert status.inner_text() == "Shown: 13 of 13 networks, 58 of 58 trials"
    assert reset.is_disabled()
    window = tab.page.locator("button", has_text="window").first
    window.click()
    assert window.get_attribute("aria-pressed") == "true"
    num_members, num_trials = count(archs, "operator:window"), count(trials, "operator:window")
    assert 0 < num_members < 13
    assert shown() == (num_members, num_members, num_trials)
    tab.page.locator("button", has_text="int8").first.focus()
    tab.page.keyboard.press("Space")
    both = "operator:window", "precision:int8"
    assert shown() == (count(archs, *both), count(archs, *both), count(trials, *both))
    assert status.inner_text().startswith(f"Shown: {count(archs, *both)} of 13 networks")
    reset.focus()
    tab.page.keyboard.press("Enter")
    assert shown() == (13, 13, 58)
    assert window.get_attribute("aria-pressed") == "false"


def test_a_button_puts_bit_cost_on_the_horizontal_axis(
    plain: Path, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(plain)
    plot, title = tab.page.locator("#plot-front"), "#plot-front .axis-title"
    places = f"[...document.querySelectorAll({MARKERS!r})].map((m) => m.getAttribute('transform'))"
    before = tab.evaluate(places)
    button = tab.page.locator("#axes button", has_text="bit cost")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert "Bit cost" in tab.page.locator(title).last.inner_html()
    assert plot.locator("line.tie").count() == 0
    assert tab.evaluate(places) != before
    tab.page.locator("button", has_text="int8").first.click()
    assert "Bit cost" in tab.page.locator(title).last.inner_html(), "filters keep the axis"
    tab.page.locator("#filter-reset").click()
    for width, height in (PHONE, DESKTOP):
        tab.page.set_viewport_size({"width": width, "height": height})
        tab.page.wait_for_function(DRAWN)
        assert tab.evaluate(OVERLAPPING) == 0
    tab.page.locator("#axes button", has_text="latency").click()
    assert tab.evaluate(places) == before


def test_any_pressed_precision_is_shown(plain: Path, open_tab: Callable[..., Tab]) -> None:
    tab = open_tab(plain)
    for name in ("fp32", "int8", "mixed"):
        tab.page.locator(f"button[data-tag='precision:{name}']").click()
    assert tab.page.locator(ROWS).count() == 13


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_the_table_is_sorted_by_a_click_or_enter(
    plain: Path, open_tab: Callable[..., Tab], size: tuple[int, int]
) -> None:
    folder = plain.parents[1]
    tab = open_tab(plain, size)
    keys = "[...document.querySelectorAll('#members tbody a.key')].map((a) => a.textContent)"
    members = load_run(folder).members
    assert tab.evaluate(keys) == [member.key for member in members]
    button = tab.page.locator("button.sorter", has_text="MACs")
    button.click()
    by_macs = [m.key for m in sorted(members, key=lambda m: m.macs or 0)]
    assert tab.evaluate(keys) == by_macs
    head = tab.page.locator("th", has=button)
    assert head.get_attribute("aria-sort") == "ascending"
    button.focus()
    tab.page.keyboard.press("Enter")
    backwards = [m.key for m in sorted(members, key=lambda m: m.macs or 0, reverse=True)]
    assert tab.evaluate(keys) == backwards
    assert head.get_attribute("aria-sort") == "descending"
    assert tab.page.locator("th[aria-sort]:not([aria-sort='none'])").count() == 1
    tab.page.locator("button.sorter", has_text="precision, sparsity").click()
    assert sorted(tab.evaluate(keys)) == sorted(by_macs)


def test_the_links_of_the_table_lead_to_the_files_of_the_run(
    plain: Path, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(plain)
    links = tab.evaluate("[...document.querySelectorAll('.files a')].map((a) => a.href)")
    cards = [Path(unquote(urlparse(link).path)) for link in links if link.endswith("card.json")]
    assert len(cards) == 13
    assert all(card.is_file() for card in cards)
    lines = "(cell) => new Set([...cell.children].map((link) => link.offsetTop)).size"
    cells = "[...document.querySelectorAll('#members .files')]"
    assert tab.evaluate(f"Math.max(...{cells}.map({lines}))") <= 2
    assert tab.evaluate("(document.querySelector('.scroll')).scrollWidth") <= DESKTOP[0]


def test_every_network_has_a_picture_and_its_words(
    full: Path, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(full)
    assert tab.page.locator(".picture svg[role=img]").count() == 14
    label = tab.page.locator(".picture svg").first.get_attribute("aria-label")
    assert label.startswith("stage1: width ")
    words = tab.page.locator(".network details").first
    words.locator("summary").focus()
    tab.page.keyboard.press("Enter")
    assert "width" in words.inner_text()
    assert "Fine-tuned from" in tab.page.locator(".network p.note").first.inner_text()


def test_what_is_printed_is_light_and_has_all_words(
    plain: Path, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(plain)
    tab.page.emulate_media(media="print")
    assert not tab.page.locator("#filters").is_visible()
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.page.locator(".network details[open]").count() == 13


def test_a_comparison_can_be_read_everywhere(
    new_run: NewRun, open_tab: Callable[..., Tab], tmp_path: Path
) -> None:
    evil = tmp_path / "<img src=x onerror=alert(1)>"
    new_run(front=5).rename(evil)
    tab = open_tab(build_comparison(compare([new_run(), evil]), tmp_path / "c.html"))
    for width, height in (PHONE, DESKTOP):
        tab.page.set_viewport_size({"width": width, "height": height})
        tab.page.wait_for_function(DRAWN)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        for scheme in ("light", "dark"):
            tab.page.emulate_media(color_scheme=scheme)
            assert tab.evaluate(HARD_TO_READ) == []
    tab.page.screenshot(path=tmp_path / "comparison.png", full_page=True)
    assert tab.page.locator(MARKERS).count() == 13
    assert tab.page.locator("path.stairs").count() == 2
    tab.page.locator(MARKERS).first.focus()
    assert evil.name in tab.page.locator("#tip").inner_text()
    assert tab.page.locator("img").count() == 0


def test_plots_are_drawn_again_for_another_width(plain: Path, open_tab: Callable[..., Tab]) -> None:
    tab = open_tab(plain)
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
    assert tab.page.locator("#filters").is_visible()
    assert tab.evaluate("document.scripts.length") == 2
    assert tab.page.locator("h1").inner_text() == f"hybrid on {script}"
    point_at_the_fastest(tab)
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
