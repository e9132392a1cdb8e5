"""Channel parts of a mixer's slot: what they cost, what is shared, and what states are called."""

import numpy as np
import pytest
import torch
from torch import nn

from compress.placement import place, trace
from compress.quantize.int8 import Int8Quantization
from search_spaces import Options, Shape, Signature, Stage, Staged, UserError, signature_cost
from search_spaces.channel_parts._base import channel_part_of
from search_spaces.channel_parts.convglu import gated_channels
from supernets.channel_parts.convglu import PlainConvGLU
from supernets.methods._lessons import LARGEST, SMALLEST
from supernets.methods._members import Members
from supernets.network import PlainNetwork
from supernets.supernet import Supernet
from tests.strategies import mini_space, noise, randomise_, signature, slots_of, uniform

BOTH = ("mlp", "convglu")


def block(part: str, width: int, expand_ratio: int = 4, sparsity: float = 0.0) -> Signature:
    pick = Options({"kernel_size": 3, "expand_ratio": expand_ratio, "channel_part": part})
    return signature("convnext", pick, Shape.square(8, 8, width, width), sparsity)


def params(spec: Signature) -> int:
    return channel_part_of(spec.pick).cost(spec).params


@pytest.mark.parametrize("width", [96, 192, 384])
def test_a_gated_mlp_of_two_thirds_has_the_parameters_of_an_mlp(width: int) -> None:
    gated, mlp = block("convglu", width), block("mlp", width)
    assert gated.kept["hidden"] == 8 * width // 3
    assert params(gated) == pytest.approx(params(mlp), rel=0.05)
    hidden = 8 * width // 3
    assert signature_cost(gated).depthwise == 64 * 9 * (width + hidden)


def test_hidden_channels_of_a_gated_mlp_are_the_nearest_multiple_of_8() -> None:
    assert [gated_channels(4, width) for width in (1, 4, 8, 16, 24)] == [8, 8, 24, 40, 64]
    assert block("convglu", 8, 1) == block("convglu", 8, 2) != block("convglu", 8, 3)


@torch.no_grad()
def test_convglu_is_the_papers_formula() -> None:
    module = PlainConvGLU(block("convglu", 8, 3))
    randomise_(module, seed=0)
    x_BHWC = noise(2, 5, 5, 8)
    found = module(x_BHWC)
    x = nn.functional.layer_norm(x_BHWC, (8,), module.norm.weight, module.norm.bias, 1e-6)
    both = torch.cat((module.gate.weight, module.expand.weight))
    bias = torch.cat((module.gate.bias, module.expand.bias))
    gate_BHWC, value_BHWC = (x @ both.T + bias).chunk(2, dim=-1)
    padded = nn.functional.pad(gate_BHWC, (0, 0, 1, 1, 1, 1))
    kernel_CHW = module.conv.weight[:, 0]
    seen = sum(
        padded[:, i : i + 5, j : j + 5] * kernel_CHW[:, i, j] for i in range(3) for j in range(3)
    )
    gate_BHWC = nn.functional.gelu(seen + module.conv.bias)
    expected = (gate_BHWC * value_BHWC) @ module.project.weight.T + module.project.bias
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_the_gates_layers_are_on_the_grid_and_the_product_is_not() -> None:
    placement = place(trace(PlainConvGLU(block("convglu", 8))), lambda name: Int8Quantization())
    layers = {layer.name for layer in placement.layers if layer.is_on_grid}
    assert layers == {"gate", "conv", "expand", "project"}
    outside = [point.readers for point in placement.points if not point.for_all]
    assert sorted(outside) == [("gate", "expand"), ("project",)]


def test_a_space_without_the_choice_is_what_it_is_with_the_usual_part_alone() -> None:
    without = mini_space(operators=("window", "mbconv"))
    alone = mini_space(operators=("window", "mbconv"), channel_parts=("mlp",))
    assert not any(choice.name.endswith("channel_part") for choice in without.choices)
    assert slots_of(without) == slots_of(alone)
    assert Supernet(without).state_dict().keys() == Supernet(alone).state_dict().keys()


def test_states_are_called_as_files_have_them() -> None:
    space = mini_space(operators=("window", "convnext"), channel_parts=BOTH)
    shared = {name.partition(".full.")[0] for name, _ in Supernet(space).named_parameters()}
    own = {name.removeprefix("slots.stage1_block1.") for name in shared if "stage1_block1" in name}
    assert own == {"operators.window_8", "operators.convnext", "mlp", "channel_parts.convglu"}
    plain = PlainNetwork(slots_of(space, channel_part="mlp")).state_dict()
    assert "stage1_block1.mlp.expand.weight" in plain


@torch.no_grad()
def test_a_supernet_of_one_part_computes_what_the_one_of_both_does() -> None:
    space = mini_space(operators=("window", "convnext"), channel_parts=BOTH)
    supernet = Supernet(space).eval()
    randomise_(supernet, seed=1)
    images = noise(2, 1, 16, 16)
    for part in BOTH:
        names = [choice.name for choice in space.choices if choice.name.endswith("channel_part")]
        few = space.restricted(dict.fromkeys(names, (part,)))
        slots = few.slots(uniform(few))
        assert slots == slots_of(space, channel_part=part)
        assert torch.equal(supernet.restricted(few)(images, slots), supernet(images, slots))


def test_extreme_members_are_dealt_every_channel_part_equally_often() -> None:
    space = mini_space(operators=("window", "convnext"), channel_parts=BOTH)
    members, column = Members(space=space), space.columns("channel_part")[0]
    for role in (LARGEST, SMALLEST):
        drawn = [members.draw(role, card, np.random.default_rng(0)) for card in range(20)]
        assert [encoding[column] for encoding in drawn].count(0) == 10


def test_an_unknown_channel_part_is_told_the_known_ones_and_the_place() -> None:
    options = (("kernel_size", (3,)), ("expand_ratio", (2,)), ("channel_part", ("mlp", "convgul")))
    stage = Stage(widths=(8,), depths=(1,), operators=("mbconv", "convnext"), options=options)
    message = r"stage1 .*'convnext' with channel_part 'convgul', .* It has (\w+, )*convglu, daff, edge, mlp. Offer these"
    with pytest.raises(UserError, match=message):
        Staged(resolution=16, channels=1, num_classes=2, stages=(stage, stage))
