"""Intersection over union of classes of pixels, where cards have it."""

import json
from collections.abc import Callable
from pathlib import Path

from reports import load_run
from reports.pixels_page import pixels

NewRun = Callable[..., Path]
PIXELS = {"fraction": 0.912, "mean_iou": 0.55, "iou": [0.9, None, 0.2]}


def test_classes_are_shown_the_worst_first_without_those_that_nobody_has(new_run: NewRun) -> None:
    names = ("sky", "boat", "car")
    folder = new_run(trials=5, front=1, references=False, classes=names)
    assert pixels(load_run(folder), {}) is None
    (path,) = folder.rglob("card.json")
    card = json.loads(path.read_text())
    card["files"]["model.onnx"]["accuracy"]["test"]["pixels"] = PIXELS
    path.write_text(json.dumps(card))
    page = pixels(load_run(folder), {})
    assert page is not None
    assert page.index("91.2") < page.index("55.0") < page.index("car") < page.index("sky")
    assert "boat" not in page
