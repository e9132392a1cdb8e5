"""Effort, ties and what is said of the machine, on simulated processes; one command on real ones."""

import csv
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.cli import codes
from nas.profiling import compare as comparing
from nas.profiling.compare import LEAST_PROCESSES, NARROW, Comparison, compare
from nas.profiling.kernels import Kernels, class_of
from nas.system.files import read_json
from nas.targets import NodeTime, choose
from nas.targets._conditions import said_of
from search_spaces import CandidateError, UserError
from tests.commands import exit_code as nas
from tests.nas.latency.test_peaks import PEAKS
from tests.nas.profiling.test_model_file import model
from tests.nas.targets.test_conditions import block

Simulate = Callable[..., Comparison]


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Simulate:
    """Files of known latency on a machine whose speed and noise are given."""

    def run(
        true_ms: list[float],
        *,
        noise: float,
        machine: float = 0.0,
        seconds: float = 1e9,
        seed: int = 0,
        others: Sequence[float] = (0.0,),
    ) -> Comparison:
        rng = np.random.default_rng(seed)
        clock = iter(np.arange(0.0, 1e6, 0.5))

        def time_once(job: Any, files: Any, rows: dict[int, list[Any]], errors: Any) -> None:
            speed = np.exp(rng.normal(0, machine))
            for number, ms in enumerate(true_ms):
                median_ms = ms * speed * np.exp(rng.normal(0, noise))
                row = {"median_ms": median_ms, "iqr_ms": 0.0, "runs": 1, "sample_ms": [median_ms]}
                rows[number].append(row)

        monkeypatch.setattr(comparing, "time_once", time_once)
        busy = itertools.chain(others, itertools.repeat(others[-1]))
        monkeypatch.setattr(
            comparing, "watched", lambda work: (work(), block(others=next(busy)))[1]
        )
        files = [Path(str(number)) for number in range(len(true_ms))]
        return compare(
            files,
            chosen=choose("onnxruntime"),
            seconds=seconds,
            clock=lambda: float(next(clock)),
        )

    return run


def test_effort_grows_with_the_noise_until_the_intervals_are_narrow(simulated: Simulate) -> None:
    quiet, noisy = (simulated([1.0, 2.0], noise=noise) for noise in (0.002, 0.02))
    assert len(quiet.blocks) == LEAST_PROCESSES
    assert len(noisy.blocks) > 2 * LEAST_PROCESSES
    assert quiet.width <= NARROW
    assert noisy.width <= NARROW


def test_the_time_ends_it_but_five_processes_are_there_in_any_case(simulated: Simulate) -> None:
    late = simulated([1.0], noise=0.1, seconds=0.1)
    assert len(late.blocks) == LEAST_PROCESSES
    assert late.width > NARROW
    # The clock advances by half a second per process.
    assert len(simulated([1.0], noise=0.5, seconds=20.0).blocks) == 40


def test_a_file_against_itself_is_a_tie_and_five_percent_are_found(simulated: Simulate) -> None:
    # Twelve processes with noise of 1 % each, on a machine that varies by 10 %: the interval of a
    # ratio reaches 1 % to either side, so both fail in less than one of a hundred.
    ties = found = 0
    for seed in range(40):
        same, slower = simulated(
            [1.0, 1.0, 1.05], noise=0.01, machine=0.1, seconds=6.0, seed=seed
        ).pairs[:2]
        ties += same.is_tie
        found += not slower.is_tie and slower.ratio > 1.0
    assert ties >= 38
    assert found >= 38


def test_samples_are_kept_by_file_and_process(simulated: Simulate) -> None:
    found = simulated([1.0, 2.0], noise=0.001)
    assert len(found.samples_ms) == 2
    assert len(found.samples_ms[0]) == len(found.blocks)
    medians_ms = tuple(samples_ms[0] for samples_ms in found.samples_ms[1])
    assert found.timings[1].process_medians_ms == medians_ms


