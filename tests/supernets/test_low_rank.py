"""Low-rank updates of frozen weights."""

from pathlib import Path

import pytest
import torch
from torch import nn

from nas.standalone.train import NETWORK, trained_alone
from supernets.checkpoint import read_tensors
from supernets.images import Images
from supernets.likenesses import Affinity
from supernets.low_rank import LowRank, LowRankUpdates, updated_weights
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan
from supernets.supernet import Supernet
from supernets.teachers import LiveTeacher, Teaching
from tests.strategies import noise, slots_of

RANK = 1


@pytest.fixture
def network(random_supernet: Supernet) -> PlainNetwork:
    slots = slots_of(random_supernet.space, operator="mbconv")
    return random_supernet.extract(slots).eval()


def moved(found: LowRank) -> LowRank:
    """With updates that are not 0 any more."""
    for number, factor in enumerate(found.makes):
        factor.data.copy_(0.1 * noise(*factor.shape, seed=number))
    return found


def test_training_begins_with_the_network_as_it_is(network: PlainNetwork) -> None:
    images = noise(4, 1, 16, 16)
    found = LowRankUpdates(RANK)(network).train()
    torch.testing.assert_close(found(images), network(images), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_what_is_merged_answers_as_what_was_trained(network: PlainNetwork) -> None:
    images = noise(4, 1, 16, 16)
    before = network(images)
    found = moved(LowRankUpdates(RANK)(network).train())
    trained = found(images)
    scale = float(trained.abs().max())
    assert float((trained - before).abs().max()) > 1e-3 * scale
    found.merge_()
    assert float((network.eval()(images) - trained).abs().max()) <= 1e-5 * scale
    assert float((found(images) - trained).abs().max()) <= 1e-5 * scale, "merged once"


@pytest.mark.parametrize(
    ("layer", "trained"),
    [
        (nn.Conv2d(16, 24, 3), 2 * 9 * (16 + 24)),
        (nn.Conv2d(16, 24, 1), 2 * (16 + 24)),
        (nn.Linear(32, 10), 2 * (32 + 10)),
        (nn.Conv2d(16, 16, 3, groups=16), 0),  # has fewer weights than updates of it
    ],
)
def test_updates_of_a_layer_have_as_many_numbers_as_the_paper_says(
    layer: nn.Module, trained: int
) -> None:
    module = nn.Sequential(layer)
    found = LowRank(module, 2, torch.Generator())
    factors = [*found.makes, *found.reads]
    assert sum(factor.numel() for factor in factors) == trained
    assert updated_weights(module, 2) == (["0.weight"] if trained else [])


def test_nothing_but_the_updates_gets_a_gradient(network: PlainNetwork) -> None:
    found = moved(LowRankUpdates(RANK)(network).train())
    found(noise(4, 1, 16, 16)).square().mean().backward()
    with_gradient = {n for n, p in found.named_parameters() if p.grad is not None}
    assert with_gradient == {n for n, _ in found.named_parameters() if not n.startswith("network.")}


def test_what_is_0_stays_0(network: PlainNetwork) -> None:
    name = updated_weights(LowRankUpdates(RANK)(network).network, RANK)[0]
    weight = network.get_parameter(name)
    is_zero = torch.zeros_like(weight, dtype=torch.bool)
    is_zero[::2] = True
    weight.data[is_zero] = 0.0
    moved(LowRankUpdates(RANK)(network)).merge_()
    assert not weight[is_zero].any()


def test_a_training_ends_with_the_updates_in_the_weights(
    network: PlainNetwork, digit_images: Images, tmp_path: Path
) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    teacher = LiveTeacher(network.__class__(network.arch).eval())
    plan = TrainPlan(steps=4, batch_size=8, shards=1)
    teaching = Teaching(teacher, 1.0, (Affinity(teacher.networks[0]),))
    trained_alone(
        network, digit_images, tmp_path, lambda: plan, teaching=teaching, make=LowRankUpdates(RANK)
    )
    after, document = read_tensors(tmp_path / NETWORK)
    assert after.keys() == before.keys()
    assert document["statistics"] == "frozen"
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed
    assert changed == set(updated_weights(LowRankUpdates(RANK)(network).network, RANK))
