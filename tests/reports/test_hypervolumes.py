"""Hypervolume as a share of a stated box."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reports import build_comparison, compare, hypervolumes, load_run
from reports.hypervolumes import Reference
from reports.page import render

NewRun = Callable[..., Path]


def test_the_share_grows_with_every_trial_and_stays_within_the_box(new_run: NewRun) -> None:
    growth = hypervolumes.growth(load_run(new_run()))
    assert growth is not None
    for points in (growth.quality_latency, growth.with_size):
        shares = [share for _, share in points]
        assert len(points) <= hypervolumes.MAX_POINTS
        assert points[-1][0] == 60
        assert shares == sorted(shares)
        assert 0 < shares[-1] < 1


def test_the_reference_point_is_guessing_and_the_latency_limit(new_run: NewRun) -> None:
    growth = hypervolumes.growth(load_run(new_run()))
    assert growth is not None
    assert growth.reference.loss == pytest.approx(math.log(100))
    assert growth.reference.latency_ms == 1.2
    assert growth.reference.words.startswith("log-loss 4.61, 1.20 ms, ")


def test_one_trial_covers_the_rectangle_to_its_corner() -> None:
    assert hypervolumes.share(np.array([[1.0, 2.0]]), (4.0, 4.0)) == pytest.approx(3 * 2 / 16)


def test_without_sizes_only_quality_and_latency_are_shown(new_run: NewRun) -> None:
    folder = new_run()
    rows = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    for row in rows:
        del row["predicted"]["size_bytes"]
    (folder / "trials.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    growth = hypervolumes.growth(load_run(folder))
    assert growth is not None
    assert (growth.reference.size_bytes, growth.with_size) == (None, ())


def test_a_front_is_measured_against_the_point_that_is_given(new_run: NewRun) -> None:
    front = load_run(new_run()).front
    near = hypervolumes.of_front(front, Reference(loss=2.0, latency_ms=1.0))
    far = hypervolumes.of_front(front, Reference(loss=4.0, latency_ms=2.0))
    assert near is not None
    assert far is not None
    assert 0 < near < far < 1
    assert hypervolumes.of_front((), Reference(loss=2.0, latency_ms=1.0)) is None


def test_pages_say_what_a_hypervolume_means(new_run: NewRun, tmp_path: Path) -> None:
    folders = [new_run(trials=5, front=1), new_run(trials=5, front=1)]
    page = build_comparison(compare(folders), tmp_path / "comparison.html").read_text()
    for said in (page, render(load_run(folders[0]))):
        assert hypervolumes.MEANING in said
