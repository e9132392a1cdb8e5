"""How transforms of a map are best written for onnxruntime: milliseconds of one image.

    PYTHONPATH=. python benchmarks/spectra.py --sides 14,28,56 --width 96

Discrete cosine transforms of a map as two products with constants, channels first (what
`supernets/_spectra.py` does) or last, as one product with the matrix of both sides, and as two 1x1
convolutions; onnxruntime's own Fourier transform of both sides; one level of wavelets as two
products, and as depthwise convolutions of 5 and 7 taps, whose borders are zeros instead of mirrored
and which leave trees where they are. One thread, medians of interleaved rounds in one process.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import numpy as np
import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from nas.cli.console import print_table
from supernets._spectra import Separable, cosine_transform, wavelet_analysis

ROUNDS, WARM_UP = 200, 20
TAPS = (5, 7)
node = helper.make_node

Made = tuple[Sequence[NodeProto], Mapping[str, np.ndarray], tuple[int, ...]]
"""Nodes from "x" to "y", constants, and the shape of "x"."""


def main() -> None:
    """Print a row per way to write it, a column per side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", default="14,28,56")
    parser.add_argument("--width", type=int, default=96)
    asked = parser.parse_args()
    sides = [int(side) for side in asked.sides.split(",")]
    columns = [timed(side, asked.width) for side in sides]
    rows = [[name, *(f"{column[name]:.3f}" for column in columns)] for name in columns[0]]
    print_table(["milliseconds", *(f"{side} px" for side in sides)], rows)


def timed(side: int, width: int) -> dict[str, float]:
    """Milliseconds by the way it is written."""
    cosines, wavelets = (make((side, side)) for make in (cosine_transform, wavelet_analysis))
    calls = {
        "cosines, channels first": call(*first(cosines, side, width)),
        "cosines, channels last": call(*last(cosines, side, width)),
        "cosines, one matrix": call(*at_once(cosines, side, width)),
        "cosines, 1x1 convolutions": call(*convolutions(cosines, side, width)),
        "Fourier": call(*fourier(side, width)),
        "wavelets, channels first": call(*first(wavelets, side, width)),
        "wavelets, channels last": call(*last(wavelets, side, width)),
        "wavelets, depthwise": call(*depthwise(side, width)),
    }
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(WARM_UP + ROUNDS):
        for name, run in calls.items():
            start = time.perf_counter()
            run()
            if number >= WARM_UP:
                taken[name].append(1000 * (time.perf_counter() - start))
    return {name: median(each) for name, each in taken.items()}


def call(
    nodes: Sequence[NodeProto], constants: Mapping[str, np.ndarray], shape: tuple[int, ...]
) -> Callable[[], object]:
    """A session of the nodes, on an image of noise."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model(nodes, constants, shape), options)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return lambda: session.run(None, {"x": x})


def model(
    nodes: Sequence[NodeProto], constants: Mapping[str, np.ndarray], shape: tuple[int, ...]
) -> bytes:
    """The file."""
    tensors = [
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "spectra", [given], [made], tensors)
    found: ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9
    )
    return found.SerializeToString()


def matrices(transform: Separable) -> dict[str, np.ndarray]:
    """Those of columns and of rows."""
    return {"rows": transform.rows_PH.numpy(), "columns": transform.columns_WQ.numpy()}


def first(transform: Separable, side: int, width: int) -> Made:
    """As `Separable` exports itself."""
    nodes = [node("MatMul", ["rows", "x"], ["a"]), node("MatMul", ["a", "columns"], ["y"])]
    return nodes, matrices(transform), (1, width, side, side)


def last(transform: Separable, side: int, width: int) -> Made:
    """Products from the left alone."""
    rows = transform.rows_PH.numpy()
    nodes = [
        node("Reshape", ["x", "flat"], ["a"]),
        node("MatMul", ["rows", "a"], ["b"]),
        node("Reshape", ["b", "map"], ["c"]),
        node("MatMul", ["rows", "c"], ["y"]),
    ]
    constants = {
        "rows": rows,
        "flat": np.array([-1, side, side * width]),
        "map": np.array([-1, len(rows), side, width]),
    }
    return nodes, constants, (1, side, side, width)


def at_once(transform: Separable, side: int, width: int) -> Made:
    """A product with the matrix of all positions."""
    rows = transform.rows_PH.numpy()
    nodes = [node("Reshape", ["x", "flat"], ["a"]), node("MatMul", ["both", "a"], ["y"])]
    constants = {"both": np.kron(rows, rows), "flat": np.array([-1, side * side, width])}
    return nodes, constants, (1, side, side, width)


def convolutions(transform: Separable, side: int, width: int) -> Made:
    """Sides in the place of channels, one after the other."""
    turn = {"perm": [0, 2, 1, 3]}
    nodes = [
        node("Conv", ["x", "kernel"], ["a"]),
        node("Transpose", ["a"], ["b"], **turn),
        node("Conv", ["b", "kernel"], ["c"]),
        node("Transpose", ["c"], ["y"], **turn),
    ]
    kernel = transform.rows_PH.numpy()[:, :, None, None]
    return nodes, {"kernel": kernel}, (1, side, side, width)


def fourier(side: int, width: int) -> Made:
    """onnxruntime's operator, along both sides."""
    nodes = [
        node("Unsqueeze", ["x", "end"], ["a"]),
        node("DFT", ["a", "", "height"], ["b"]),
        node("DFT", ["b", "", "width"], ["y"]),
    ]
    constants = {"end": np.array([-1]), "height": np.array(2), "width": np.array(3)}
    return nodes, constants, (1, width, side, side)


def depthwise(side: int, width: int) -> Made:
    """Two filters of columns, and two of rows of what either gives."""
    rng = np.random.default_rng(0)
    nodes, constants, outputs = [], {}, []
    for i, tall in enumerate(TAPS):
        constants[f"column{i}"] = rng.normal(size=(width, 1, tall, 1)).astype(np.float32)
        pads = [tall // 2, 0, tall // 2, 0]
        nodes.append(node("Conv", ["x", f"column{i}"], [f"a{i}"], group=width, pads=pads))
        for j, wide in enumerate(TAPS):
            constants[f"row{j}"] = rng.normal(size=(width, 1, 1, wide)).astype(np.float32)
            pads = [0, wide // 2, 0, wide // 2]
            outputs.append(f"b{i}{j}")
            nodes.append(node("Conv", [f"a{i}", f"row{j}"], [outputs[-1]], group=width, pads=pads))
    nodes.append(node("Concat", outputs, ["y"], axis=1))
    return nodes, constants, (1, width, side, side)


if __name__ == "__main__":
    main()
