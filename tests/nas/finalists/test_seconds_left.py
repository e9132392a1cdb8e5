"""Time that a run has for training its finalists."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nas.finalists.train import seconds_left
from nas.run.config import Config


@pytest.mark.parametrize(
    ("settings", "remaining_s", "found_s"),
    [
        ({}, 100.0, 20.0),
        ({}, 47.0, 12.0),
        ({}, 0.0, 5.0),
        ({"finetune_s": 10}, 100.0, 10.0),
        ({"finetune_s": 10}, 0.0, 10.0),
    ],
)
def test_what_is_left_is_used_unless_the_user_set_the_time(
    tmp_path: Path, settings: dict[str, int], remaining_s: float, found_s: float
) -> None:
    run = SimpleNamespace(path=tmp_path, remaining_s=lambda config: remaining_s)
    trained: Any = SimpleNamespace(run=run, config=Config(time="100s", set=settings))
    assert seconds_left(trained, 10.0, 30.0, most_s=20.0) == found_s
