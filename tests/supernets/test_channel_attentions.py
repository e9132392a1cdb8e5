"""Channel attentions are what their papers say: gates, parameters, and nothing but a product."""

import pytest
import torch
from torch import Tensor, nn

from search_spaces import Options, Shape, Signature, signature_cost
from search_spaces.channel_attentions import CHANNEL_ATTENTIONS
from search_spaces.channel_attentions.eca import eca_size
from supernets.channel_attentions import CHANNEL_ATTENTION_LAYERS, AbstractChannelAttentionLayer
from supernets.channel_attentions._polarized import ChannelGates, PositionGates
from supernets.channel_attentions.polarized import PolarizedLayer
from supernets.channel_attentions.polarized_serial import PolarizedSerialLayer
from supernets.channel_attentions.scse import SCSELayer
from tests.strategies import noise, randomise_, signature

SIDES = (5, 7)


def layer(name: str, channels: int, sides: tuple[int, int] = SIDES) -> nn.Module:
    size = CHANNEL_ATTENTIONS.get(name)().size(channels)
    found = CHANNEL_ATTENTION_LAYERS.get(name)(channels, size, sides)
    assert isinstance(found, AbstractChannelAttentionLayer)
    randomise_(found, seed=0)
    return found


def block(operator: str, **pick: int | str) -> Signature:
    options = Options({"expand_ratio": 4, "kernel_size": 3, **pick})
    return signature(operator, options, Shape.square(8, 8, 16, 16))


def gates(module: nn.Module, channels: int) -> Tensor:
    x_BCHW = noise(2, channels, *SIDES).abs() + 0.1
    return module(x_BCHW) / x_BCHW


def num_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", ["eca", "se", "compact"])
@torch.no_grad()
def test_every_channel_is_scaled_by_one_gate(name: str) -> None:
    found = gates(layer(name, 16), 16)
    assert torch.allclose(found, found[:, :, :1, :1].expand_as(found))
    assert ((found > 0) & (found < 1)).all()


@pytest.mark.parametrize("name", ["scse", "polarized"])
@torch.no_grad()
def test_gates_of_channels_and_of_positions_are_added(name: str) -> None:
    """A gate of both differs by the same between two positions, whatever the channel."""
    found = gates(layer(name, 16), 16)
    between = found - found[:, :, :1, :1]
    assert torch.allclose(between, between[:, :1].expand_as(between), atol=1e-5)
    assert between.abs().max() > 1e-3
    assert ((found > 0) & (found < 2)).all()


def test_eca_has_as_many_parameters_as_its_kernel_and_these_kernels() -> None:
    assert [eca_size(c) for c in (8, 64, 128, 256, 512, 1024, 2048)] == [3, 3, 5, 5, 5, 5, 7]
    with_, without = (signature_cost(block("mbconv", eca=eca)).params for eca in (1, 0))
    assert with_ - without == eca_size(64) == 3


def test_the_four_stages_of_resnet_50_with_eca_have_86_more_parameters() -> None:
    """The paper says 80, with 5 instead of 7 at 2,048 channels: log2 lies half-way."""
    blocks = ((3, 256), (4, 512), (6, 1024), (3, 2048))
    assert sum(n * num_parameters(layer("eca", channels)) for n, channels in blocks) == 86


@pytest.mark.parametrize("eca", [0, 1])
def test_a_name_is_one_with_the_switch_that_mbconv_had_before_it(eca: int) -> None:
    switched = block("mbconv", eca=eca)
    assert switched == block("mbconv", channel_attention=("none", "eca")[eca])
    assert switched.pick == Options(
        {"kernel_size": 3, "expand_ratio": 4, "eca": eca and eca_size(64)}
    )
    named = block("mbconv", eca=eca, channel_attention="scse")
    assert named == block("mbconv", channel_attention="scse")
    assert named.pick["scse"] == 32


@torch.no_grad()
def test_scse_is_the_sum_of_two_recalibrated_maps() -> None:
    module = layer("scse", 16)
    assert isinstance(module, SCSELayer)
    assert num_parameters(module) == 16 * 16 + (8 + 16) + 16
    x_BCHW = noise(2, 16, *SIDES)
    expected = torch.zeros_like(x_BCHW)
    for image in range(2):
        means_C = torch.stack([x_BCHW[image, c].mean() for c in range(16)])
        inner = nn.functional.silu(module.gates.squeeze(means_C))
        of_channels_C = module.gates.decide(inner).sigmoid()
        for row in range(SIDES[0]):
            for column in range(SIDES[1]):
                at_C = x_BCHW[image, :, row, column]
                of_position = (module.decide.weight.flatten() @ at_C).sigmoid()
                expected[image, :, row, column] = at_C * of_channels_C + at_C * of_position
    torch.testing.assert_close(module(x_BCHW), expected)


def of_channels(gates: ChannelGates, x_BCHW: Tensor) -> Tensor:
    """As the paper writes it: values of all positions, added up by attention."""
    x_BPC = x_BCHW.flatten(2).transpose(1, 2)
    shares_BP1 = (x_BPC @ gates.query.weight.reshape(-1, 1)).softmax(1)
    seen_BI = (gates.value(x_BPC).transpose(1, 2) @ shares_BP1).flatten(1)
    return gates.norm(gates.expand(seen_BI)).sigmoid()[..., None, None]


def of_positions(gates: PositionGates, x_BCHW: Tensor) -> Tensor:
    """As the paper writes it: the mean of all positions' queries, and keys of all."""
    x_BPC = x_BCHW.flatten(2).transpose(1, 2)
    query_B1I = gates.query(x_BPC).mean(1, keepdim=True).softmax(2)
    keys_BPI = x_BPC @ gates.key_IC.T
    return (query_B1I @ keys_BPI.transpose(1, 2)).sigmoid().reshape(-1, 1, *SIDES)


@torch.no_grad()
def test_polarized_attention_is_that_of_maps_as_the_paper_writes_it() -> None:
    """In parallel one map is scaled twice and added; in series scaled, then scaled again."""
    x_BCHW = noise(2, 16, *SIDES)
    module = layer("polarized", 16)
    assert isinstance(module, PolarizedLayer)
    parts = of_channels(module.of_channels, x_BCHW), of_positions(module.of_positions, x_BCHW)
    torch.testing.assert_close(module(x_BCHW), x_BCHW * parts[0] + x_BCHW * parts[1])
    module = layer("polarized-serial", 16)
    assert isinstance(module, PolarizedSerialLayer)
    scaled_BCHW = x_BCHW * of_channels(module.of_channels, x_BCHW)
    expected = scaled_BCHW * of_positions(module.of_positions, scaled_BCHW)
    torch.testing.assert_close(module(x_BCHW), expected)


def test_moving_what_is_linear_off_the_map_spares_most_multiply_adds() -> None:
    """The paper's two 1x1 convolutions to half of the channels cost positions * channels ** 2."""
    found = CHANNEL_ATTENTIONS.get("polarized")().cost(28 * 28, 64, 32).macs
    assert found == 3 * 28 * 28 * 64 + 4 * 64 * 32
    assert found < 0.05 * 28 * 28 * 64**2 + 4 * 64 * 32
