"""A report is written whole, inside the run, and takes no markup from files."""

import contextlib
import json
import os
import random
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from reports import build_report, load_run
from reports.markdown import markdown
from reports.page import render
from reports.tables import pareto_csv
from search_spaces import UserError

NewRun = Callable[..., Path]
EVIL = "\"'><evil onevil=1>&lt;</script><!--"


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


def build(folder: Path) -> Page:
    return Page(build_report(folder).read_text(encoding="utf-8"))


def spoiled(value: Any) -> Any:
    """The same document with markup in every text."""
    if isinstance(value, dict):
        return {name: spoiled(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [spoiled(inner) for inner in value]
    return value + EVIL if isinstance(value, str) else value


def without_each_field(document: Any) -> Iterator[Any]:
    """Every version of a document that lacks one field, at any depth."""
    if not isinstance(document, dict):
        return
    for name, inner in document.items():
        yield {key: value for key, value in document.items() if key != name}
        for changed in without_each_field(inner):
            yield document | {name: changed}


def test_a_report_is_three_files_in_its_folder_and_nothing_else(new_run: NewRun) -> None:
    folder = new_run()
    before = {path for path in folder.rglob("*") if path.is_file()}
    assert build_report(folder) == folder / "report" / "report.html"
    written = {path for path in folder.rglob("*") if path.is_file()} - before
    assert {path.name for path in written} == {"report.html", "report.md", "pareto.csv"}
    assert {path.parent for path in written} == {folder / "report"}


def test_building_twice_gives_the_same_bytes(new_run: NewRun) -> None:
    folder = new_run()
    first = build_report(folder).read_bytes()
    assert build_report(folder).read_bytes() == first


def test_the_page_names_every_network_and_links_its_files(new_run: NewRun) -> None:
    folder = new_run()
    page = build(folder)
    for member in load_run(folder).members:
        assert member.key in page.text
        for name in [*(file.name for file in member.files), "card.json"]:
            assert f"../{member.folder}/{name}" in page.links


def test_the_page_refers_to_nothing_outside_of_the_run(new_run: NewRun) -> None:
    links = build(new_run()).links
    assert all(link.startswith(("../front/", "../references/", "#", "data:")) for link in links)


def test_a_failed_write_leaves_the_old_report_and_no_rubbish(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run(trials=5, front=1)
    old = build_report(folder).read_bytes()

    def full(source: str, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left on device: .*report"):
        build_report(folder)
    assert (folder / "report" / "report.html").read_bytes() == old
    assert len(list((folder / "report").iterdir())) == 3


def test_a_report_folder_that_leads_elsewhere_is_refused(new_run: NewRun, tmp_path: Path) -> None:
    folder = new_run(trials=5, front=1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "report").symlink_to(elsewhere)
    with pytest.raises(UserError, match="outside of the run"):
        build_report(folder)
    assert list(elsewhere.iterdir()) == []


def test_no_text_of_any_file_becomes_markup(new_run: NewRun) -> None:
    evil = EVIL.replace("/", "")
    folder = new_run(key=lambda key: key + evil, data=EVIL, classes=("a" + EVIL, "b"), extras=True)
    for path in [*folder.glob("*.json"), *folder.glob("[pf]*/[pf]*.json")]:
        document = json.loads(path.read_text())
        if path.name != "front.json":
            path.write_text(json.dumps(spoiled(document)))
    for path in folder.rglob("card.json"):
        path.write_text(json.dumps(spoiled(json.loads(path.read_text()))))
    for path in [folder / "trials.jsonl", folder / "events.jsonl"]:
        rows = [spoiled(json.loads(line)) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = build(folder)
    assert page.tags.count("script") == 2
    assert "evil" not in page.tags
    assert "onevil" not in page.attributes
    assert "a" + EVIL in page.text


@pytest.mark.parametrize(
    "options",
    [
        {"front": 1},
        {"front": 1, "references": False, "trials": 1},
        {"trials": 0, "front": 0},
        {"trials": 40, "front": 0, "references": False},
        {"precision": "fp32"},
        {"precision": "int8"},
    ],
)
def test_every_size_of_run_gives_a_page(new_run: NewRun, options: dict[str, Any]) -> None:
    page = build(new_run(**options))
    assert "hybrid on digit-pairs" in page.text
    assert "nan" not in page.text.lower().split()
    assert "None" not in page.text


def test_all_trials_failed_gives_a_page_with_the_reasons(new_run: NewRun) -> None:
    folder = new_run(trials=4, front=0, references=False)
    path = folder / "trials.jsonl"
    rows = [json.loads(line) | {"metrics": {}, "failure": "no memory"}
            for line in path.read_text().splitlines()]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = build(folder)
    assert "4 trials, 4 of them failed." in page.text
    assert "4 x: no memory" in page.text


def test_files_that_are_not_there_yet_are_said_to_be_missing(new_run: NewRun) -> None:
    folder = new_run()
    for name in ("profile/profile.json", "train_log.jsonl", "env.json", "plan.json"):
        (folder / name).unlink()
    text = build(folder).text
    assert "Exported files: mean error" in text
    assert "Networks held out of the fit: not measured." in text
    assert "No training log in this run." in text


def test_any_one_field_of_a_card_may_be_missing(new_run: NewRun) -> None:
    folder = new_run(trials=5, front=1, references=False)
    (path,) = folder.rglob("card.json")
    card = json.loads(path.read_text())
    card["files"] = {"model.onnx": card["files"]["model.onnx"]}
    for changed in without_each_field(card):
        path.write_text(json.dumps(changed))
        render(load_run(folder))
    path.write_text(json.dumps({"schema": 1}))
    assert "-" in build(folder).text


JUNK = [None, True, -1, 0, 1e308, float("nan"), "", "x", [], [[]], [1, 2, 3], {}, {"a": []}]


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside a document."""
    inner = document.items() if isinstance(document, dict) else []
    inner = enumerate(document) if isinstance(document, list) else inner
    for name, value in inner:
        yield (*path, name)
        yield from places(value, (*path, name))


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The document with another value at one place."""
    if not path:
        return value
    copy = document.copy()
    copy[path[0]] = replaced(document[path[0]], path[1:], value)
    return copy


def test_junk_at_any_place_of_any_file_gives_a_page_or_a_user_error(new_run: NewRun) -> None:
    """60 of the thousands of (file, place, junk), drawn with a fixed seed."""
    folder = new_run(trials=12, front=2, extras=True)
    draw = random.Random(0)
    paths = sorted(path for path in folder.rglob("*.json*") if path.name != "space.json")
    for _ in range(60):
        path = draw.choice(paths)
        content = path.read_text()
        lines = content.splitlines()
        row = draw.randrange(len(lines))
        document = json.loads(lines[row])
        place = draw.choice(list(places(document)))
        lines[row] = json.dumps(replaced(document, place, draw.choice(JUNK)))
        path.write_text("\n".join(lines) + "\n")
        run = None
        with contextlib.suppress(UserError):
            run = load_run(folder)
        if run is not None:
            assert "</html>" in render(run)
            assert pareto_csv(run).startswith("key,")
            assert markdown(run).startswith("# ")
        path.write_text(content)
