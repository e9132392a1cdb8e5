"""Stochastic depth and dropout: what is left out, how often, and that means stay what they were."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from search_spaces import Slot
from supernets.dropping import classifier_of, dropping, residual_blocks
from supernets.images import Images
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan
from supernets.steps import AloneBatches
from tests.strategies import mini_space, slots_of

PLAN = TrainPlan(steps=4, batch_size=8, drop_path=0.5)
TURNS = 400


class Block(nn.Module):
    """x + factor * x."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.project = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.constant_(self.project.weight, factor)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW + self.project(x_BCHW)


def row() -> nn.Sequential:
    head = nn.Sequential(nn.Flatten(), nn.Linear(4, 4, bias=False))
    nn.init.eye_(head[1].weight)
    return nn.Sequential(Block(1.0), Block(2.0), head)


ONES = torch.ones(16, 1, 2, 2)


def network_and_slots() -> tuple[PlainNetwork, tuple[Slot, ...]]:
    slots = slots_of(mini_space(operators=("basic", "convnext")), operator="convnext")
    return PlainNetwork(slots), slots


@torch.no_grad()
def test_an_image_passes_by_a_block_or_gets_more_of_it() -> None:
    network = nn.Sequential(Block(1.0))
    with dropping(network, PLAN, 0):
        found = network(ONES)
    assert set(found.unique().tolist()) == {1.0, 3.0}  # passed by, or twice what is added
    assert all(len(image.unique()) == 1 for image in found)


@torch.no_grad()
def test_the_mean_over_batches_is_what_evaluation_gives() -> None:
    network = row()
    found = torch.zeros(16, 4)
    plan = replace(PLAN, dropout=0.25)
    for turn in range(TURNS):
        with dropping(network, plan, turn):
            found += network(ONES) / TURNS
    # One output has a deviation of about 7; of 6400 images 0.09. False alarms: 1 in 10**7.
    assert abs(float(found.mean()) - 6.0) < 0.5
    assert network(ONES).unique().tolist() == [6.0]


@torch.no_grad()
def test_later_blocks_are_passed_by_more_often() -> None:
    network = nn.Sequential(Block(1.0), Block(1.0))
    passed = [0, 0]
    for turn in range(TURNS):
        with dropping(network, PLAN, turn):
            first = network[0](ONES)
            second = network[1](torch.ones_like(first))
        passed[0] += int((first[:, 0, 0, 0] == 1.0).sum())
        passed[1] += int((second[:, 0, 0, 0] == 1.0).sum())
    shares = [number / (TURNS * len(ONES)) for number in passed]
    # Deviations are below 0.0063.
    assert abs(shares[0] - 0.25) < 0.035
    assert abs(shares[1] - 0.5) < 0.035


@torch.no_grad()
def test_a_batch_leaves_out_the_same_whenever_it_is_computed_and_nothing_stays() -> None:
    network = row()
    answers = []
    for turn in (3, 3, 4):
        with dropping(network, PLAN, turn):
            answers.append(network(ONES))
    assert torch.equal(answers[0], answers[1])
    assert not torch.equal(answers[0], answers[2])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network)


def test_blocks_of_a_network_are_its_slots_with_a_shortcut() -> None:
    network, slots = network_and_slots()
    names = {id(module): name for name, module in network.named_children()}
    found = [names[id(block)] for block in residual_blocks(network)]
    assert found == [s.name.replace(".", "_") for s in slots if "block" in s.name]
    classifier = classifier_of(network)
    assert classifier is not None
    assert classifier.out_features == 10


def test_training_alone_leaves_out_what_the_plan_says(digit_images: Images) -> None:
    network, _ = network_and_slots()
    network.train()
    losses = {}
    for share in (0.0, 0.5):
        batches = AloneBatches(replace(PLAN, dropout=share, drop_path=share))
        losses[share], _ = batches(network, digit_images, 0, {})
    assert losses[0.0] != losses[0.5]
    assert (
        AloneBatches(replace(PLAN, drop_path=0.0))(network, digit_images, 0, {})[0] == losses[0.0]
    )
