"""Runtimes report nothing from any process of ours."""

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.front import verify
from nas.targets import _timing

ROOT = Path(__file__).parents[3]
NAME = "ORT_DISABLE_TELEMETRY"
LISTS_IT = f"import json, os; print(json.dumps({{'told': os.environ['{NAME}']}}))"


def test_it_is_off_as_soon_as_anything_of_ours_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME)
    importlib.reload(nas)
    assert os.environ[NAME] == "1"


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "0")
    importlib.reload(nas)
    assert os.environ[NAME] == "0"


def test_the_processes_that_time_and_verify_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(LISTS_IT)
    monkeypatch.setattr(verify, "_WORKER", worker)
    with verify._asking() as asked:
        assert asked.line() == {"told": "1"}
    monkeypatch.setattr(_timing, "_WORKER_COMMAND", (*_timing._WORKER_COMMAND[:1], str(worker)))
    job: dict[str, Any] = {"files": [], "budget_s": 1}
    assert _timing._run_worker(job) == ({"told": "1"}, 0)


@pytest.mark.parametrize("name", ["README.md", "docs/classify.py", "examples/verify_card.py"])
def test_what_users_copy_sets_it_before_onnxruntime_is_imported(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    is_set, imported = (
        text.index(f'os.environ["{NAME}"] = "1"'),
        re.search(r"^import .*onnxruntime", text, re.MULTILINE),
    )
    assert imported
    assert is_set < imported.start()


TIMES = "from nas.targets import choose; choose('openvino').target.describe()"
VERIFIES = "from nas.front import _verify_worker; _verify_worker.openvino(1, 'f32', False)"


@pytest.mark.skipif(not importlib.util.find_spec("openvino"), reason="needs openvino")
@pytest.mark.parametrize("program", [TIMES, VERIFIES])
def test_openvino_sends_nothing_and_writes_no_file(program: str, tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "CI": ""}
    said = (
        "import sys; assert 'openvino' in sys.modules; assert not sys.modules['openvino_telemetry']"
    )
    subprocess.run([sys.executable, "-c", f"{program}; {said}"], check=True, env=environment)
    assert list(tmp_path.iterdir()) == []
