"""What the machine does at most: measured by the target's own kernels, once, and kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from nas.executors import make_timer
from nas.latency import peaks as measuring
from nas.latency._peak_files import ADDITIONS, INTEGER_PRODUCTS, write_integer_products
from nas.latency.peaks import Peaks, kept_peaks, measure_peaks, peaks_of
from nas.run.config import Config
from nas.targets import Timer, choose
from nas.targets.onnxruntime import OnnxRuntime
from search_spaces import CandidateError, UserError

PEAKS = Peaks(
    macs_per_s={"fp32": 5e10, "int8": 2e11},
    bandwidth=((1e4, 4e10), (1e6, 4e10), (1e8, 1e10)),
    call_ms=0.01,
    place={},
    measured_at="",
)


def test_peaks_are_measured_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "PROCESSES", 1)
    chosen = choose("onnxruntime:batch=4")
    assert chosen.of_one_image() == choose("onnxruntime")
    assert kept_peaks(chosen, tmp_path) is None
    found = peaks_of(chosen, make_timer(Config(), chosen.of_one_image().text), tmp_path)
    assert set(found.macs_per_s) == {"fp32", "int8"}
    assert all(1e8 < speed < 1e15 for speed in found.macs_per_s.values())
    assert [size for size, _ in found.bandwidth] == sorted(3 * size for size in ADDITIONS)
    assert all(1e7 < speed < 1e14 for _, speed in found.bandwidth)
    assert 0.0 < found.call_ms < 1.0
    assert "GMACs/s" in found.said()

    def fails(*_: Any, **__: Any) -> Any:
        raise AssertionError

    assert peaks_of(choose("onnxruntime"), Timer(fails), tmp_path) == found
    assert kept_peaks(choose("onnxruntime:threads=2"), tmp_path) is None
    monkeypatch.setattr(OnnxRuntime, "machine", lambda _: {"cpu": "of another device"})
    assert kept_peaks(choose("onnxruntime"), tmp_path) is None


def test_integer_peaks_are_those_of_integer_kernels(tmp_path: Path) -> None:
    write_integer_products(tmp_path / "m.onnx")
    assert OnnxRuntime().integer_kernels(tmp_path / "m.onnx") == INTEGER_PRODUCTS


def test_bandwidth_is_that_of_kernels_which_move_as_much() -> None:
    assert PEAKS.bytes_per_s(1e3) == pytest.approx(4e10)
    assert PEAKS.bytes_per_s(1e5) == pytest.approx(4e10)
    assert PEAKS.bytes_per_s(1e7) == pytest.approx(2e10)
    assert PEAKS.bytes_per_s(1e9) == pytest.approx(1e10)
    assert Peaks.from_json(PEAKS.to_json()) == PEAKS


def test_what_a_target_cannot_run_is_one_message() -> None:
    with pytest.raises(UserError, match="is measured with ONNX files"):
        measure_peaks(choose("torch-eager"), Timer(lambda *_, **__: []))

    def refuses(files: Sequence[Path], **_: Any) -> Any:
        return [CandidateError("no kernel")] * len(files)

    with pytest.raises(UserError, match="its peaks are measured: no kernel"):
        measure_peaks(choose("onnxruntime"), Timer(refuses))
