"""What plain lines of progress say."""

import io

import pytest
from rich.console import Console

from nas.system import progress
from nas.system.progress import Lines


def test_a_phase_that_counts_other_things_has_their_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training finalists counts percents, then networks: the rate was negative."""
    clock = iter(range(100))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    written = io.StringIO()
    lines = Lines(Console(file=written, width=80))
    lines.phase("finetune", "training finalists")
    for done, of in ((0, 100), (50, 100), (1, 2), (2, 2)):
        lines.advance(done, of)
    assert "50/100, 25.0/s, ETA 2 s" in written.getvalue()
    assert "2/2, 1.0/s, ETA 0 s" in written.getvalue()
    assert "-" not in written.getvalue()
