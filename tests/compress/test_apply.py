"""One order: extract and prune, recalibrate, fold, quantize."""

import pytest
import torch
from torch import nn

from compress import compress
from compress.apply import check_realised_size
from search_spaces import SearchSpace
from supernets.supernet import Supernet
from tests.strategies import noise, slots_of


def batches() -> list[torch.Tensor]:
    return [noise(16, 1, 16, 16, seed=seed) for seed in range(2)]


def test_the_supernet_is_left_as_it_was(random_supernet: Supernet, mini: SearchSpace) -> None:
    before = {name: tensor.clone() for name, tensor in random_supernet.state_dict().items()}
    slots = slots_of(mini, precision="int8")
    compress(random_supernet.extract(slots), slots, batches())
    after = random_supernet.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_fp32_network_beside_an_integer_one_has_the_same_pruned_weights(
    random_supernet: Supernet, mini: SearchSpace
) -> None:
    fp32 = slots_of(mini, operator="mbconv", precision="fp32", sparsity=0.5)
    int8 = slots_of(mini, operator="mbconv", precision="int8", sparsity=0.5)
    expected = compress(random_supernet.extract(fp32), fp32, batches()).network.state_dict()
    found = compress(random_supernet.extract(int8), int8, batches()).fp32.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_compressing_twice_gives_the_same_bits(
    random_supernet: Supernet, mini: SearchSpace
) -> None:
    slots = slots_of(mini, precision="int8")
    first, second = (
        compress(random_supernet.extract(slots), slots, batches()).network for _ in range(2)
    )
    states = first.state_dict(), second.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_what_is_compressed_is_in_evaluation_mode_and_has_no_batch_norm(
    random_supernet: Supernet, mini: SearchSpace
) -> None:
    for precision in ("fp32", "int8"):
        slots = slots_of(mini, precision=precision)
        network = compress(random_supernet.extract(slots), slots, batches()).network
        assert not network.training
        assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_a_slot_of_another_size_than_declared_is_our_bug(
    random_supernet: Supernet, mini: SearchSpace
) -> None:
    dense = slots_of(mini, operator="mbconv", sparsity=0)
    sparse = slots_of(mini, operator="mbconv", sparsity=0.5)
    network = random_supernet.extract(dense)
    check_realised_size(network, dense)
    with pytest.raises(AssertionError, match=r"stage1.block1: \d+ parameters, not \d+"):
        check_realised_size(network, sparse)
