"""Gradients by which criteria rank: reproducible, of all operators, and without side effects."""

import pytest
import torch

from search_spaces import SearchSpace
from supernets.criteria import CRITERIA
from supernets.gradients import label_gradients
from supernets.images import Images
from supernets.methods.sandwich import Sandwich
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from tests.strategies import randomise_

PLAN = TrainPlan(steps=10, batch_size=4)
NEED_GRADIENTS = [name for name in CRITERIA.names() if CRITERIA.get(name).needs_gradients]


def batches_of(space: SearchSpace, plan: TrainPlan = PLAN) -> SupernetBatches:
    return SupernetBatches(plan, Sandwich(space=space))


@pytest.fixture(scope="module")
def supernet(mini: SearchSpace) -> Supernet:
    found = Supernet(mini)
    randomise_(found, seed=1)
    return found.train()


def test_members_of_operators_are_ranked_and_nothing_else_changes(
    supernet: Supernet, digit_images: Images
) -> None:
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    gradients = label_gradients(supernet, digit_images, batches_of(supernet.space))
    supernet.rank("fisher", gradients=gradients)
    for name, tensor in supernet.state_dict().items():
        if ".importance_" in name:
            assert (tensor > 0).all(), name
        else:
            assert torch.equal(tensor, before[name]), name
    assert all(parameter.grad is None for parameter in supernet.parameters())


@pytest.mark.parametrize("name", NEED_GRADIENTS)
def test_a_continued_training_ranks_as_it_would_have(
    name: str, supernet: Supernet, digit_images: Images
) -> None:
    def ranked(plan: TrainPlan) -> list[torch.Tensor]:
        batches = batches_of(supernet.space, plan)
        supernet.rank(name, gradients=label_gradients(supernet, digit_images, batches, count=2))
        return [b.clone() for n, b in supernet.named_buffers() if ".importance_" in n]

    first = ranked(PLAN)
    assert all(map(torch.equal, first, ranked(PLAN)))
    other = TrainPlan(steps=10, batch_size=4, seed=1)
    assert not all(map(torch.equal, first, ranked(other)))


@pytest.mark.parametrize("name", NEED_GRADIENTS)
def test_batches_are_added_up(name: str, supernet: Supernet, digit_images: Images) -> None:
    batches = batches_of(supernet.space)
    one, other = label_gradients(supernet, digit_images, batches, count=2)

    def ranked(*gradients: dict) -> torch.Tensor:
        supernet.rank(name, gradients=gradients)
        return torch.cat([b for n, b in supernet.named_buffers() if ".importance_" in n])

    torch.testing.assert_close(ranked(one, other), ranked(one) + ranked(other))
