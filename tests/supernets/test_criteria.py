"""Which channels each criterion keeps, by the formulas of their sources."""

import pytest
import torch

from search_spaces import UserError
from supernets.criteria._base import DEFAULT_CRITERION, GroupWeights
from supernets.criteria.bn_scale import BatchNormScale
from supernets.criteria.l1 import L1
from supernets.criteria.magnitude import Magnitude
from supernets.plan import TrainPlan
from supernets.supernet import Supernet
from tests.strategies import mini_space

MADE_BY = torch.tensor([[1.0, -3.0], [0.5, 0.5], [0.0, 8.0]])
READ_BY = torch.tensor([[-2.0], [4.0], [0.5]])
SCALE = torch.tensor([-0.5, 2.0, 1.0])
WITH_NORM = GroupWeights(MADE_BY, READ_BY, SCALE, 3)
WITHOUT = GroupWeights(MADE_BY, READ_BY, None, 3)


def test_magnitude_is_the_size_of_a_channel_times_that_of_the_weights_that_read_it() -> None:
    assert Magnitude().importance(WITH_NORM).tolist() == [0.5 * 2, 2 * 4, 1 * 0.5]
    assert Magnitude().importance(WITHOUT).tolist() == [2 * 2, 0.5 * 4, 4 * 0.5]


def test_l1_looks_at_what_makes_a_channel_only() -> None:
    assert L1().importance(WITH_NORM).tolist() == L1().importance(WITHOUT).tolist() == [2, 0.5, 4]


def test_network_slimming_looks_at_batch_norm_where_there_is_one() -> None:
    assert BatchNormScale().importance(WITH_NORM).tolist() == [0.5, 2, 1]
    assert BatchNormScale().importance(WITHOUT).tolist() == [2, 0.5, 4]


def test_a_head_is_as_important_as_its_channels_together() -> None:
    heads = GroupWeights(torch.tensor([[1.0], [2.0], [3.0], [-4.0]]), torch.ones(4, 1), None, 2)
    assert Magnitude().importance(heads).tolist() == [3, 7]


def test_ranking_is_by_magnitude_unless_asked_otherwise() -> None:
    assert TrainPlan(steps=1).criterion == DEFAULT_CRITERION == "magnitude"


def test_an_unknown_criterion_is_refused() -> None:
    with pytest.raises(UserError, match="unknown criterion 'l3'.*Known: bn-scale, l1, magnitude"):
        Supernet(mini_space(operators=("mbconv",))).rank("l3")
