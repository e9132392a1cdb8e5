"""Stochastic depth, paths and dropout: what is left out, how often, and that means stay what they were."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from nas.finalists.finetuning import _refuse_nothing_to_drop
from nas.finalists.recipe import Recipe
from search_spaces import Cells, SearchSpace, Slot, UserError
from supernets.dropping import classifier_of, dropping, paths_of, residual_blocks
from supernets.images import Images
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan
from supernets.steps import AloneBatches
from tests.strategies import mini_space, noise, slots_of

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


def cell_space() -> SearchSpace:
    """Of cells of two nodes."""
    network = Cells(
        resolution=16,
        channels=1,
        num_classes=10,
        topology="nasnet",
        nodes=2,
        operations=("identity", "conv-1"),
        widths=(8,),
        depths=(1,),
    )
    return SearchSpace.of_network("own", network)


def cells_of(operation: str) -> tuple[Slot, ...]:
    """With this operation on every edge."""
    own = cell_space()
    taken = {c.name: operation for c in own.choices if c.name.endswith(".operation")}
    return own.slots(own.encode(taken))


def cells() -> PlainNetwork:
    torch.manual_seed(0)
    return PlainNetwork(cells_of("conv-1")).train()


def test_paths_are_what_is_added_and_changes_something() -> None:
    paths = paths_of(PlainNetwork(cells_of("conv-1")))
    assert "stage1_cell1_node1_left" in paths
    assert not any(path.endswith(("node1", "node2", "stem", "head")) for path in paths)
    assert not any(
        path.endswith(("left", "right")) for path in paths_of(PlainNetwork(cells_of("identity")))
    )
    assert not paths_of(network_and_slots()[0])


def outputs(of: PlainNetwork, path: str, turn: int, share: float = 0.8) -> Tensor:
    """What a path hands on of many images in a batch of four, so that half of a rate is reached."""
    found: list[Tensor] = []
    plan = replace(PLAN, drop_path=share, shards=1)
    with (
        dropping(of, plan, turn),
        of.get_submodule(path).register_forward_hook(lambda _, __, y: found.append(y.detach())),
    ):
        of(noise(256, 1, 16, 16))
    return found[0]


def test_a_path_is_left_out_for_some_images_the_rather_the_later_it_is() -> None:
    own = cells()
    path = paths_of(own)[0]
    whole = outputs(own, path, turn=0)
    assert torch.equal(whole, outputs(own, path, turn=2, share=0.0)), "nothing in the beginning"
    for turn, rate in ((1, 0.2), (2, 0.4), (3, 0.6)):
        some = outputs(own, path, turn)
        is_left_out = (some == 0).flatten(1).all(1)
        torch.testing.assert_close(some[~is_left_out], whole[~is_left_out] / (1 - rate))
        # Binomial: 5 sigma are exceeded less than once in a million.
        share = float(is_left_out.float().mean())
        assert share == pytest.approx(rate, abs=5 * (rate * (1 - rate) / 256) ** 0.5)
        assert torch.equal(outputs(own, path, turn), some), "a batch is a function of its number"
    assert not any(module._forward_hooks for module in own.modules())


def test_a_network_alone_in_which_nothing_can_be_passed_by_is_refused() -> None:
    slots = slots_of(mini_space(), operator="mbconv")
    _refuse_nothing_to_drop(Recipe(drop_path=0.1), cells_of("conv-1"))
    _refuse_nothing_to_drop(Recipe(drop_path=0.1), slots)
    plain = [replace(slot, inputs=None) for slot in slots if "block" not in slot.name]
    with pytest.raises(UserError, match="neither residual blocks nor paths"):
        _refuse_nothing_to_drop(Recipe(drop_path=0.1), plain)
    with pytest.raises(UserError, match="drop_path is 0.95"):
        Recipe(drop_path=0.95)
