"""How far `nas profile` can be believed: equal files, and files of which one is about 5 % slower.

    python benchmarks/timing.py --comparisons 10 --time 8s [--busy 1]

Each comparison times a chain of equal convolutions, the same file again, and a chain with a
twentieth more of them: the first two should be a tie, the third should be found slower. Its true
ratio is that of one long comparison at the end. With `--busy`, so many other processes compute all
the time, which each comparison should say.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nas.profiling.compare import Comparison, compare
from nas.system.text import parse_time
from nas.targets import choose
from nas.targets._conditions import is_noticed, mean_others

LAYERS, MORE_LAYERS = 20, 21


def chain(file: Path, layers: int, channels: int, side: int) -> Path:
    """Writes a network of equal 3x3 convolutions with an activation each."""
    rng = np.random.default_rng(0)
    shape = (channels, channels, 3, 3)
    nodes, weights = [], []
    for i in range(layers):
        weight = rng.normal(0, (2 / (9 * channels)) ** 0.5, shape).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"w{i}"))
        nodes += [
            helper.make_node("Conv", [f"x{i}", f"w{i}"], [f"c{i}"], name=f"c{i}", pads=[1] * 4),
            helper.make_node("Relu", [f"c{i}"], [f"x{i + 1}"], name=f"r{i}"),
        ]
    sizes = ["n", channels, side, side]
    given = helper.make_tensor_value_info("x0", TensorProto.FLOAT, sizes)
    made = helper.make_tensor_value_info(f"x{layers}", TensorProto.FLOAT, sizes)
    graph = helper.make_graph(nodes, "chain", [given], [made], weights)
    opset = helper.make_opsetid("", 20)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), file)
    return file


def compared(files: list[Path], seconds: float) -> Comparison:
    """One comparison on one thread."""
    return compare(files, chosen=choose("onnxruntime"), seconds=seconds)


@contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """So many processes compute meanwhile."""
    with ExitStack() as stack:
        for _ in range(number):
            process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


def main() -> None:
    """Print a line per comparison and the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparisons", type=int, default=10)
    parser.add_argument("--time", default="8s")
    parser.add_argument("--long", default="20s")
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--side", type=int, default=12)
    parser.add_argument("--busy", type=int, default=0)
    options = parser.parse_args()
    ties = found = noticed = 0
    with busy_processes(options.busy), tempfile.TemporaryDirectory() as folder:
        sizes = options.channels, options.side
        plain = chain(Path(folder, "plain.onnx"), LAYERS, *sizes)
        slower = chain(Path(folder, "slower.onnx"), MORE_LAYERS, *sizes)
        for number in range(1, options.comparisons + 1):
            done = compared([plain, plain, slower], parse_time(options.time))
            same, delayed, _ = done.pairs
            ties += same.is_tie
            found += not delayed.is_tie and delayed.ratio > 1.0
            others = mean_others(done.kept_blocks)
            noticed += is_noticed(others)
            print(
                f"{number:3} {done.timings[0].median_ms:.4f} ms, {len(done.blocks)} processes in "
                f"{done.seconds:.1f} s, {len(done.left_out)} left out, width {done.width:.1%}, "
                f"others {'unknown' if others is None else f'{others:.2f}'}; "
                f"same {same.ratio:.4f} {'tie' if same.is_tie else 'told apart'}, slower "
                f"{delayed.ratio:.4f} {'tie' if delayed.is_tie else 'told apart'}",
                flush=True,
            )
        print(f"ties of equal files {ties} of {options.comparisons}")
        print(f"the slower one found {found} of {options.comparisons}")
        print(f"said to be measured beside others {noticed} of {options.comparisons}")
        (pair,) = compared([plain, slower], parse_time(options.long)).pairs
        print(f"its ratio {pair.ratio:.4f}, {pair.interval[0]:.4f} to {pair.interval[1]:.4f}")


if __name__ == "__main__":
    main()
