"""Patterns of blocks: whole ones go, those first without which outputs change least."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from compress.sparse import block_sums, mask_of, sparsify_, taken_by
from nas.testing._spaces import mini_space, random_supernet, slots_of
from search_spaces import BLOCK_SIDE, Slot, pattern_of
from search_spaces.operators.basic import DIFFERENCES
from supernets._modules import ConvNorm
from supernets.network import PlainNetwork
from supernets.saliency import removal_distortions

SIDE = 16
HALF, QUARTER = "blocks-32-50", "blocks-32-25"


def blocks(values: Tensor) -> Iterator[Tensor]:
    for row in values.split(BLOCK_SIDE, 0):
        yield from row.split(BLOCK_SIDE, 1)


def network_with(pattern: str) -> tuple[PlainNetwork, tuple[Slot, ...]]:
    space = mini_space(("convnext",), resolution=SIDE, widest=64)
    space = space.with_policy(("fp32",), (0,), patterns=("dense", pattern))
    own = slots_of(space, pattern=pattern, depth=1)
    return random_supernet(space).extract(own), own


def images(number: int) -> list[Tensor]:
    return [torch.randn(number, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(3))]


@pytest.mark.parametrize(("name", "share"), [(HALF, 2), (QUARTER, 4)])
@pytest.mark.parametrize("number", [0, 16], ids=["magnitude", "images"])
def test_blocks_go_as_a_whole_or_stay_to_the_bit(name: str, share: int, number: int) -> None:
    network, own = network_with(name)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    masks = sparsify_(network, own, images(number) if number else ())
    assert masks
    for weight, mask in masks:
        (key,) = (name for name, other in network.named_parameters() if other is weight)
        pairs = list(zip(blocks(weight), blocks(before[key]), strict=True))
        kept = [bool(new.any()) for new, _ in pairs]
        assert sum(kept) == len(pairs) // share
        assert all(torch.equal(new, old) for new, old in pairs if new.any())
        assert [bool(part.all()) for part in blocks(mask)] == kept
    once = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    sparsify_(network, own, images(4))
    assert all(torch.equal(tensor, once[key]) for key, tensor in network.state_dict().items())


class Scaled(nn.Module):
    """A linear layer that sees little of its first inputs and shows little of its last outputs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4 * BLOCK_SIDE, 4 * BLOCK_SIDE, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(1) * torch.arange(4.0).repeat_interleave(BLOCK_SIDE)
        return self.layer(rows) * torch.arange(4.0, 0.0, -1.0).repeat_interleave(BLOCK_SIDE)


def changed(network: Scaled, x: Tensor, mask: Tensor) -> float:
    """What leaving weights out does to the outputs."""
    with torch.no_grad():
        before, kept = network(x), network.layer.weight.clone()
        network.layer.weight.mul_(mask)
        after = network(x)
        network.layer.weight.copy_(kept)
    return float((after - before).square().sum())


def test_distortions_of_a_linear_network_are_what_leaving_a_block_out_does() -> None:
    network = Scaled()
    x = torch.randn(512, 1, 8, 16, generator=torch.Generator().manual_seed(1))
    (found_RC,) = removal_distortions(network, [network.layer.weight], [x], block_sums)
    for row in range(4):
        for column in range(4):
            mask = torch.ones_like(network.layer.weight)
            rows, columns = (slice(i * BLOCK_SIDE, (i + 1) * BLOCK_SIDE) for i in (row, column))
            mask[rows, columns] = 0.0
            # 64 drawn squares: 18 % of a standard deviation, of which three are allowed.
            assert float(found_RC[row, column]) == pytest.approx(
                changed(network, x, mask), rel=0.54, abs=1e-6
            )


@pytest.mark.parametrize("name", [HALF, QUARTER])
def test_on_images_less_is_lost_than_by_magnitude(name: str) -> None:
    network, pattern = Scaled(), pattern_of(name)
    x = torch.randn(64, 1, 8, 16, generator=torch.Generator().manual_seed(2))
    weight = network.layer.weight
    (scores_RC,) = removal_distortions(network, [weight], [x], block_sums)
    by_size, by_images = mask_of(weight, pattern), mask_of(weight, pattern, scores_RC)
    assert changed(network, x, by_images) < 0.8 * changed(network, x, by_size)


def test_no_pattern_takes_elements_of_a_sum_of_kernels() -> None:
    plain = ConvNorm(8, 8, 3, density=0.5)
    detailed = ConvNorm(8, 8, 3, differences=DIFFERENCES)
    pattern = pattern_of("two-of-four")
    assert [len(list(taken_by(pattern, module))) for module in (plain, detailed)] == [1, 0]
