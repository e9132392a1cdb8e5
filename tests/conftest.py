"""What every test may ask for: a space, a supernet, and once per session a trained one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from nas.data import DataSet, load_data
from search_spaces import SearchSpace
from supernets.images import Images
from supernets.methods.sandwich import Sandwich
from supernets.steps import SupernetStep
from supernets.supernet import Supernet
from supernets.train import TrainPlan, train
from tests.strategies import mini_space, randomise_

THREADS = 1

settings.register_profile("explore", deadline=None, max_examples=20)
settings.register_profile("ci", parent=settings.get_profile("explore"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "explore")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest --golden-update` writes golden files anew."""
    parser.addoption("--golden-update", action="store_true", help="rewrite tests/golden")


@pytest.fixture(autouse=True, scope="session")
def fixed_threads() -> Iterator[None]:
    """Sums of floats depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def mini() -> SearchSpace:
    """All operators at 16 px, with a policy."""
    return mini_space().with_policy(("fp32", "int8"), (0, 0.25, 0.5))


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
    supernet = Supernet(mini)
    randomise_(supernet, seed=1)
    supernet.rank()
    return supernet.eval()


@pytest.fixture(scope="session")
def trained(
    mini: SearchSpace, digit_images: Images, tmp_path_factory: pytest.TempPathFactory
) -> Supernet:
    """A supernet after a few seconds of training on digits. Do not change it."""
    plan = TrainPlan(steps=30, full_from=18, batch_size=32)
    method = Sandwich(space=mini, full_from=plan.full_from, sparse_from=plan.rank_step)
    folder: Path = tmp_path_factory.mktemp("trained")
    supernet = Supernet(mini)
    train(supernet, digit_images, plan, SupernetStep(supernet, plan, method), directory=folder)
    return supernet


@pytest.fixture(scope="session")
def calibration(digits: DataSet) -> list[torch.Tensor]:
    """Normalised images in batches, as `compress` takes them."""
    images = digits.normalised(digits.calibration.take(256).images_NCHW)
    return list(torch.from_numpy(images).split(64))
