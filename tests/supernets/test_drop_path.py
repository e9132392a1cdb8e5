"""Paths that are left out: which ones, how often, and the rather the later it is."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from nas.finalists.finetuning import _refuse_nothing_to_drop
from nas.finalists.recipe import Recipe
from nas.prepare.inputs import _check_paths
from nas.run.config import Config
from nas.testing.methods import small_images, small_space
from search_spaces import Cells, SearchSpace, Slot, UserError
from supernets import steps
from supernets.drop_path import dropping, paths_of
from supernets.network import PlainNetwork, module_name
from supernets.plan import TrainPlan
from supernets.steps import AloneBatches
from tests.strategies import noise

RATE = 0.4


def space() -> SearchSpace:
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


def slots_of(operation: str) -> tuple[Slot, ...]:
    """With this operation on every edge."""
    own = space()
    taken = {c.name: operation for c in own.choices if c.name.endswith(".operation")}
    return own.slots(own.encode(taken))


def network() -> PlainNetwork:
    torch.manual_seed(0)
    return PlainNetwork(slots_of("conv-1")).train()


def test_paths_are_what_is_added_and_changes_something() -> None:
    paths = paths_of(slots_of("conv-1"))
    assert "stage1.cell1.node1.left" in paths
    assert not any(path.endswith(("node1", "node2", "stem", "head")) for path in paths)
    assert not any(path.endswith(("left", "right")) for path in paths_of(slots_of("identity")))
    toy = small_space()
    assert not paths_of(toy.slots([0] * len(toy.choices)))


def outputs(of: PlainNetwork, path: str, rate: float, turn: int = 3) -> Tensor:
    """What a path hands on of many images while paths are left out."""
    found: list[Tensor] = []
    module = of.get_submodule(module_name(path))
    with (
        dropping(of, rate, seed=1, turn=turn),
        module.register_forward_hook(lambda _, __, output: found.append(output.detach())),
    ):
        of(noise(256, 1, 16, 16))
    return found[0]


def test_a_path_is_left_out_for_some_images_and_larger_for_the_others() -> None:
    own = network()
    path = paths_of(own.arch)[0]
    whole, some = outputs(own, path, 0.0), outputs(own, path, RATE)
    is_left_out = (some == 0).flatten(1).all(1)
    torch.testing.assert_close(some[~is_left_out], whole[~is_left_out] / (1 - RATE))
    # Binomial: 5 sigma are exceeded less than once in a million.
    share = float(is_left_out.float().mean())
    assert share == pytest.approx(RATE, abs=5 * (RATE * (1 - RATE) / 256) ** 0.5)
    assert torch.equal(outputs(own, path, RATE), some), "a batch is a function of its number"
    assert not torch.equal(outputs(own, path, RATE, turn=4), some)
    assert not any(module._forward_hooks for module in own.modules())


def test_the_chance_rises_linearly_over_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []

    @contextmanager
    def noting(network: nn.Module, rate: float, *, seed: int, turn: int) -> Iterator[None]:
        rates.append(rate)
        yield

    monkeypatch.setattr(steps, "dropping", noting)
    batches = AloneBatches(TrainPlan(steps=4, batch_size=8, shards=1, drop_path=0.2))
    for turn in range(4):
        batches(network(), small_images(), turn, {})
    assert rates == pytest.approx([0.0, 0.05, 0.1, 0.15])


def test_networks_without_paths_are_refused() -> None:
    with pytest.raises(UserError, match="networks of space 'toy' add up no paths"):
        _check_paths(Config(space="toy", set={"drop_path": 0.2}), small_space())
    _check_paths(Config(space="cells", set={"drop_path": 0.2}), space())
    toy = small_space()
    with pytest.raises(UserError, match="this network adds up no paths"):
        _refuse_nothing_to_drop(Recipe(drop_path=0.1), toy.slots([0] * len(toy.choices)))
    with pytest.raises(UserError, match="drop_path is 0.95"):
        Recipe(drop_path=0.95)
