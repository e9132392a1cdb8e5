"""The page of a sweep: plots that compare at a glance, links, and a real browser that reads it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from reports import build_sweep_report
from reports.sweep import load_sweep
from reports.sweep_page import plots
from tests.reports import test_page_in_browser as pages

NewSweep = Callable[..., Path]
Json = dict[str, Any]
browser, open_tab = pages.browser, pages.open_tab
WIDTHS = (375, 820, 1280)
CLIPPED = """() => [...document.querySelectorAll(".plot svg text")].filter((text) => {
  const [inner, outer] = [text, text.closest("svg")].map((node) => node.getBoundingClientRect());
  return inner.left < outer.left - 1 || inner.right > outer.right + 1;
}).length"""


def shifted(factor: float, gain: float) -> Callable[[Json], None]:
    """A change of a card: another speed and another accuracy."""

    def change(card: Json) -> None:
        file = card["files"]["model.onnx"]
        file["latency"]["median_ms"] *= factor
        search = file["accuracy"]["search"]
        search["fraction"] = min(1.0, search["fraction"] + gain)
        search["log_loss"] = max(0.0, search["log_loss"] - 2 * gain)

    return change


def many(num_seeds: int = 3) -> list[Json]:
    """Two spaces and two budgets, then other data: some failed, some still open."""
    runs: list[Json] = []
    for data in ("digit-pairs", "digits"):
        for space in ("toy", "hybrid"):
            for limit in ("0.6ms", "1.2ms"):
                for seed in range(num_seeds):
                    gain = 0.02 * seed + (0.05 if space == "hybrid" else 0.0)
                    factor = (0.6 if limit == "0.6ms" else 1.1) * (1 + 0.05 * seed)
                    settings = {"data": data, "space": space, "budget": [limit], "seed": seed}
                    name = f"{data}-{space}-{limit}-{seed}"
                    options = {"front": 5 + seed, "references": False, "data": data, "trials": 40}
                    runs.append(
                        {"name": name, "settings": settings, "options": options}
                        | {"change": shifted(factor, gain)}
                    )
    runs[-1] |= {"status": None}
    runs[-2] |= {"status": "failed", "error": "run 'x': the disk is full. Free some space."}
    return runs


VARYING = ("data", "space", "budget", "seed")


def test_plots_of_a_group_share_their_axes(new_sweep: NewSweep) -> None:
    found = plots(load_sweep(new_sweep(many(), varying=VARYING)))
    assert len(found) == 8
    first, second = list(found.values())[:4], list(found.values())[4:]
    for group in (first, second):
        assert all(plot["x"] == group[0]["x"] for plot in group)
        assert all(plot["y"] == group[0]["y"] for plot in group)
        for plot in group:
            xs, ys = [dot["x"] for dot in plot["dots"]], [dot["y"] for dot in plot["dots"]]
            assert plot["x"]["domain"][0] <= min(xs) <= max(xs) <= plot["x"]["domain"][1]
            assert plot["y"]["domain"][0] <= min(ys) <= max(ys) <= plot["y"]["domain"][1]
    assert len({dot["kind"] for dot in first[0]["dots"]}) == 3
    assert len({dot["shape"] for dot in first[0]["dots"]}) == 3
    assert len(first[0]["stairs"]) == 4  # every seed's, and the best of all


def test_up_to_36_seeds_have_marks_of_their_own(new_sweep: NewSweep) -> None:
    runs = [{"settings": {"seed": seed}, "options": {"front": 1}} for seed in range(13)]
    (plot,) = plots(load_sweep(new_sweep(runs))).values()
    assert len({(dot["kind"], dot["shape"]) for dot in plot["dots"]}) == 13


def test_markup_in_settings_names_and_errors_is_text(new_sweep: NewSweep) -> None:
    evil = "<img src=x onerror=alert(1)>"
    runs = [
        {"name": f"{evil}{number}".replace("/", "-"), "settings": {"space": evil, "seed": number}}
        | {"status": status, "error": evil, "options": {"front": 2, "data": evil}}
        for number, status in enumerate(["finished", "failed"])
    ]
    folder = new_sweep(runs, varying=(evil, "space", "seed"), name=evil)
    page = build_sweep_report(folder).read_text()
    assert "<img" not in page
    assert "Sweep: &lt;img src=x" in page


def test_a_sweep_without_runs_has_a_page(new_sweep: NewSweep) -> None:
    page = build_sweep_report(new_sweep([], varying=())).read_text()
    assert "No run is listed." in page


def test_the_page_can_be_read_everywhere(
    new_sweep: NewSweep, open_tab: Callable[..., pages.Tab]
) -> None:
    folder = new_sweep(many(), varying=VARYING)
    tab = open_tab(build_sweep_report(folder))
    for width in WIDTHS:
        tab.page.set_viewport_size({"width": width, "height": 900})
        tab.page.wait_for_function(pages.DRAWN)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate(pages.OVERLAPPING) == 0
        assert tab.evaluate(CLIPPED) == 0
        for scheme in ("light", "dark"):
            tab.page.emulate_media(color_scheme=scheme)
            assert tab.evaluate(pages.HARD_TO_READ) == []
    assert tab.page.locator(".plot svg").count() == 8
    assert tab.page.locator(".plot path.stairs").count() == 8 + 22
    expected = sum(len(run.front) for run in load_sweep(folder).runs)
    assert tab.page.locator(".plot path.mark").count() == expected


def test_arrow_keys_go_through_the_networks_of_a_small_plot(
    new_sweep: NewSweep, open_tab: Callable[..., pages.Tab]
) -> None:
    tab = open_tab(build_sweep_report(new_sweep(many(num_seeds=2), varying=VARYING)))
    tab.page.locator("#plot-sweep0 svg").focus()
    tab.page.keyboard.press("ArrowRight")
    tip = tab.page.locator("#tip")
    assert tip.inner_text().startswith("digit-pairs-toy-0.6ms-")
    assert "Latency, measured" in tip.inner_text()
    tab.page.keyboard.press("Escape")
    assert not tip.is_visible()


def test_links_lead_to_the_reports_that_are_there(
    new_sweep: NewSweep, open_tab: Callable[..., pages.Tab]
) -> None:
    names = ["a b#1", "c"]
    runs = [{"name": name, "settings": {"space": name}} for name in names]
    folder = new_sweep(runs, varying=("space",))
    own = folder / "runs" / names[0] / "report" / "report.html"
    own.parent.mkdir()
    own.write_text("<!doctype html>")
    tab = open_tab(build_sweep_report(folder))
    (link,) = tab.evaluate("[...document.querySelectorAll('main a')].map((a) => a.href)")
    assert Path(unquote(urlparse(link).path)) == own
