"""Files of networks are timed together, equal ones once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas.front.timing import timed
from nas.run.config import Config
from nas.run.directory import Run
from nas.targets import Timer, Timing
from nas.targets._timing import summarise
from search_spaces import CandidateError


def test_equal_files_of_several_networks_are_timed_once(tmp_path: Path) -> None:
    called: list[list[str]] = []

    def times_files(files: Sequence[Path], **options: Any) -> list[Timing | CandidateError]:
        called.append([file.parent.name for file in files])
        rows = [{"median_ms": 1.0, "iqr_ms": 0.0, "runs": 1}] * 2
        ok = summarise(rows, threads=1, batch=1, runtime="imagined", version="1")
        return [
            CandidateError(f"file '{file}' is bad") if file.read_text() == "bad" else ok
            for file in files
        ]

    run = Run.open(tmp_path / "run", Config())
    contents = {"a": "good", "b": "bad", "c": "good", "d": "bad"}
    folders = [run.folder(f"finalists/{key}") for key in contents]
    for folder, content in zip(folders, contents.values(), strict=True):
        (folder / "model.onnx").write_text(content)
    found = timed(run, folders, "", {"imagined": Timer(times_files)}, lambda text: None)
    assert called == [["a", "b"]]
    assert found["a/model.onnx"] == found["c/model.onnx"]
    assert str(found["b/model.onnx"]) == str(found["d/model.onnx"])
    assert str(run.path) not in str(found["d/model.onnx"])
    assert timed(run, folders, "", {"imagined": Timer(times_files)}, lambda text: None).keys() == (
        found.keys()
    )
    assert len(called) == 1
