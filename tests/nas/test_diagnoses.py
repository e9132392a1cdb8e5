"""`nas report --filters --robustness`: measured on a finished run, kept, and shown."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from compress.filters import FilterStatistics
from nas.allocations._sensitivity import Change
from nas.cli.report import _print_measured
from nas.filter_diagnosis import agreement
from nas.front.card import read_card
from nas.run.directory import read_front
from nas.system.files import read_json
from reports import load_run
from reports.kernels_page import is_degenerate, sentences
from tests.commands import exit_code


def report(*arguments: str) -> int:
    return exit_code("report", *arguments)


def test_networks_of_a_run_are_attacked_and_looked_into_and_the_report_says_so(
    own_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--filters", "--robustness", "--epsilons", "1,16", "--json")
    assert report(str(own_run), *asked) == 0
    json.loads(capsys.readouterr().out)
    front = read_front(own_run)
    keys = {*front["members"], *(row["key"] for row in front["references"])}
    moved = read_json(own_run / "robustness.json")
    assert moved["distances"] == [0, 1, 16]
    assert {row["key"] for row in moved["rows"]} == keys
    for row in moved["rows"]:
        (path,) = own_run.glob(f"[fr]*/{row['key']}/card.json")
        said = read_card(path)["files"][row["file"]]["accuracy"]["search"]
        assert said["total"] == moved["images"]
        assert row["shown"][0] == pytest.approx(said["fraction"], abs=0.02)
        assert row["shown"][0] >= row["shown"][1] >= row["shown"][2]
        assert row["without_gradient"] == 0.0
    looked = read_json(own_run / "filters.json")
    assert {row["key"] for row in looked["networks"]} == keys
    for row in looked["networks"]:
        assert row["layers"]
        for layer in row["layers"]:
            assert 0 <= layer["near_zero"] <= 1
            assert 0 <= layer["entropy"] <= 1 + 1e-9
    for file in ("report.html", "report.md"):
        text = (own_run / "report" / file).read_text()
        assert "Moved images (not a security claim)" in text
        assert "of kernels near zero in the mean of" in text
    run = load_run(own_run)
    assert run.filters is not None
    assert len(sentences(run)) >= len(run.front)
    _print_measured(own_run, True, True)
    said = capsys.readouterr().out
    assert all(line in said for line in sentences(run))
    assert "moved against each network (not a security claim)" in said
    assert "epsilon 16/255" in said


def test_what_was_not_asked_for_is_not_in_the_report(own_run: Path) -> None:
    assert report(str(own_run)) == 0
    text = (own_run / "report/report.html").read_text()
    assert "not a security claim" not in text
    assert "<h2>Filters</h2>" not in text


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--robustness", "--epsilons", "0"], "epsilons '0' are not all above 0 and at most 255"),
        (["--robustness", "--epsilons", "1,300"], "epsilons '1,300' are not all above 0"),
        (["--robustness", "--epsilons", "one"], "epsilons 'one' is not a list of numbers"),
        (["--epsilons", "1"], "--epsilons '1' says how far --robustness moves images"),
    ],
)
def test_distances_that_are_none_are_refused(
    flags: list[str], message: str, finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(str(finished_run), *flags) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_several_runs_are_compared_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert report("a", "b", "--filters") == 2
    assert "are of one run, and several were given" in " ".join(capsys.readouterr().err.split())


def layer(near_zero: float, entropy: float) -> FilterStatistics:
    return FilterStatistics(
        layer="x",
        kernel_size=(3, 3),
        filters=9,
        near_zero=near_zero,
        entropy=entropy,
        orthogonality=0.9,
    )


def change(part: str, sparsity: float, distortion: float) -> Change:
    return Change({f"{part}.sparsity": sparsity}, distortion, 1.0, 0.1)


def test_degenerate_parts_that_lose_less_have_a_negative_tau() -> None:
    statistics = {
        "stage1.block1": [layer(0.9, 0.1), layer(0.7, 0.3)],
        "stage2.block1": [layer(0.5, 0.5)],
        "stage3.block2": [layer(0.0, 0.9)],
        "stem": [layer(1.0, 0.0)],
    }
    changes = [
        change("stage1", 0.25, 90.0),  # the larger sparsity counts
        change("stage1", 0.5, 1.0),
        change("stage2", 0.5, 2.0),
        change("stage3", 0.5, 3.0),
        Change({"stage1.sparsity": 0.5, "stage2.sparsity": 0.5}, 99.0, 1.0, 0.1),
        Change({"stage1.precision": "int8"}, 50.0, 1.0, 0.1),
    ]
    assert agreement(changes, statistics) == {
        "near_zero": pytest.approx(-1.0),
        "repetition": pytest.approx(-1.0),
        "parts": 3,
    }
    assert agreement(changes[:3], statistics) is None


def test_a_piece_of_a_block_has_the_kernels_of_the_block() -> None:
    statistics = {f"layer1.{i}": [layer(i / 4, 0.5 + i / 8)] for i in range(4)}
    changes = [change(f"layer1.{i}.conv1", 0.75, 4.0 - i) for i in range(4)]
    found = agreement(changes, statistics)
    assert found == {
        "near_zero": pytest.approx(-1.0),
        "repetition": pytest.approx(1.0),
        "parts": 4,
    }


def test_layers_of_zeros_and_of_copies_are_named(own_run: Path) -> None:
    assert report(str(own_run), "--filters") == 0
    found = load_run(own_run).filters
    assert found is not None
    (one, *_) = found.networks[0][1]
    assert is_degenerate(replace(one, near_zero=1.0))
    assert is_degenerate(replace(one, entropy=0.0))
    assert not is_degenerate(replace(one, near_zero=0.1, entropy=0.9))
