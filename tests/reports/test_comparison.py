"""Runs side by side: what compares, what is refused, and what comes out."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.cli import app as cli
from reports import build_comparison, compare, comparison_json, comparison_table
from reports.comparison import best_score
from search_spaces import UserError
from tests.commands import exit_code as nas

NewRun = Callable[..., Path]


def set_config(folder: Path, old: str, new: str) -> None:
    path = folder / "config.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def edit_cards(folder: Path, change: Callable[[dict], object]) -> None:
    for path in folder.rglob("card.json"):
        card = json.loads(path.read_text())
        change(card)
        path.write_text(json.dumps(card))


@pytest.fixture
def pair(new_run: NewRun) -> list[Path]:
    """Two runs on one problem; the second has fewer members and another controller."""
    folders = [new_run(), new_run(front=4)]
    set_config(folders[1], '"evolution"', '"tpe"')
    return folders


def test_the_table_has_one_column_per_run(pair: list[Path]) -> None:
    header, rows = comparison_table(compare(pair))
    table = {row[0]: row[1:] for row in rows}
    assert header == ["", "run0", "run1"]
    assert all(len(row) == 3 for row in rows)
    assert table["networks on the front"] == ["8", "4"]
    assert table["time"] == ["4 min 49 s", "4 min 49 s"]
    assert table["controller"] == ["evolution", "tpe"]
    assert "space" not in table
    assert len([name for name in table if name.startswith("hypervolume % (log-loss 4.61, ")]) == 1


def test_the_best_accuracy_grows_with_the_latency_allowed(pair: list[Path]) -> None:
    comparison = compare(pair)
    assert len(comparison.latencies_ms) >= 3
    for run in comparison.runs:
        best = [best_score(run, latency) or 0.0 for latency in comparison.latencies_ms]
        assert best == sorted(best)
    fastest = min(m.deployed.latency.median_ms or 9.0 for m in comparison.runs[0].front)
    assert best_score(comparison.runs[0], fastest / 2) is None


def test_a_run_without_its_best_members_covers_less(pair: list[Path]) -> None:
    rows = comparison_json(compare(pair))["runs"]
    assert 0 < rows[1]["hypervolume"] < rows[0]["hypervolume"] < 1
    assert [row["settings"] for row in rows] == [{"controller": "evolution"}, {"controller": "tpe"}]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda card: card.update(data="digits"), "data is 'digit-pairs' in 'run0' and 'digits'"),
        (lambda card: card["input"].update(shape=["batch", 1, 64, 64]), "resolution is '32 px'"),
        (lambda card: card.update(classes=["a", "b"]), "classes is"),
        (
            lambda card: card["files"]["model.onnx"]["accuracy"]["search"].update(balanced=True),
            "task is 'log-loss and accuracy' in 'run0' and 'log-loss of classes that count alike",
        ),
        (
            lambda card: card["files"]["model.onnx"]["accuracy"]["test"].update(total=9999),
            "images of the test split is '4000'",
        ),
        (
            lambda card: card["files"]["model.onnx"]["latency"].update(cpu="another"),
            "processor is",
        ),
        (
            lambda card: card["files"]["model.onnx"]["latency"].update(threads=4),
            "threads of the target is '1' in 'run0' and '4' in 'run1'",
        ),
    ],
)
def test_runs_on_different_problems_are_refused(
    pair: list[Path], change: Callable[[dict], object], what: str
) -> None:
    edit_cards(pair[1], change)
    with pytest.raises(UserError, match="do not compare") as error:
        compare(pair)
    assert what in str(error.value)


def test_other_targets_and_other_seeds_of_the_splits_are_refused(pair: list[Path]) -> None:
    set_config(pair[1], "seed = 0", "seed = 1")
    with pytest.raises(UserError, match="seed of the splits is '0' in 'run0' and '1' in 'run1'"):
        compare(pair)
    set_config(pair[1], "seed = 1", "seed = 0")
    set_config(pair[1], '"onnxruntime"', '"openvino"')
    with pytest.raises(UserError, match="target is 'onnxruntime' in 'run0' and 'openvino'"):
        compare(pair)


def test_a_run_that_is_not_finished_is_refused(pair: list[Path], new_run: NewRun) -> None:
    with pytest.raises(UserError, match="run 'run2' has no front with measured latencies"):
        compare([pair[0], new_run(front=0)])


def test_the_same_run_twice_is_refused(pair: list[Path]) -> None:
    with pytest.raises(UserError, match="Give 2 to 6 different ones"):
        compare([pair[0], pair[0]])


def test_runs_of_one_name_are_called_by_their_paths(pair: list[Path], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    other = pair[1].rename(tmp_path / "elsewhere" / "run0")
    assert compare([pair[0], other]).names == (str(pair[0]), str(other))


def test_a_page_that_cannot_be_written_is_said(pair: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written: No such file or directory"):
        build_comparison(compare(pair), tmp_path / "absent" / "c.html")


def test_the_command_writes_a_page_and_prints_the_table(
    pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "c.html"
    assert nas("report", *map(str, pair), "--out", str(page)) == cli.OK
    printed = capsys.readouterr().out
    assert "networks on the front\t8\t4" in printed
    assert f"comparison: {page}" in printed
    assert "run0 and run1" in page.read_text()


def test_the_command_prints_json_of_one_run_and_of_several(
    pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert nas("report", str(pair[0]), "--json") == cli.OK
    one = json.loads(capsys.readouterr().out)
    assert len(one["rows"]) == 13
    assert Path(one["report"]).is_file()
    page = tmp_path / "c.html"
    assert nas("report", *map(str, pair), "--json", "--out", str(page)) == cli.OK
    several = json.loads(capsys.readouterr().out)
    assert [run["members"] for run in several["runs"]] == [8, 4]
    assert several["page"] == str(page)


def test_mistakes_of_the_user_have_exit_code_2(
    pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_cards(pair[1], lambda card: card.update(data="digits"))
    assert nas("report", *map(str, pair), "--out", str(tmp_path / "c.html")) == cli.WRONG_USE
    assert "do not compare: data is" in capsys.readouterr().err
    assert nas("report", str(pair[0]), "--out", str(tmp_path / "c.html")) == cli.WRONG_USE
    assert "--out" in capsys.readouterr().err
    assert not (tmp_path / "c.html").exists()
