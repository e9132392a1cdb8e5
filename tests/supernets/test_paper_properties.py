"""What the papers say an operator does, checked on its plain module."""

import pytest
import torch
from torch import nn

from search_spaces import Options, Shape, Signature, declaration, signature_cost
from search_spaces.operators._base import AbstractMixer
from supernets.channel_parts.mlp import PlainMLP
from supernets.mixers.inception import PlainInception
from supernets.mixers.sra import PlainSRA
from supernets.network import plain_module
from tests.strategies import noise, randomise_, signature


def block(operator: str, shape: Shape, **pick: int) -> Signature:
    return signature(operator, Options({"expand_ratio": 4, **pick}), shape)


def square(size: int, width: int, head_dim: int = 8) -> Shape:
    return Shape.square(size, size, width, width, 0, head_dim)


def mixer_macs(spec: Signature) -> int:
    rule = declaration(spec.operator)
    assert isinstance(rule, AbstractMixer)
    return rule.mixer_cost(spec).macs


def test_inception_passes_five_eighths_of_the_channels_untouched() -> None:
    module = PlainInception(block("inception", square(16, 64)))
    randomise_(module, seed=0)
    x_BHWC = noise(2, 16, 16, 64)
    y_BHWC = module(x_BHWC)
    assert torch.equal(y_BHWC[..., :40], x_BHWC[..., :40])
    assert (y_BHWC[..., 40:] != x_BHWC[..., 40:]).any(dim=(0, 1, 2)).all()


def test_inception_mixes_with_a_thirteenth_of_a_7_x_7_kernels_multiply_adds() -> None:
    shape = square(56, 96)
    full = mixer_macs(block("convnext", shape, kernel_size=7))
    split = mixer_macs(block("inception", shape))
    assert full / split == 49 / 3.875


def test_attention_without_reduction_is_multi_head_attention() -> None:
    module = PlainSRA(block("sra", square(6, 32), num_heads=4, sr_ratio=1))
    randomise_(module, seed=1)
    reference = nn.MultiheadAttention(32, 4, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([module.q.weight, module.kv.weight]))
        reference.in_proj_bias.copy_(torch.cat([module.q.bias, module.kv.bias]))
        reference.out_proj.load_state_dict(module.project.state_dict())
        x_BHWC = noise(2, 6, 6, 32)
        tokens = module.norm(x_BHWC).reshape(2, 36, 32)
        expected = reference(tokens, tokens, tokens)[0].reshape(2, 6, 6, 32)
        assert (module(x_BHWC) - expected).abs().max() <= 1e-5


@pytest.mark.parametrize("ratio", [2, 4, 8])
def test_reduction_divides_attentions_multiply_adds_by_its_square(ratio: int) -> None:
    plain, reduced = (
        signature_cost(block("sra", square(56, 64), num_heads=8, sr_ratio=r)) for r in (1, ratio)
    )
    assert plain.attention == reduced.attention * ratio**2
    assert plain.attention == 2 * 3136**2 * 64


def test_a_reduction_that_does_not_divide_the_map_or_leaves_one_key_is_lowered() -> None:
    ratios = [
        block("sra", square(size, 16), num_heads=1, sr_ratio=4).pick["sr_ratio"]
        for size in (7, 8, 9, 14, 4, 3)
    ]
    assert ratios == [1, 4, 3, 2, 2, 1]


def test_moat_has_no_mlp_and_costs_its_two_halves() -> None:
    shape = square(14, 32)
    spec = block("moat", shape, kernel_size=3, num_heads=4)
    module = plain_module(spec)
    assert not [child for child in module.modules() if isinstance(child, PlainMLP)]
    conv = signature_cost(block("mbconv", shape, kernel_size=3)).macs
    attention = mixer_macs(block("window", shape, num_heads=4))
    assert signature_cost(spec).macs == conv + attention


def test_moat_never_shifts_its_windows() -> None:
    odd = Shape.square(14, 14, 32, 32, 1, 8)
    assert block("window", odd, num_heads=1).pick["shift"] != 0
    assert block("moat", odd, kernel_size=3, num_heads=1).pick["shift"] == 0


def test_an_expansion_of_1_has_no_expanding_convolution() -> None:
    names = [
        name
        for name, _ in plain_module(
            signature("mbconv", Options({"kernel_size": 3, "expand_ratio": 1}), square(8, 16))
        ).named_parameters()
    ]
    assert names
    assert not [name for name in names if name.startswith("expand")]
