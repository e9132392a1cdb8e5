"""Processes that work for this one look for modules in their packages alone."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
from nas.targets import measure
from nas.testing.controllers import check_a_fresh_process_proposes_the_same
from supernets._worker import Worker

print("begins")
worker = Worker(len)
worker.send("four")
print(worker.receive())
worker.close()
check_a_fresh_process_proposes_the_same("random")
print(measure("onnxruntime", [Path("absent.onnx")], processes=1)[0])
"""


@pytest.mark.slow
def test_files_called_like_modules_and_an_unguarded_program_change_nothing(tmp_path: Path) -> None:
    traps, program = tmp_path / "traps", tmp_path / "program/search.py"
    for folder in (traps, program.parent):
        folder.mkdir()
    for name in ("random", "json", "nas", "search_spaces", "numpy"):
        (traps / f"{name}.py").write_text(f"raise SystemExit('{name}.py was imported')")
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=traps,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    begins, answer, timing = done.stdout.splitlines()
    assert (begins, answer) == ("begins", "4")
    assert "absent.onnx" in timing
