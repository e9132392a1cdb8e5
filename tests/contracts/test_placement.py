"""All that works with networks runs on an accelerator, as far as that can be known without one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nas.testing.fake_device import READ_BY_THE_HOST
from nas.testing.placement import CHECKS, everything
from supernets._search_path import search_path
from tests.placement_bugs import BUGS

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_every_plug_in_runs_on_a_device_and_every_seeded_bug_is_found() -> None:
    """In one process, because an invented device is for the life of one, and costs seconds."""
    assert len(BUGS) >= 10
    assert {kind for kind, _ in everything()} == {*CHECKS, "flow"}
    done = subprocess.run(
        [sys.executable, ROOT / "tests/placement_bugs.py"],
        env={**os.environ, **search_path()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    assert json.loads(done.stdout) == {"failing": {}, "missed": []}


def test_places_that_wait_for_a_device_are_there_and_have_a_reason() -> None:
    for place, reason in READ_BY_THE_HOST.items():
        file, _, function = place.partition(":")
        assert f"def {function.rpartition('.')[2]}(" in (ROOT / file).read_text()
        assert reason
