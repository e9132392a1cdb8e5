"""The score of a network counts what batches agree on."""

import pytest
import torch

from nas.standalone.train import fresh_network
from search_spaces import SearchSpace
from supernets.expansion import _agreement, expansion_score
from supernets.growth import grown
from supernets.images import Images
from supernets.plan import TrainPlan
from supernets.steps import AloneBatches
from tests.strategies import uniform

PLAN = TrainPlan(steps=4, batch_size=32)


def test_parameters_about_which_batches_agree_count_and_noise_does_not() -> None:
    count, num = 16, 20_000
    draws = torch.randn(count, num, generator=torch.Generator().manual_seed(0))

    def score(gradients: torch.Tensor) -> float:
        return _agreement(gradients.mean(0), gradients.square().mean(0), count)

    assert score(torch.ones(count, num)) == pytest.approx(num, rel=1e-3)
    # One parameter's share has a standard deviation of about 1/11, so the sum has one of 1,300 / 100.
    assert abs(score(draws)) < 4 * num**0.5 / 11
    assert 0.4 * num < score(draws + 1) < 0.6 * num


def test_a_grown_network_scores_at_least_what_it_did(
    mini: SearchSpace, digit_images: Images
) -> None:
    small = mini.candidate(uniform(mini, 0, operator="mbconv", sparsity=0))
    large = mini.slots(uniform(mini, 0, operator="mbconv", sparsity=0, depth=2))
    network = fresh_network(mini, small, 0).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    batches = AloneBatches(PLAN)
    own = expansion_score(network, digit_images, batches, count=4)
    more = expansion_score(grown(network, large), digit_images, batches, count=4)
    assert more > own > 0
    assert own == expansion_score(network, digit_images, batches, count=4)
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
