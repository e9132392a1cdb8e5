"""The simulation that is scored against the integer kernels that are shipped, on trained networks."""

from pathlib import Path

import numpy as np
import pytest
import torch

from compress import compress
from nas.data import DataSet
from search_spaces import SearchSpace
from search_spaces.operators._base import OPERATORS
from supernets.supernet import Supernet
from tests.onnx_graphs import answers, compress_for_here, export, kernels
from tests.strategies import slots_of


@pytest.fixture(scope="module")
def images(digits: DataSet) -> torch.Tensor:
    """300 digits that training has not seen."""
    pixels = np.concatenate([digits.search.images_NCHW[:150], digits.test.images_NCHW[:150]])
    return torch.from_numpy(digits.normalised(pixels))


@torch.no_grad()
def test_the_supernet_has_learnt_something(
    trained: Supernet, mini: SearchSpace, calibration: list[torch.Tensor], digits: DataSet
) -> None:
    """Else the tests below would compare noise with noise."""
    slots = slots_of(mini, operator="mbconv", precision="fp32", sparsity=0)
    network = compress(trained.extract(slots), slots, calibration).network
    split = digits.search.take(200)
    logits = network(torch.from_numpy(digits.normalised(split.images_NCHW))).numpy()
    assert (logits.argmax(1) == split.labels_N).mean() > 0.5


@pytest.mark.parametrize("operator", OPERATORS.names())
@torch.no_grad()
def test_integer_kernels_answer_like_their_simulation(
    trained: Supernet,
    mini: SearchSpace,
    calibration: list[torch.Tensor],
    images: torch.Tensor,
    tmp_path: Path,
    operator: str,
) -> None:
    sparsity = (0, 0.5)[OPERATORS.names().index(operator) % 2]
    slots = slots_of(mini, operator=operator, precision="int8", sparsity=sparsity)
    found = compress_for_here(trained.extract(slots), slots, calibration)
    path = export(found.network, mini, tmp_path / "a.onnx")
    assert kernels(path)["QLinearConv"] > 0
    fp32, simulated = found.fp32(images).numpy(), found.network(images).numpy()
    assert (fp32.argmax(1) == simulated.argmax(1)).mean() >= 0.95
    assert np.abs(fp32 - simulated).mean() < 0.1 * fp32.std()  # weights may have 7 bits here
    shipped = answers(path, images)
    assert (simulated.argmax(1) == shipped.argmax(1)).mean() >= 0.99
    spread = simulated.std()
    # Where a value lies between two steps of a grid, the two may round it to different ones.
    assert np.abs(simulated - shipped).mean() < 0.005 * spread
    assert np.abs(simulated - shipped).max() < 0.2 * spread
