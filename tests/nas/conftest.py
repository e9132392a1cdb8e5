"""A finished run that tests may copy."""

import shutil
from pathlib import Path

import pytest

from nas.config import Config
from nas.reporter import Silent
from nas.search import search
from tests.small_run import SmallRun

TOY = Config(
    space="toy",
    data="digits",
    resolution=16,
    budget=("90%MACs",),
    time="10s",
    trials=5,
    threads=1,
    set={
        "steps": 30,
        "finetune_s": 2.0,
        "finalists": 2,
        "random_references": 1,
        "images_per_score": 150,
    },
)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy search from end to end; read only."""
    path = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        time_in_two_processes(patch)
        search(TOY, path, Silent())
    return path


@pytest.fixture
def two_timing_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are timed in two fresh processes instead of five to ten, to save the tests' time."""
    time_in_two_processes(monkeypatch)


def time_in_two_processes(patch: pytest.MonkeyPatch) -> None:
    """Sets the constants of the timing."""
    patch.setattr("nas.finalists.TIMING_PROCESSES", 2)
    patch.setattr("nas.finalists.SPARE_PROCESSES", 0)


@pytest.fixture
def own_run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.fixture(scope="session")
def small_run(finished_run: Path) -> SmallRun:
    """The finished run, to be copied, damaged and continued."""
    return SmallRun(finished_run, TOY)
