"""report.md of the made-up run, kept as a file: what a reader sees changes only on purpose."""

from collections.abc import Callable
from pathlib import Path

import pytest

from reports import build_report

GOLDEN = Path(__file__).parents[1] / "golden" / "report.md"


def test_report_md_of_the_made_up_run_is_the_golden_one(
    new_run: Callable[..., Path], request: pytest.FixtureRequest
) -> None:
    written = build_report(new_run()).with_name("report.md").read_text(encoding="utf-8")
    if request.config.getoption("--golden-update", default=False):
        GOLDEN.write_text(written, encoding="utf-8")
    assert written == GOLDEN.read_text(encoding="utf-8")
