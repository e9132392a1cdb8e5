"""Integers that are made at run time: that files agree, and what they depend on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compress.export import export_onnx
from compress.quantize.int8_dynamic import DynamicLinear
from nas.system.environment import int8_products_saturate
from nas.targets import TARGETS
from nas.testing._exported import answers
from nas.testing._tensors import noise

ATOL = 1e-5


@pytest.fixture
def layer() -> DynamicLinear:
    torch.manual_seed(0)
    weight_max = 63 if int8_products_saturate() else 127
    return DynamicLinear(nn.Linear(40, 12), weight_max).eval()


@pytest.mark.parametrize(
    "images",
    [noise(4, 40), noise(2, 5, 40), noise(2, 3, 5, 40) + 4, noise(3, 40) - 9, torch.zeros(2, 40)],
    ids=["rows", "tokens", "positive", "negative", "zero"],
)
def test_a_file_answers_as_the_module_by_one_integer_kernel(
    layer: DynamicLinear, images: Tensor, tmp_path: Path
) -> None:
    file = tmp_path / "a.onnx"
    export_onnx(layer, file, shape=tuple(images.shape[1:]))
    np.testing.assert_allclose(answers(file, images), layer(images).numpy(), rtol=0, atol=ATOL)
    assert TARGETS.get("onnxruntime")().integer_kernels(file) == 1


def test_the_range_is_that_of_all_images_of_a_call(layer: DynamicLinear) -> None:
    images = noise(2, 40)
    together = layer(torch.cat((images, 20 * images)))
    alone = layer(images)
    assert not torch.equal(together[:2], alone)
    torch.testing.assert_close(together[:2], alone, rtol=0, atol=0.5)


def test_weights_keep_to_the_largest_one() -> None:
    for most in (63, 127):
        weight = DynamicLinear(nn.Linear(40, 12), most).get_buffer("weight")
        assert (weight.shape, int(weight.abs().max())) == ((40, 12), most)
