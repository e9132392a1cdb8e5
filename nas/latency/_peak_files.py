"""The ONNX files that show what a machine does at most: nothing at all, products, or additions.

Products and additions repeat their kernel, so that what surrounds it hardly counts: a chain of
equal matrix products, of reals or of eight-bit integers, and chains of additions of two tensors (a
read, a read, a write).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compress.export import INPUT, IR_VERSION, OPSET, OUTPUT

ROWS, WIDTH = 256, 1024
PRODUCTS = 2
INTEGER_PRODUCTS = 4
PRODUCT_MACS = ROWS * WIDTH * WIDTH
"""Multiply-adds of one matrix product."""

ADDITIONS = {4_096: 64, 32_768: 64, 262_144: 16, 2_097_152: 4, 33_554_432: 2}
"""By bytes of one tensor how many additions a chain has."""

TENSORS = 3
"""That an addition reads or writes."""

SCALE = 0.05


def write_nothing(file: Path) -> None:
    """A network that returns its input, one number."""
    _write(file, [helper.make_node("Identity", [INPUT], [OUTPUT])], [], ["batch", 1])


def write_products(file: Path) -> int:
    """A chain of matrix products in fp32; returns its multiply-adds."""
    nodes = [
        helper.make_node("MatMul", [_value(i, PRODUCTS), "weights"], [_value(i + 1, PRODUCTS)])
        for i in range(PRODUCTS)
    ]
    weights = numpy_helper.from_array(_weights().astype(np.float32), "weights")
    _write(file, nodes, [weights], ["batch", ROWS, WIDTH])
    return PRODUCTS * PRODUCT_MACS


def write_integer_products(file: Path) -> int:
    """A chain of matrix products of eight-bit integers; returns its multiply-adds.

    Reals are quantized before the first one and made again after the last one, as runtimes expect
    quantized networks to be written.
    """
    nodes = [_quantized(INPUT, "q0"), _reals("q0", "r0")]
    for i in range(INTEGER_PRODUCTS):
        end = OUTPUT if i == INTEGER_PRODUCTS - 1 else f"r{i + 1}"
        nodes += [
            helper.make_node("DequantizeLinear", ["weights", "scale", "no_shift"], [f"w{i}"]),
            helper.make_node("MatMul", [f"r{i}", f"w{i}"], [f"p{i}"]),
            _quantized(f"p{i}", f"q{i + 1}"),
            _reals(f"q{i + 1}", end),
        ]
    weights = [
        numpy_helper.from_array(_weights().astype(np.int8), "weights"),
        numpy_helper.from_array(np.array(SCALE, np.float32), "scale"),
        numpy_helper.from_array(np.array(128, np.uint8), "shift"),
        numpy_helper.from_array(np.array(0, np.int8), "no_shift"),
    ]
    _write(file, nodes, weights, ["batch", ROWS, WIDTH])
    return INTEGER_PRODUCTS * PRODUCT_MACS


def write_additions(file: Path, tensor_bytes: int) -> int:
    """A chain of additions; returns how many there are."""
    number = ADDITIONS[tensor_bytes]
    nodes = [
        helper.make_node("Add", [_value(i, number), INPUT], [_value(i + 1, number)])
        for i in range(number)
    ]
    _write(file, nodes, [], ["batch", tensor_bytes // 4])
    return number


def _weights() -> np.ndarray:
    return np.random.default_rng(0).integers(-64, 65, (WIDTH, WIDTH))


def _value(number: int, last: int) -> str:
    return INPUT if number == 0 else OUTPUT if number == last else f"x{number}"


def _quantized(source: str, to: str) -> onnx.NodeProto:
    return helper.make_node("QuantizeLinear", [source, "scale", "shift"], [to])


def _reals(source: str, to: str) -> onnx.NodeProto:
    return helper.make_node("DequantizeLinear", [source, "scale", "shift"], [to])


def _write(
    file: Path,
    nodes: Sequence[onnx.NodeProto],
    weights: Sequence[onnx.TensorProto],
    shape: Sequence[int | str],
) -> None:
    given = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)
    made = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape)
    graph = helper.make_graph(list(nodes), "peak", [given], [made], list(weights))
    opset = helper.make_opsetid("", OPSET)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION), file)
