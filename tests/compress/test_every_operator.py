"""Networks of every operator, compressed: what runs is what was scored, and what is stored is that.

One network of each in full precision, with random weights, and one of integers that has learnt; all
that is asked of either is asked here, because making it takes most of the time. A stage has one
block: its second one has the same shape.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from compress import Compressed, compress
from compress.quantize.int8 import _QuantizedLayer
from compress.store import load_network, num_params, save_network
from nas.data import DataSet
from nas.system.environment import int8_products_saturate
from search_spaces import SearchSpace, Slot, signature_cost
from search_spaces.operators._base import OPERATORS
from supernets.calibrate import recalibrated
from supernets.fold import folded
from supernets.images import Images
from supernets.methods.sandwich import Sandwich
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.train import train, turns_of
from tests.onnx_graphs import (
    answers,
    compress_for_here,
    export,
    loaded,
    num_layers,
    require_biases_on_grids,
    require_integer_kernels,
    require_one_node_per_gelu,
)
from tests.strategies import noise, slots_of

by_operator = pytest.mark.parametrize("operator", OPERATORS.names())


@by_operator
@torch.no_grad()
def test_in_full_precision_file_and_checkpoint_answer_as_the_folded_network(
    random_supernet_of_all: Supernet, mini_of_all: SearchSpace, tmp_path: Path, operator: str
) -> None:
    slots = slots_of(mini_of_all, operator=operator, depth=1, precision="fp32", sparsity=0.5)
    batches = [noise(16, 1, 16, 16, seed=seed) for seed in range(2)]
    found = compress(random_supernet_of_all.extract(slots), slots, batches)
    assert found.network is found.fp32
    expected = folded(recalibrated(random_supernet_of_all.extract(slots), batches))
    images = noise(3, 1, 16, 16, seed=3)
    assert torch.equal(found.network(images), expected(images))
    path = export(found.network, mini_of_all, tmp_path / "a.onnx")
    session = loaded(path)
    for some in (images[:1], images):
        np.testing.assert_allclose(answers(session, some), expected(some).numpy(), atol=1e-4)
    require_one_node_per_gelu(found.fp32, path)
    require_stored(found.network, slots, tmp_path / "a.safetensors")
    require_declared_number(found.network, slots, tmp_path / "a.safetensors")


@pytest.fixture(scope="module")
def trained(
    mini_of_all: SearchSpace, digit_images: Images, tmp_path_factory: pytest.TempPathFactory
) -> Supernet:
    """A supernet of all operators whose stem and head know digits. Do not change it."""
    plan = TrainPlan(steps=16, batch_size=32, shards=1)
    method = Sandwich(space=mini_of_all, sparse_from=turns_of(plan.rank_step, plan)[0])
    folder: Path = tmp_path_factory.mktemp("trained")
    supernet = Supernet(mini_of_all)
    train(
        supernet, digit_images, plan, SupernetBatches(plan, method), directory=folder,
        before_step=lambda step: supernet.rank() if step == plan.rank_step else None,
    )  # fmt: skip
    return supernet


@pytest.fixture(scope="module")
def calibration(digits: DataSet) -> list[torch.Tensor]:
    """128 normalised digits in batches, as `compress` takes them."""
    images = digits.normalised(digits.calibration.take(128).images_NCHW)
    return list(torch.from_numpy(images).split(64))


@pytest.fixture(scope="module")
def digits_not_seen(digits: DataSet) -> tuple[torch.Tensor, np.ndarray]:
    """200 digits that training has not seen, normalised, and what they are."""
    seen = digits.search.take(100), digits.test.take(100)
    pixels = np.concatenate([split.images_NCHW for split in seen])
    labels = np.concatenate([split.labels_N for split in seen])
    return torch.from_numpy(digits.normalised(pixels)), labels


@pytest.fixture(scope="module")
def lessons(digits: DataSet) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of 32 normalised digits with what they are."""
    split = digits.train.take(6 * 32)
    images = torch.from_numpy(digits.normalised(split.images_NCHW))
    labels = torch.from_numpy(split.labels_N).long()
    return list(zip(images.split(32), labels.split(32), strict=True))


