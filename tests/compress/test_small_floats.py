"""Floating-point numbers of eight bits: every value, rounding to them here and in a runtime."""

import itertools

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from compress.quantize import QUANTIZATIONS, LayerStats
from compress.quantize._small_floats import ONNX_TYPES, SmallFloatLinear, largest_of, rounded
from nas.testing._tensors import noise
from search_spaces import Cost, format_of

E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2
BITS = {E4M3: (4, 3), E5M2: (5, 2)}
"""Of exponent and mantissa."""

by_type = pytest.mark.parametrize("dtype", BITS, ids=str)


def values_of(dtype: torch.dtype) -> list[float]:
    """Those of the codes 0 to 127 that are numbers, in order: by their definition."""
    exponent_bits, mantissa_bits = BITS[dtype]
    bias, ones = 2 ** (exponent_bits - 1) - 1, 2**exponent_bits - 1
    found = []
    for exponent, mantissa in itertools.product(range(ones + 1), range(2**mantissa_bits)):
        if exponent == ones and (dtype == E5M2 or mantissa == 2**mantissa_bits - 1):
            continue  # infinities and what is no number
        whole = mantissa / 2**mantissa_bits + (exponent > 0)
        found.append(whole * 2.0 ** (max(exponent, 1) - bias))
    return found


@by_type
def test_the_type_has_the_values_of_its_definition(dtype: torch.dtype) -> None:
    codes = torch.arange(128, dtype=torch.uint8).view(dtype).float().numpy()
    expected = values_of(dtype)
    assert codes[: len(expected)].tolist() == expected == sorted(expected)
    assert not np.isfinite(codes[len(expected) :]).any()
    assert largest_of(dtype) == expected[-1] == {E4M3: 448, E5M2: 57344}[dtype]
    negative = torch.arange(128, 256).to(torch.uint8).view(dtype).float().numpy()
    assert (-negative[: len(expected)]).tolist() == expected


@by_type
def test_numbers_round_to_the_nearest_value_and_ties_to_the_even_code(dtype: torch.dtype) -> None:
    values = np.array(values_of(dtype), np.float32)
    middles = (values[1:] + values[:-1]) / 2
    even = np.where(np.arange(len(middles)) % 2 == 0, values[:-1], values[1:])
    below, above = np.nextafter(middles, 0), np.nextafter(middles, np.float32(np.inf))
    for given, wanted in (
        (values, values),
        (middles, even),
        (below, values[:-1]),
        (above, values[1:]),
        (2 * values[-1:], values[-1:]),
        (np.array([np.inf], np.float32), values[-1:]),
    ):
        for sign in (1, -1):
            found = rounded(torch.from_numpy(sign * given), dtype).float().numpy()
            assert found.tolist() == (sign * wanted).tolist()


@by_type
def test_the_runtime_rounds_every_number_alike(dtype: torch.dtype) -> None:
    small, number = ONNX_TYPES[dtype], TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["small"], to=small),
            helper.make_node("Cast", ["small"], ["y"], to=number),
        ],
        "casts",
        [helper.make_tensor_value_info("x", number, [None])],
        [helper.make_tensor_value_info("y", number, [None])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    given = torch.cat([noise(4096, 1, 1, 1).flatten() * 10.0**power for power in range(-9, 7)])
    (answered,) = session.run(None, {"x": given.numpy()})
    assert np.array_equal(answered, rounded(given, dtype).float().numpy())


@by_type
def test_weights_err_relatively_and_the_largest_of_a_channel_not_at_all(dtype: torch.dtype) -> None:
    layer = nn.Linear(64, 16)
    small = SmallFloatLinear(layer, dtype)
    before, after = layer.weight.detach(), small.weight_fp32()
    share = (after - before).abs() / before.abs()
    smallest = 2.0 ** -(BITS[dtype][1] + 1)
    assert float(share.quantile(0.99)) <= smallest + 1e-6
    places = before.abs().argmax(1, keepdim=True)
    assert torch.allclose(after.gather(1, places), before.gather(1, places), rtol=1e-6)


def test_gradients_stop_only_where_numbers_are_clipped() -> None:
    layer = QUANTIZATIONS.get("fp8-e4m3")().layer(nn.Linear(3, 1, bias=False), LayerStats(False))
    x = torch.tensor([[0.1, -500.0, 448.0]], requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad[0] != 0, torch.tensor([True, False, True]))


def test_they_cost_what_integers_of_eight_bits_do_and_have_no_integer_kernels() -> None:
    cost = Cost(dense=1000, attention=100)
    for name in ("fp8-e4m3", "fp8-e5m2"):
        own = format_of(name)
        assert own.bit_ops(cost) == format_of("int8").bit_ops(cost)
        assert not own.multiplies_integers
        assert own.is_quantized
