"""Recalls, balanced accuracy and the picture of confusions, where cards have them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reports import hypervolumes, load_run
from reports.confusion_page import LARGEST_DRAWN, classes, matrix
from reports.confusions import balanced, line, taken_for, worst
from reports.markdown import markdown
from reports.records import Member, RunTables
from search_spaces import Confusion, task_of

NewRun = Callable[..., Path]
OK, DEFECT, DIRT = range(3)
RECORD = {
    "labels": [60, 4, 0],
    "confusion": {"answers": [61, 2, 1], "right": [58, 1, 0],
                  "confused": [[DEFECT, OK, 3], [OK, DEFECT, 1], [OK, DIRT, 1]]},
}  # fmt: skip


def run_with_record(new_run: NewRun) -> RunTables:
    """One member whose card has this record on search, and none on test."""
    folder = new_run(trials=5, front=1, references=False, classes=("ok", "defect", "dirt"))
    (path,) = folder.rglob("card.json")
    card = json.loads(path.read_text())
    card["files"]["model.onnx"]["accuracy"]["search"] |= RECORD
    path.write_text(json.dumps(card))
    return load_run(folder)


def member_with_record(new_run: NewRun) -> tuple[Member, Confusion]:
    (member,) = run_with_record(new_run).front
    assert member.deployed.search.confusion is not None
    return member, member.deployed.search.confusion


def test_classes_that_have_images_are_listed_the_worst_first(new_run: NewRun) -> None:
    member, confusion = member_with_record(new_run)
    assert worst(confusion) == [DEFECT, OK]
    assert taken_for(member, confusion, DEFECT) == "ok (3)"
    assert balanced(member, confusion) == "balanced accuracy 60.8 %"
    assert line(member, confusion) == (
        f"{member.key}: balanced accuracy 60.8 %; lowest recalls: defect 25.0 % of 4, taken for ok "
        "(3); ok 96.7 % of 60, taken for defect (1)"
    )


def test_page_and_text_say_what_the_most_frequent_class_alone_would_get(new_run: NewRun) -> None:
    run = run_with_record(new_run)
    said = "The most frequent class, ok, has 93.8 % of the images of the search split"
    assert said in markdown(run)
    page = classes(run, {})
    assert page is not None
    assert said in page
    assert page.count("<rect") == 1 + 5, "the board, and every pair that has images"
    assert "defect, called ok: 3 of 4" in page


def test_the_reference_point_is_guessing_on_these_classes(new_run: NewRun) -> None:
    growth = hypervolumes.growth(run_with_record(new_run))
    assert growth is not None
    assert growth.reference.loss == pytest.approx(task_of("classification").guessing([60, 4])[0])


def test_cards_of_earlier_versions_have_no_section(new_run: NewRun) -> None:
    run = load_run(new_run())
    assert classes(run, {}) is None
    assert "## Classes" not in markdown(run)


def test_more_classes_than_can_be_seen_are_not_drawn(new_run: NewRun) -> None:
    member, _ = member_with_record(new_run)
    for number, is_drawn in ((LARGEST_DRAWN, True), (LARGEST_DRAWN + 1, False)):
        one = (1,) * number
        confusion = Confusion(labels=one, answers=one, right=one, confused=())
        assert (matrix(member, confusion) is not None) == is_drawn