def teach_(network: nn.Module, lessons: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Steps so large that blocks matter: in a fresh supernet they change nothing."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    network.train()
    for images, labels in lessons:
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
    network.eval()


@by_operator
def test_as_integers_kernels_and_checkpoint_answer_as_the_simulation(
    trained: Supernet,
    mini_of_all: SearchSpace,
    lessons: list[tuple[torch.Tensor, torch.Tensor]],
    calibration: list[torch.Tensor],
    digits_not_seen: tuple[torch.Tensor, np.ndarray],
    tmp_path: Path,
    operator: str,
) -> None:
    sparsity = (0, 0.5)[sum(operator.encode()) % 2]
    slots = slots_of(mini_of_all, operator=operator, depth=1, precision="int8", sparsity=sparsity)
    network = trained.extract(slots)
    teach_(network, lessons)
    found = compress_for_here(network, slots, calibration)
    require_integers(found)
    path = export(found.network, mini_of_all, tmp_path / "a.onnx")
    require_integer_kernels(found.fp32, path)
    num_integer = num_layers(found.fp32, nn.Conv2d) + num_layers(found.fp32, nn.Linear)
    assert require_biases_on_grids(path) == num_integer
    require_one_node_per_gelu(found.fp32, path)
    require_answers_alike(found, path, digits_not_seen)
    require_stored(found.network, slots, tmp_path / "a.safetensors")


@torch.no_grad()
def require_answers_alike(
    found: Compressed, path: Path, seen: tuple[torch.Tensor, np.ndarray]
) -> None:
    """In fp32, as simulated and as shipped."""
    images, labels = seen
    fp32, simulated = found.fp32(images).numpy(), found.network(images).numpy()
    assert (fp32.argmax(1) == labels).mean() > 0.5, "else noise would be compared with noise"
    assert (fp32.argmax(1) == simulated.argmax(1)).mean() >= 0.95
    assert np.abs(fp32 - simulated).mean() < 0.2 * fp32.std()  # weights may have 7 bits here
    shipped = answers(path, images)
    assert (simulated.argmax(1) == shipped.argmax(1)).mean() >= 0.97
    spread = simulated.std()
    # Where a value lies between two steps of a grid, the two may round it to different ones.
    assert np.abs(simulated - shipped).mean() < 0.01 * spread
    assert np.abs(simulated - shipped).max() < 0.3 * spread


@torch.no_grad()
def require_stored(network: nn.Module, slots: tuple[Slot, ...], path: Path) -> None:
    """What is loaded answers bit for bit like what was saved."""
    save_network(network, slots, path)
    images = noise(8, 1, 16, 16, seed=4)
    assert torch.equal(load_network(path)(images), network(images))


def require_declared_number(network: nn.Module, slots: tuple[Slot, ...], path: Path) -> None:
    """A checkpoint holds what is declared, but for tables of files that follow from sizes."""
    costs = [signature_cost(slot.signature) for slot in slots]
    declared = sum(cost.weights + cost.vectors for cost in costs)
    buffers, state = dict(network.named_buffers()), network.state_dict()
    tables = sum(buffers[name].numel() for name in buffers.keys() - state.keys())
    assert declared - tables <= num_params(path) <= declared


def require_integers(found: Compressed) -> None:
    """Every layer is on a symmetric grid, and ReLU6 is a grid's end."""
    layers = [m for m in found.network.modules() if isinstance(m, _QuantizedLayer)]
    most = 63 if int8_products_saturate() else 127
    for layer in layers:
        assert layer.weight.dtype == torch.int8
        assert layer.bias.dtype == torch.int32
        assert layer.weight.abs().max() == most
        assert layer.weight.min() >= -most, "symmetric: no -128"
        assert not layer.weight_zero_point.any()
        assert (layer.weight_scale > 0).all()
    kinds = nn.Conv2d, nn.Linear
    assert len(layers) == sum(num_layers(found.fp32, kind) for kind in kinds)
    assert not sum(num_layers(found.network, kind) for kind in (*kinds, nn.ReLU6))