def test_what_was_measured_beside_others_is_measured_again_while_there_is_time(
    simulated: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    others = (0.0, 1.3, 0.9, 0.0)
    found = simulated([1.0, 2.0], noise=0.001, others=others)
    assert found.kept == (0, 3, 4, 5, 6)
    assert len(found.samples_ms[0]) == 7
    medians_ms = tuple(found.samples_ms[0][process][0] for process in found.kept)
    assert found.timings[0].process_medians_ms == medians_ms
    assert (found.timings[0].discarded, found.timings[0].others) == (2, 0.0)
    (sentence,) = said_of(found.kept_blocks, found.left_out)
    assert sentence.startswith("2 of 7 processes are left out and were measured again: meanwhile")
    # The clock advances by half a second per process, and there is no quiet one.
    always = simulated([1.0], noise=0.001, seconds=5.0, others=(1.2,))
    assert len(always.blocks) == 10
    assert always.left_out == []
    assert always.timings[0].others == pytest.approx(1.2)


def test_a_file_that_the_runtime_refuses_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def time_once(job: Any, files: Any, rows: Any, errors: dict[int, CandidateError]) -> None:
        errors[1] = CandidateError("file 'b' cannot be loaded:\n  " + "x" * 900)

    monkeypatch.setattr(comparing, "time_once", time_once)
    with pytest.raises(UserError, match=r"^file 'b' cannot be loaded: x+\.\.\.$"):
        compare([Path("a"), Path("b")], chosen=choose("onnxruntime"), seconds=1.0)


def test_time_goes_into_classes_of_operators() -> None:
    def node(op: str, ms: float, *, is_integer: bool = False) -> NodeTime:
        return NodeTime(name=op.lower(), op=op, ms=ms, is_integer=is_integer)

    nodes = (node("Conv", 2.0), node("QLinearConv", 4.0, is_integer=True), node("Einstein", 2.0))
    first, other = Kernels(integer=1, nodes=nodes).classes
    assert (first.name, first.nodes, first.integer_nodes, first.ms) == ("convolution", 2, 1, 6.0)
    assert first.share == 0.75
    assert (other.name, other.share) == ("other", 0.25)
    assert class_of("QLinearMatMul") == "matrix product"


# The command


@pytest.fixture(autouse=True)
def known_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine does at most is measured in its own tests."""
    monkeypatch.setattr("nas.profiling.files.peaks_of", lambda *_: PEAKS)


def test_files_are_profiled_and_samples_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "LEAST_PROCESSES", 2)
    free = [("x", 1, ("n", 3, "h", "w"))]
    small, large = model(tmp_path / "small.onnx"), model(tmp_path / "large.onnx", free)
    out = tmp_path / "out"
    files = [str(small), str(large), str(small)]
    assert (
        nas("profile", *files, "--time", "1s", "--resolution", "8", "--out", str(out)) == codes.OK
    )
    printed = capsys.readouterr().out
    found = read_json(out / "profile.json")
    assert [file["macs"] for file in found["files"]] == [7776] * 3
    assert len(found["pairs"]) == 3
    assert len(found["processes"]) >= 2
    for file in found["files"]:
        low, high = file["latency"]["interval_ms"]
        assert 0 < low <= file["latency"]["median_ms"] <= high
        assert file["integer_kernels"] == 0
        assert "convolution" in {each["name"] for each in file["classes"]}
        assert sum(each["share"] for each in file["classes"]) == pytest.approx(1.0)
        assert file["slowest"][0]["ms"] > 0
        line = file["waterline"]
        assert 0 < line["ideal_ms"] < line["fused_ms"] <= line["predicted_ms"]
        assert file["efficiency"] == line["ideal_ms"] / file["latency"]["median_ms"]
        assert line["kernels"][0]["macs"] == 7776
    rows = list(csv.DictReader((out / "samples.csv").read_text().splitlines()))
    assert {row["number"] for row in rows} == {"1", "2", "3"}
    assert {row["process"] for row in rows} == set(map(str, range(len(found["processes"]))))
    assert "fresh processes" in printed
    assert "2 against 1" in printed
    assert "convolution" in printed
    assert "memory-bound" in printed
    assert "GMACs/s" in printed


def test_a_profile_of_files_takes_the_place_of_another_one_but_of_no_space(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "LEAST_PROCESSES", 1)
    path, out = str(model(tmp_path / "m.onnx")), tmp_path / "out"
    for said in ("numbers and samples: ", "numbers and samples, in place of earlier ones: "):
        assert nas("profile", path, "--time", "0.1s", "--out", str(out)) == codes.OK
        assert said in capsys.readouterr().out
    (out / "asked.json").write_text("{}")
    before = (out / "profile.json").read_bytes()
    assert nas("profile", path, "--out", str(out)) == codes.WRONG_USE
    assert "is that of a search space" in capsys.readouterr().err
    assert (out / "profile.json").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "neither is given"),
        (["M", "--space", "toy"], "both are given"),
        (["M", "--resolution", "8*8"], "is not a size in pixels"),
        (["M", "--resolution", "0"], "is not a size in pixels"),
        (["M", "--time", "soon"], "is not a duration"),
        (["M", "--out", "M"], "is a file. Name a folder."),
        (["M", "--classes", "3"], "profile: --classes says what a search space has"),
        (["M", "--budget", "2MB", "--classes", "3"], "profile: --budget, --classes say what"),
        (["M", "--target", "onnxruntim"], "Did you mean 'onnxruntime'?"),
        (["M", "--target", "onnxruntime", "--target", "openvino"], "is given 2 times"),
        (["M", "--target", "onnxruntime:batch=2"], "cannot be loaded by onnxruntime"),
        (["--space", "toy", "--target", "onnxruntime:batch=0"], "a whole number from 1 to"),
        (["--space", "tooy"], "Did you mean 'toy'?"),
        (["--space", "toy", "--budget", "2ms"], "limits latency"),
        (["--space", "toy", "--resolution", "8x24"], "outside 16-256 px"),
    ],
)
def test_a_mistake_is_one_message_and_code_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(model(tmp_path / "m.onnx", op="Unheard"))
    given = [path if word == "M" else word for word in arguments]
    assert nas("profile", *given) == codes.WRONG_USE
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert not list(tmp_path.glob("*/"))


def test_json_is_all_that_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "LEAST_PROCESSES", 1)
    path = str(model(tmp_path / "m.onnx"))
    assert nas("profile", path, "--time", "0.1s", "--json") == codes.OK
    found = json.loads(capsys.readouterr().out)
    assert found["files"][0]["file"] == path
    assert found["pairs"] == []
