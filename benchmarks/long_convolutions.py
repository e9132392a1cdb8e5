"""How long kernels are best deployed, and when dilated convolutions beat a fast transform.

    PYTHONPATH=. python benchmarks/long_convolutions.py

First table: what mixes all positions of a map of `--width` channels, as ONNX files on one thread,
ms. "columns and rows" are two depthwise convolutions as long as the map, what `sgconv`, `longconv`
and `s4d` are deployed as; "matrices" the same as a product with a matrix per channel and side;
"plane" one depthwise kernel as large as the map. The last three convolve circularly with a real
spectrum, as `orchid` does: by products with tables of waves, and by onnxruntime's DFT.

Second table: sequences of `--width` channels on one thread, ms: depthwise kernels of 3 taps with
dilations 1, 2, 4, ... up to half of the length, each with ReLU and sum, as in TCNCA, against one
global kernel by a transform of twice the length, whose spectrum is ready. In torch, medians of
interleaved calls, and as files in onnxruntime.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from compress.export import INPUT, IR_VERSION, OPSET, OUTPUT, export_onnx
from nas.cli.console import print_table
from nas.targets import Timing, measure
from supernets._long_convolution import AxialLongConvolution, FreeTaps
from supernets.fold import folded
from supernets.mixers.orchid import Waves

SIDES, LENGTHS = (8, 16, 32), (256, 512, 1024, 2048, 4096)
PROCESSES, WARM_UP, CALLS = 5, 10, 50


class ColumnsAndRows(nn.Module):
    """Two depthwise convolutions, channels first."""

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        taps = FreeTaps(width, 2 * side - 1, "none")
        convs = AxialLongConvolution(width, (side, side), lambda _: taps)
        self.convs = nn.Sequential(convs.vertical, convs.horizontal)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        output: Tensor = self.convs(x_BCHW)
        return output


class Matrices(nn.Module):
    """A matrix per channel along columns, and one along rows."""

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.vertical = nn.Parameter(torch.randn(width, side, side))
        self.horizontal = nn.Parameter(torch.randn(width, side, side))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        return self.vertical @ x_BCHW @ self.horizontal


class Products(nn.Module):
    """A real spectrum by tables of waves, channels last inside."""

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.width, half = width, side // 2 + 1
        self.waves = Waves((side, side))
        self.gains = nn.Parameter(torch.randn(1, half, 1, half, width))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        spectrum = self.waves(x_BCHW.permute(0, 2, 3, 1), self.width)
        return self.waves.inverse(spectrum * self.gains, self.width).permute(0, 3, 1, 2)


def plane(width: int, side: int) -> nn.Module:
    """One kernel that reaches from every corner to every other."""
    return nn.Conv2d(width, width, 2 * side - 1, padding=side - 1, groups=width)


class Dilated(nn.Module):
    """A stack of dilated depthwise convolutions of sequences."""

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv1d(width, width, 3, 1, 2**level, 2**level, groups=width, bias=False)
            for level in range(length.bit_length() - 1)
        )

    def forward(self, x_BCL: Tensor) -> Tensor:
        """The shape that came in."""
        for conv in self.convs:
            x_BCL = x_BCL + conv(x_BCL).relu()
        return x_BCL


def write_transform(path: Path, shape: Sequence[int], *, padding: int = 1) -> None:
    """A real spectrum by DFT nodes, there and back along all axes behind the channels.

    Args:
        path: The file.
        shape: Of one input: channels, then sides.
        padding: Sides are transformed at so many times their length.
    """
    width, *sides = shape
    axes, lengths = range(2, 2 + len(sides)), [padding * side for side in sides]
    gains = np.random.default_rng(0).normal(size=(1, width, *lengths, 1))
    constants = {"gains": gains.astype(np.float32), "last": np.array([-1], np.int64)}
    constants |= {f"axis{axis}": np.array(axis, np.int64) for axis in axes}
    constants |= {f"to{axis}": np.array(n, np.int64) for axis, n in zip(axes, lengths, strict=True)}
    constants |= {
        "starts": np.zeros(len(sides) + 1, np.int64),
        "ends": np.array([*sides, 1], np.int64),
        "cut": np.array([*axes, -1], np.int64),
    }
    nodes = [helper.make_node("Unsqueeze", [INPUT, "last"], ["there"])]
    for axis in axes:
        inputs = [nodes[-1].output[0], f"to{axis}", f"axis{axis}"]
        nodes.append(helper.make_node("DFT", inputs, [f"there{axis}"]))
    nodes.append(helper.make_node("Mul", [nodes[-1].output[0], "gains"], ["back"]))
    for axis in axes:
        inputs = [nodes[-1].output[0], "", f"axis{axis}"]
        nodes.append(helper.make_node("DFT", inputs, [f"back{axis}"], inverse=1))
    inputs = [nodes[-1].output[0], "starts", "ends", "cut"]
    nodes.append(helper.make_node("Slice", inputs, ["real"]))
    nodes.append(helper.make_node("Squeeze", ["real", "last"], [OUTPUT]))
    graph = helper.make_graph(
        nodes,
        "transform",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", *shape])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opset = [helper.make_opsetid("", OPSET)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION), path)


FORMS: dict[str, Callable[[int, int], nn.Module]] = {
    "columns and rows": ColumnsAndRows,
    "matrices": Matrices,
    "plane": plane,
    "spectrum by products": Products,
}


def maps(width: int, folder: Path) -> dict[tuple[str, str], Path]:
    """Files by form and side."""
    files = {}
    for side in SIDES:
        shape, column = (width, side, side), f"{side} px"
        for number, (name, form) in enumerate(FORMS.items()):
            files[name, column] = path = folder / f"{number}_{side}.onnx"
            export_onnx(folded(form(width, side).eval()), path, shape=shape)
        files["spectrum by DFT", column] = path = folder / f"dft_{side}.onnx"
        write_transform(path, shape)
    return files


def sequences(width: int, folder: Path) -> dict[tuple[str, str], Path]:
    """Files by length and way."""
    files = {}
    for length in LENGTHS:
        files[str(length), "dilated, file"] = path = folder / f"{length}.onnx"
        export_onnx(Dilated(width, length).eval(), path, shape=(width, length))
        files[str(length), "DFT, file"] = path = folder / f"dft_{length}.onnx"
        write_transform(path, (width, length), padding=2)
    return files


@torch.no_grad()
def in_torch(width: int) -> dict[tuple[str, str], str]:
    """Milliseconds by length and way."""
    found = {}
    for length in LENGTHS:
        x_BCL, dilated = torch.randn(1, width, length), Dilated(width, length)
        spectrum = torch.fft.rfft(torch.randn(width, length), 2 * length)

        def transformed(x: Tensor, spectrum: Tensor = spectrum, length: int = length) -> Tensor:
            return torch.fft.irfft(torch.fft.rfft(x, 2 * length) * spectrum)[..., :length]

        took: dict[str, list[float]] = {"dilated, torch": [], "FFT, torch": []}
        for turn in range(WARM_UP + CALLS):
            for times, call in zip(took.values(), (dilated, transformed), strict=True):
                start = time.perf_counter()
                call(x_BCL)
                if turn >= WARM_UP:
                    times.append(1e3 * (time.perf_counter() - start))
        found |= {(str(length), way): f"{median(times):.3f}" for way, times in took.items()}
    return found


def timed(files: Mapping[tuple[str, str], Path], seconds: float) -> dict[tuple[str, str], str]:
    """Milliseconds in onnxruntime, by row and column."""
    found = measure("onnxruntime", [*files.values()], processes=PROCESSES, budget_s=seconds)
    return {
        key: f"{timing.median_ms:.3f}" if isinstance(timing, Timing) else "-"
        for key, timing in zip(files, found, strict=True)
    }


def show(cells: Mapping[tuple[str, str], str]) -> None:
    """Print a table of cells by row and column."""
    rows, columns = (list(dict.fromkeys(key[axis] for key in cells)) for axis in (0, 1))
    print_table(
        ["", *columns], [[row, *(cells[row, column] for column in columns)] for row in rows]
    )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--seconds", type=float, default=60.0, help="of timing files")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        both = maps(asked.width, Path(folder)), sequences(asked.width, Path(folder))
        times = timed({**both[0], **both[1]}, asked.seconds)
    show({key: times[key] for key in both[0]})
    show({**in_torch(asked.width), **{key: times[key] for key in both[1]}})


if __name__ == "__main__":
    main()
