"""Weights of four bits: how they are stored, what they stand for, and that files agree."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from compress.export import export_onnx
from compress.quantize import LayerStats
from compress.quantize.int4w import (
    HIGHEST,
    LOWEST,
    FourBitLinear,
    Int4WeightQuantization,
    coded,
    packed,
    unpacked,
)
from nas.testing._exported import answers
from nas.testing._tensors import noise
from search_spaces import GROUP_SIZE

ATOL = 1e-5


@pytest.mark.parametrize("inputs", [1, 31, 32, 33, 70])
def test_bytes_hold_the_codes_of_full_groups(inputs: int) -> None:
    weight = noise(5, inputs)
    codes, scale = coded(weight)
    groups = -(-inputs // GROUP_SIZE)
    assert codes.shape == (5, groups, GROUP_SIZE)
    assert (packed(codes).shape, packed(codes).dtype) == ((5, groups, 16), torch.uint8)
    stored = unpacked(packed(codes), scale.flatten())
    torch.testing.assert_close(stored, (codes * scale[..., None]).flatten(1), rtol=0, atol=0)
    assert not stored[:, inputs:].any()
    assert (stored[:, :inputs] - weight).abs().max() < weight.abs().max() / 4


def test_the_scale_of_a_group_errs_less_than_that_of_its_largest_weight() -> None:
    weight = noise(64, 128)
    codes, scale = coded(weight)
    found = ((codes * scale[..., None]).flatten(1) - weight).square().sum()
    plain = weight.unflatten(1, (-1, GROUP_SIZE)).abs().amax(-1, keepdim=True) / HIGHEST
    rounded = torch.round(weight.unflatten(1, (-1, GROUP_SIZE)) / plain) * plain
    assert found < 0.8 * (rounded.flatten(1) - weight).square().sum()
    assert codes.min() == LOWEST
    assert codes.max() == HIGHEST


def test_a_group_of_zeros_stays_zero() -> None:
    weight = torch.zeros(2, 40)
    weight[0, 3] = 1.0
    codes, scale = coded(weight)
    stored = unpacked(packed(codes), scale.flatten())[:, :40]
    assert stored.isfinite().all()
    assert stored[1].abs().max() == 0.0
    assert stored[0, 3] == pytest.approx(1.0, rel=0.15)


@pytest.mark.parametrize("shape", [(40,), (3, 64), (2, 3, 24)], ids=str)
def test_a_file_answers_as_the_module(shape: tuple[int, ...], tmp_path: Path) -> None:
    layer = FourBitLinear(nn.Linear(shape[-1], 12, bias=len(shape) > 1)).eval()
    images = noise(4, *shape)
    images[1] = 0.0
    export_onnx(layer, tmp_path / "a.onnx", shape=shape)
    np.testing.assert_allclose(
        answers(tmp_path / "a.onnx", images), layer(images).numpy(), rtol=0, atol=ATOL
    )
    (node,) = onnx.load(tmp_path / "a.onnx").graph.node
    assert (node.op_type, node.domain) == ("MatMulNBits", "com.microsoft")


def test_convolutions_keep_eight_bits() -> None:
    layer = Int4WeightQuantization().layer(nn.Conv2d(4, 4, 3), LayerStats(False))
    assert layer.get_buffer("weight").dtype == torch.int8
