"""A sweep's numbers: what is averaged over seeds, what compares, and what is listed as unfinished."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nas.system.files import write_json
from reports import build_sweep_report, sweep_json, sweep_tables
from reports.sweep import load_sweep
from search_spaces import UserError

NewSweep = Callable[..., Path]
Json = dict[str, Any]
TWO_CLASSES: Json = {"front": 1, "references": False, "classes": ("a", "b")}


def measured(log_loss: float, latency_ms: float, accuracy: float = 0.9) -> Callable[[Json], None]:
    """A change of a card: what its deployed file answers, and how long it takes."""

    def change(card: Json) -> None:
        file = card["files"]["model.onnx"]
        file["accuracy"]["search"] |= {"log_loss": log_loss, "fraction": accuracy}
        file["latency"] |= {"median_ms": latency_ms}

    return change


def run(seed: int = 0, *, change: Any = dict, **settings: Any) -> Json:
    """A finished run with one network of two classes on its front."""
    return {"settings": {"seed": seed, **settings}, "options": TWO_CLASSES, "change": change}


def table(folder: Path, title: str) -> tuple[list[str], list[list[str]]]:
    found = {name: (header, rows) for name, header, rows in sweep_tables(folder)}
    assert all(len(row) == len(header) for header, rows in found.values() for row in rows)
    return found[title]


def first_column(folder: Path) -> list[str]:
    return [row[0] for row in table(folder, "hypervolume per setting")[1]]


def test_the_spread_is_the_sample_standard_deviation_over_seeds(new_sweep: NewSweep) -> None:
    """By hand: the box is log 2 by 2 ms; shares .25, .5 and .6; mean .45, variance .0325."""
    worst = math.log(2)
    folder = new_sweep(
        [
            run(0, space="toy", change=measured(worst / 2, 1.0)),
            run(1, space="toy", change=measured(0.0, 1.0)),
            run(2, space="toy", change=measured(0.2 * worst, 0.5)),
            run(0, space="hybrid", change=measured(worst / 4, 2.0, accuracy=0.95)),
        ],
        varying=("space", "seed"),
    )
    header, rows = table(folder, "hypervolume per setting")
    assert header == [
        *("space", "runs finished", "hypervolume %", "spread over seeds %"),
        *("best accuracy %", "fastest ms"),
    ]
    assert rows == [
        ["toy", "3 of 3", "45.0", "18", "90.0", "0.500"],
        ["hybrid", "1 of 1", "0.0", "-", "95.0", "2.00"],
    ]
    first, second = sweep_json(folder)["settings"]
    assert first["hypervolume_mean"] == pytest.approx(0.45)
    assert first["hypervolume_spread"] == pytest.approx(math.sqrt(0.0325))
    assert second["hypervolume_spread"] is None


def test_only_finished_runs_have_numbers(new_sweep: NewSweep) -> None:
    done = {**run(0), "name": "done"}
    killed = {**run(1), "name": "killed", "status": None, "folder": True}
    failed = {**run(2), "name": "failed", "status": "failed", "error": "no\nspace", "folder": True}
    later = {**run(3), "name": "later", "status": None}
    gone = {**run(4), "name": "gone", "folder": False}
    empty = {**run(5), "name": "empty", "options": {"front": 0}}
    folder = new_sweep([done, killed, failed, later, gone, empty])
    assert load_sweep(folder).counts == {"finished": 1, "failed": 1, "open": 2, "unreadable": 2}
    assert table(folder, "hypervolume per setting")[1][0][0] == "1 of 6"
    names, errors = zip(*table(folder, "runs that failed")[1], strict=True)
    assert names == ("failed", "gone", "empty")
    assert errors[0] == "no space"
    assert "there is no config.toml" in errors[1]
    assert "no front with measured latencies" in errors[2]
    rows = {row["name"]: row for row in sweep_json(folder)["runs"]}
    assert [name for name, row in rows.items() if row["hypervolume"] is not None] == ["done"]
    assert rows["killed"]["members"] == 0


def test_a_sweep_with_nothing_finished_has_no_numbers(new_sweep: NewSweep) -> None:
    folder = new_sweep([{**run(0, space="toy"), "status": None}], varying=("space",))
    assert sweep_tables(folder) == [
        (
            "hypervolume per setting",
            [
                *("space", "runs finished", "hypervolume %", "spread over seeds %"),
                *("best accuracy %", "fastest ms"),
            ],
            [["toy", "0 of 1", "-", "-", "-", "-"]],
        )
    ]
    found = sweep_json(folder)
    assert (found["groups"], found["best"]) == ([], [])
    assert found["counts"]["open"] == 1
    build_sweep_report(folder)
    assert len(pd.read_parquet(folder / "sweep.parquet")) == 0
    assert "0 of 1" in (folder / "report.html").read_text()


def test_runs_on_different_data_have_reference_points_of_their_own(new_sweep: NewSweep) -> None:
    other = run(0, data="digits", change=measured(0.1, 8.0))
    other["options"] = {**TWO_CLASSES, "data": "digits", "classes": ("a", "b", "c")}
    folder = new_sweep(
        [
            run(0, data="digit-pairs", change=measured(0.0, 2.0)),
            other,
            {**run(0, data="fashion-mnist"), "status": None},
        ],
        varying=("data",),
    )
    groups = sweep_json(folder)["groups"]
    assert [group["name"].partition(",")[0] for group in groups] == ["digit-pairs", "digits"]
    assert groups[0]["reference"] == pytest.approx({"log_loss": math.log(2), "latency_ms": 2.0})
    assert groups[1]["reference"] == pytest.approx({"log_loss": math.log(3), "latency_ms": 8.0})
    header, rows = table(folder, "hypervolume per setting")
    assert header[:2] == ["group", "data"]
    assert [row[0] for row in rows] == [groups[0]["name"], groups[1]["name"], "-"]
    assert [row[1] for row in rows] == ["digit-pairs", "digits", "fashion-mnist"]
    assert [row[1] for row in table(folder, "best per budget")[1]] == ["digit-pairs", "digits"]


def test_groups_on_the_same_data_are_told_apart_by_what_differs(new_sweep: NewSweep) -> None:
    def two_threads(card: Json) -> None:
        card["files"]["model.onnx"]["latency"]["threads"] = 2

    folder = new_sweep([run(0), run(1, change=two_threads)])
    names = [group["name"] for group in sweep_json(folder)["groups"]]
    assert names == [
        "digit-pairs, 32 px, onnxruntime, threads of the target 1",
        "digit-pairs, 32 px, onnxruntime, threads of the target 2",
    ]
    assert first_column(folder) == names


def test_unlike_processors_stay_in_a_group_that_says_so(new_sweep: NewSweep) -> None:
    def other_cpu(card: Json) -> None:
        card["files"]["model.onnx"]["latency"]["cpu"] = "Intel Xeon"

    folder = new_sweep([run(0), run(1, change=other_cpu)])
    assert table(folder, "hypervolume per setting")[1][0][0] == "2 of 2"
    notes = [row[1] for row in table(folder, "notes")[1]]
    assert notes[1] == (
        "latencies were measured on unlike processors: "
        "AMD EPYC 9R14 (avx512_vnni), Intel Xeon (avx512_vnni)"
    )
    page = build_sweep_report(folder).read_text()
    assert "Latencies were measured on unlike processors: AMD EPYC 9R14" in page
    assert "Measured on:" not in page


def test_seeds_that_deal_out_the_images_are_said(new_sweep: NewSweep) -> None:
    folder = new_sweep([run(0), run(1)])
    assert len(table(folder, "notes")[1]) == 1
    config = folder / "runs" / "run-1" / "config.toml"
    config.write_text(config.read_text().replace("seed = 0", "seed = 1"))
    assert "which images are held out" in table(folder, "notes")[1][1][1]


def test_the_best_of_a_budget_is_the_most_accurate_then_the_fastest(new_sweep: NewSweep) -> None:
    folder = new_sweep(
        [
            run(0, budget=["1ms"], change=measured(0.1, 0.9, accuracy=0.8)),
            run(1, budget=["1ms"], change=measured(0.1, 0.7, accuracy=0.8)),
            run(2, budget=["1ms"], change=measured(0.1, 0.1, accuracy=0.7)),
            run(0, budget=["2ms", "1MB"], change=measured(0.1, 1.5, accuracy=0.75)),
            run(0),
        ],
        varying=("budget", "seed"),
    )
    header, rows = table(folder, "best per budget")
    assert header[:5] == ["budget", "data", "run", "network", "accuracy % (search)"]
    assert [(row[0], row[2], row[4], row[6]) for row in rows[:2]] == [
        ("1ms", "run-1", "80.0", "0.700"),
        ("2ms, 1MB", "run-3", "75.0", "1.50"),
    ]
    assert rows[2][0] == "4.5GFLOPs, 1.2ms"  # what the run itself was told


def test_settings_with_commas_are_not_mixed_up(new_sweep: NewSweep) -> None:
    folder = new_sweep(
        [
            run(0, precision=["fp32,int8"]),
            run(0, precision=["fp32", "int8"]),
            run(1, precision=["fp32", "int8"]),
        ],
        varying=("precision", "seed"),
    )
    rows = table(folder, "hypervolume per setting")[1]
    assert [row[:2] for row in rows] == [["fp32,int8", "1 of 1"], ["fp32, int8", "2 of 2"]]


def test_nested_settings_are_found_by_their_dotted_names(new_sweep: NewSweep) -> None:
    folder = new_sweep(
        [
            run(0, set={"learning_rate": 0.1}),
            run(0, set={"learning_rate": 0.001}),
            run(0),
        ],
        varying=("set.learning_rate",),
    )
    assert first_column(folder) == ["0.1", "0.001", "-"]


def test_the_frame_can_be_read_back(new_sweep: NewSweep) -> None:
    full = run(1, budget=["2ms", "1MB"], set={"steps": 10})
    full["options"] = {"front": 4}
    folder = new_sweep(
        [
            run(0, budget="1ms", change=measured(0.0, 0.5)),
            full,
            {**run(2, budget="3ms"), "status": "failed"},
        ],
        varying=("budget", "seed", "set.steps"),
    )
    build_sweep_report(folder)
    frame = pd.read_parquet(folder / "sweep.parquet")
    assert list(frame.columns) == [
        *("run", "budget", "seed", "set.steps", "status", "key", "role"),
        *("accuracy_search", "log_loss_search", "accuracy_test"),
        *("latency_ms", "latency_ms_low", "latency_ms_high"),
        *("size_bytes", "macs", "params", "hypervolume"),
    ]
    assert frame["run"].tolist() == ["run-0"] + 4 * ["run-1"]
    assert frame["budget"].tolist() == ["1ms"] + 4 * ["2ms, 1MB"]
    assert frame["seed"].tolist() == [0, 1, 1, 1, 1]
    assert frame["set.steps"].isna().tolist() == [True] + 4 * [False]
    assert set(frame["status"]) == {"finished"}
    assert frame["role"].tolist()[0] == "front, knee"
    assert frame["latency_ms"][0] == 0.5
    assert frame["size_bytes"].dtype.kind == "i"
    volumes = {row["name"]: row["hypervolume"] for row in sweep_json(folder)["runs"]}
    assert frame["hypervolume"].tolist() == [volumes[name] for name in frame["run"]]


def test_numbers_for_machines_are_json(new_sweep: NewSweep) -> None:
    folder = new_sweep([run(0), {**run(1), "status": "failed"}, {**run(2), "status": None}])
    found = sweep_json(folder)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["varying"] == ["seed"]
    assert found["settings"][0]["finished"] == ["run-0"]
    assert found["best"][0]["run"] == "run-0"


def test_networks_without_classes_have_no_hypervolume(new_sweep: NewSweep) -> None:
    one = run(0)
    one["options"] = {**TWO_CLASSES, "classes": ()}
    folder = new_sweep([one])
    assert table(folder, "hypervolume per setting")[1][0][1] == "-"
    assert "is not known" in table(folder, "notes")[1][0][1]
    build_sweep_report(folder)
    assert pd.read_parquet(folder / "sweep.parquet")["hypervolume"].isna().all()


def test_checksums_are_verified(new_sweep: NewSweep) -> None:
    folder = new_sweep([run(0)])
    document = json.loads((folder / "sweep.json").read_text())
    write_json(folder / "sweep.json", document)
    assert load_sweep(folder).runs[0].name == "run-0"
    damaged = (folder / "sweep.json").read_text().replace('"seed": 0', '"seed": 1')
    (folder / "sweep.json").write_text(damaged)
    with pytest.raises(UserError, match=r"sweep.json' cannot be read: .*checksum"):
        sweep_tables(folder)


def test_a_folder_without_a_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no sweep.json"):
        build_sweep_report(tmp_path)


@pytest.mark.parametrize("name", ["", "..", "../elsewhere", "a/b"])
def test_names_that_leave_the_folder_are_refused(new_sweep: NewSweep, name: str) -> None:
    folder = new_sweep([{**run(0), "status": None, "name": name}])
    with pytest.raises(UserError, match="not the name of a folder of its own"):
        sweep_tables(folder)


def test_the_same_name_twice_is_refused(new_sweep: NewSweep) -> None:
    twice = {**run(0), "status": None, "name": "a"}
    with pytest.raises(UserError, match="lists the run 'a'"):
        sweep_tables(new_sweep([twice, twice]))
