"""What every test may ask for: a space, a supernet, digits, a finished run."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from hypothesis import settings

from nas.data import DataSet, load_data
from nas.run.config import Config
from nas.search_flow import search
from nas.system.reporter import Silent
from nas.testing._spaces import random_supernet as random_supernet_of
from search_spaces import SearchSpace, _plugins, declaration, format_of, is_mixer, task_of
from search_spaces.operators._base import OPERATORS
from supernets.augmentations import chosen_augmentations
from supernets.images import Images
from supernets.network import elastic_class
from supernets.supernet import Supernet
from supernets.tasks._base import losses_of
from tests.small_run import SmallRun
from tests.strategies import mini_space

THREADS = 1
TOY = Config(
    space="toy",
    data="digits",
    resolution=16,
    budget=("90%MACs",),
    time="10s",
    trials=5,
    threads=1,
    executor="inline",
    set={
        "max_macs": 0,
        "steps": 30,
        "precision": "fp32",
        "finetune_s": 1.0,
        "least_steps": 1,
        "finalists": 2,
        "random_references": 1,
        "images_per_score": 150,
    },
)


settings.register_profile("explore", deadline=None, max_examples=20)
settings.register_profile("ci", parent=settings.get_profile("explore"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "explore")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest --golden-update` writes golden files anew."""
    parser.addoption("--golden-update", action="store_true", help="rewrite tests/golden")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow ones first, so that no process is left alone with one in the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True, scope="session")
def fixed_threads() -> Iterator[None]:
    """Sums of floats depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def no_threads_of_others() -> Iterator[None]:
    """A search in this process leaves torch with the threads that it was asked for."""
    yield
    torch.set_num_threads(THREADS)


@pytest.fixture(autouse=True)
def seeded_torch() -> None:
    """What torch draws does not depend on the tests before, whose order is drawn."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def mini() -> SearchSpace:
    """Eight operators at 16 px, with a policy."""
    return mini_space().with_policy(("fp32", "int8"), (0, 0.25, 0.5))


@pytest.fixture(scope="session")
def mini_of_all() -> SearchSpace:
    """All operators at 16 px, with a policy: for what is asked of each."""
    return mini_space(operators=tuple(OPERATORS.names())).with_policy(
        ("fp32", "int8"), (0, 0.25, 0.5)
    )


@pytest.fixture(scope="session")
def digits() -> DataSet:
    """Handwritten digits at 16 px."""
    return load_data("digits", resolution=16)


@pytest.fixture(scope="session")
def digit_images(digits: DataSet) -> Images:
    """The digits to train on."""
    return Images(
        images_NCHW=torch.from_numpy(digits.train.images_NCHW),
        labels_N=torch.from_numpy(digits.train.labels_N),
        mean=digits.mean,
        std=digits.std,
        can_flip=digits.can_flip,
        crop_padding=1,
    )


@pytest.fixture(scope="session")
def random_supernet(mini: SearchSpace) -> Supernet:
    """Every number random, so that nothing is zero or equal by luck. Do not change it."""
    return random_supernet_of(mini)


@pytest.fixture(scope="session")
def random_supernet_of_all(mini_of_all: SearchSpace) -> Supernet:
    """Such a one of all operators. Do not change it."""
    return random_supernet_of(mini_of_all)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy search from end to end; read only.

    Searched once for all processes that run tests, each of which has a copy.
    """
    own = tmp_path_factory.getbasetemp()
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    made = folder / "finished" / "run"
    with FileLock(folder / "finished.lock"), pytest.MonkeyPatch.context() as patch:
        time_in_two_processes(patch)
        if not (made / "front.json").exists():
            search(TOY, made, Silent())
    return Path(shutil.copytree(made, tmp_path_factory.mktemp("finished") / "run"))


@pytest.fixture
def plugins() -> Iterator[Path]:
    """The folder of plug-ins that are examples; what a test has loaded is unloaded after it."""
    yield Path(__file__).parents[1] / "examples/plugins"
    for name in _plugins._loaded:
        _plugins.forget(_plugins._module(name))
        sys.modules.pop(_plugins._module(name))
    _plugins._loaded.clear()
    caches = (declaration, is_mixer, elastic_class, format_of, task_of, losses_of)
    for cached in (*caches, chosen_augmentations):
        cached.cache_clear()


@pytest.fixture
def two_timing_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are timed in two fresh processes instead of three to ten, to save the tests' time."""
    time_in_two_processes(monkeypatch)


def time_in_two_processes(patch: pytest.MonkeyPatch) -> None:
    """Sets the constants of the timing."""
    patch.setattr("nas.front.timing.TIMING_PROCESSES", 2)
    patch.setattr("nas.front.timing.SPARE_PROCESSES", 0)
    patch.setattr("nas.latency.measure.PROCESSES", 2)


@pytest.fixture
def own_run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.fixture(scope="session")
def small_run(finished_run: Path) -> SmallRun:
    """The finished run, to be copied, damaged and continued."""
    return SmallRun(finished_run, TOY)
