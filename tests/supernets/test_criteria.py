"""Which channels each criterion keeps, by the formulas of their sources."""

from dataclasses import replace

import pytest
import torch

from search_spaces import UserError
from supernets.criteria._base import DEFAULT_CRITERION, GroupWeights
from supernets.criteria.bn_scale import BatchNormScale
from supernets.criteria.fisher import Fisher
from supernets.criteria.fpgm import GeometricMedian
from supernets.criteria.l1 import L1
from supernets.criteria.lamp import LayerAdaptive
from supernets.criteria.magnitude import Magnitude
from supernets.criteria.random import Random
from supernets.criteria.taylor import Taylor
from supernets.plan import TrainPlan
from supernets.supernet import Supernet
from tests.strategies import mini_space

MADE_BY = torch.tensor([[1.0, -3.0], [0.5, 0.5], [0.0, 8.0]])
READ_BY = torch.tensor([[-2.0], [4.0], [0.5]])
SCALE = torch.tensor([-0.5, 2.0, 1.0])
WITH_NORM = GroupWeights(MADE_BY, READ_BY, SCALE, 3)
WITHOUT = GroupWeights(MADE_BY, READ_BY, None, 3)
READ_TWICE = torch.tensor([[1.0, 2.0], [1.0, -1.0], [0.0, 3.0], [2.0, 2.0]])
GRADIENTS = GroupWeights(torch.full((4, 1), 2.0), torch.tensor([[3.0, 1.0]]).expand(4, 2), None, 4)
WITH_GRADIENTS = GroupWeights(torch.ones(4, 1), READ_TWICE, None, 4, GRADIENTS)


def test_magnitude_is_the_size_of_a_channel_times_that_of_the_weights_that_read_it() -> None:
    assert Magnitude().importance(WITH_NORM).tolist() == [0.5 * 2, 2 * 4, 1 * 0.5]
    assert Magnitude().importance(WITHOUT).tolist() == [2 * 2, 0.5 * 4, 4 * 0.5]


def test_l1_looks_at_what_makes_a_channel_only() -> None:
    assert L1().importance(WITH_NORM).tolist() == L1().importance(WITHOUT).tolist() == [2, 0.5, 4]


def test_network_slimming_looks_at_batch_norm_where_there_is_one() -> None:
    assert BatchNormScale().importance(WITH_NORM).tolist() == [0.5, 2, 1]
    assert BatchNormScale().importance(WITHOUT).tolist() == [2, 0.5, 4]


def test_the_geometric_median_sums_up_distances_however_large_a_member_is() -> None:
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0], [6.0, 8.0], [100.0, 0.0]])
    found = GeometricMedian().importance(GroupWeights(rows, torch.ones(4, 1), None, 4))
    distances = [[(a - b).norm().item() for b in rows] for a in rows]
    assert found.tolist() == pytest.approx([sum(row) for row in distances])
    silent = GeometricMedian().importance(GroupWeights(rows, torch.zeros(4, 1), None, 4))
    assert silent.argmin() == 1
    assert silent[1] == 0


def test_lamp_is_the_share_of_all_that_is_at_least_as_large() -> None:
    rows = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, -2.0], [4.0, 0.0]])
    found = LayerAdaptive().importance(GroupWeights(rows, torch.ones(4, 1), None, 4))
    assert found.tolist() == pytest.approx([4 / 24, 1 / 25, 4 / 24, 1])


def test_taylor_squares_what_a_gate_would_change() -> None:
    expected = [(3 * 1 + 2) ** 2, (3 * 1 - 1) ** 2, (0 + 3) ** 2, (3 * 2 + 2) ** 2]
    assert Taylor().importance(WITH_GRADIENTS).tolist() == expected
    heads = replace(WITH_GRADIENTS, num_members=2)
    assert Taylor().importance(heads).tolist() == [(5 + 2) ** 2, (3 + 8) ** 2]


def test_fisher_sums_up_squares_of_all_weights() -> None:
    expected = [(4 + 9 + 4) / 2, (4 + 9 + 1) / 2, (4 + 0 + 9) / 2, (4 + 36 + 4) / 2]
    assert Fisher().importance(WITH_GRADIENTS).tolist() == expected


def test_chance_is_that_of_the_groups_seed() -> None:
    first, again, other = (Random().importance(replace(WITHOUT, seed=s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_head_is_as_important_as_its_channels_together() -> None:
    heads = GroupWeights(torch.tensor([[1.0], [2.0], [3.0], [-4.0]]), torch.ones(4, 1), None, 2)
    assert Magnitude().importance(heads).tolist() == [3, 7]


def test_ranking_is_by_magnitude_unless_asked_otherwise() -> None:
    assert TrainPlan(steps=1).criterion == DEFAULT_CRITERION == "magnitude"


def test_an_unknown_criterion_is_refused() -> None:
    with pytest.raises(
        UserError, match="unknown criterion 'l3'.*Known: bn-scale, fisher, fpgm, l1"
    ):
        Supernet(mini_space(operators=("mbconv",))).rank("l3")
