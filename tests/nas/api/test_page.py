"""docs/python.md: every block of code runs, one after the other, in one process."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import nas
from nas.prepare.reopen import reopened
from nas.system.reporter import Silent

PAGE = Path(__file__).parents[3] / "docs/python.md"


@pytest.mark.long
@pytest.mark.usefixtures("two_timing_processes")
def test_the_code_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    drawn = torch.get_rng_state(), np.random.get_state()[1].copy()
    threads, names = torch.get_num_threads(), {}
    blocks = re.findall(
        r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert blocks
    for number, block in enumerate(blocks, start=1):
        exec(compile(block, f"{PAGE.name}, block {number}", "exec"), names)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), drawn[0])
    assert np.array_equal(np.random.get_state()[1], drawn[1])
    moved = (tmp_path / "runs/first").rename(tmp_path / "moved")
    assert nas.open(moved).best().key == names["best"].key
    assert reopened(moved, Silent()).data.num_classes == 10
    assert {path.name for path in tmp_path.iterdir()} == {"moved", "runs"}
