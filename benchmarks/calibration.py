"""What calibrations are worth in int8, on trained networks that were brought.

    python benchmarks/calibration.py --minutes 1 --networks resnet,mobilenet,convnext,vit

Plain PyTorch networks are trained on Fashion-MNIST, so many minutes each (`--folder` keeps them),
and brought without pruning. Of each: accuracy on test images of its int8 file, and how far the
correlation of its logits with those of the fp32 file is from 1, per calibration, on distilled
images, and as `quantize_static` of onnxruntime makes it of the same fp32 file and images. All files
are asked by onnxruntime. Seconds are those of calibrating and quantizing.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnxruntime import quantization as ort
from safetensors.torch import load_file, save_file
from torch import nn

from compress.apply import quantize
from compress.bring.bring import bring, give_weights, space_of
from compress.calibration import CALIBRATIONS
from compress.distilled import distilled
from compress.export import INPUT, export_onnx
from nas.cli.console import print_table
from nas.data import DataSet, load_data
from nas.system.environment import int8_products_saturate
from nas.system.text import words
from search_spaces import UserError
from supernets.fold import folded
from supernets.supernet import Supernet

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.compress.bring import models

BATCH, RATE = 64, 4e-3
CALIBRATION_BATCH = 128


def mobilenet_relu() -> nn.Module:
    """With ReLU for ReLU6, which bounds its values."""
    network = models.MobileNet(1, has_se=False)
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.ReLU6):
            network.set_submodule(name, nn.ReLU())
    return network


NETWORKS = {
    "resnet": lambda: models.ResNet(1, channels=1),
    "mobilenet": lambda: models.MobileNet(1, has_se=False),
    "mobilenet-relu": mobilenet_relu,
    "convnext": lambda: models.ConvNeXt(1),
    "vit": lambda: models.ViT(1, side=28),
}


def main() -> None:
    """Prints a row per network and way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="of training, per network")
    parser.add_argument("--networks", type=words, default=tuple(NETWORKS))
    parser.add_argument("--images", type=int, default=256, help="of the calibration")
    parser.add_argument("--test", type=int, default=10_000, help="images of the test split")
    parser.add_argument("--folder", type=Path, help="keeps weights, or has them")
    asked = parser.parse_args()
    data = load_data("fashion-mnist")
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        for name in asked.networks:
            network = trained(name, data, 60 * asked.minutes, folder)
            rows = list(measured(network, data, asked, folder))
            print(name)
            print_table(["how", "accuracy %", "1 - correlation", "seconds"], rows)


def trained(name: str, data: DataSet, seconds: float, folder: Path) -> nn.Module:
    """A network after so much time, in evaluation mode."""
    torch.manual_seed(0)
    network, file = NETWORKS[name](), folder / f"{name}.safetensors"
    if file.exists():
        network.load_state_dict(load_file(file))
        return network.eval()
    images = torch.from_numpy(data.normalised(data.train.images_NCHW))
    labels = torch.from_numpy(data.train.labels_N)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.02)
    started, steps = time.perf_counter(), 0
    while (done := (time.perf_counter() - started) / seconds) < 1.0:
        batch = torch.randint(len(labels), (BATCH,))
        loss = nn.functional.cross_entropy(network(images[batch]), labels[batch])
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, 10 * done) * (1.0 - done)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
    print(f"{name}: {steps} steps of {BATCH} images")
    save_file(network.state_dict(), file)
    return network.eval()


def measured(network: nn.Module, data: DataSet, asked: Any, folder: Path) -> Iterator[list[str]]:
    """A row per way to an int8 file; the first one is that of the fp32 file."""
    shape = (data.channels, data.resolution, data.resolution)
    brought = bring("network", network, channels=data.channels, resolution=data.resolution)
    space = space_of(brought).with_policy(("int8",), (0.0,))
    supernet = Supernet(space)
    give_weights(supernet, brought)
    slots = space.slots(space.canonical([0] * len(space.choices)))
    plain = supernet.eval().extract(slots).eval()
    seen = data.normalised(data.calibration.take(asked.images).images_NCHW)
    real = torch.from_numpy(seen).split(CALIBRATION_BATCH)
    reduced = int8_products_saturate()
    test = data.test.take(asked.test)
    images, labels = data.normalised(test.images_NCHW), test.labels_N
    fp32 = folder / "fp32.onnx"
    export_onnx(folded(plain), fp32, shape=shape)
    expected = answers(fp32, images)

    def row(how: str, file: Path, seconds: float) -> list[str]:
        found = answers(file, images)
        accuracy = 100 * (found.argmax(1) == labels).mean()
        apart = 1 - np.corrcoef(found.ravel(), expected.ravel())[0, 1]
        return [how, f"{accuracy:.2f}", f"{apart:.2e}", f"{seconds:.2f}"]

    def ours(how: str, batches: Any, calibrated_by: str) -> list[str]:
        started = time.perf_counter()
        found = quantize(
            folded(plain),
            slots,
            batches,
            calibrated_by=calibrated_by,
            needs_reduced_range=reduced,
        )
        seconds = time.perf_counter() - started
        export_onnx(found.network, folder / "int8.onnx", shape=shape)
        return row(how, folder / "int8.onnx", seconds)

    yield row("fp32", fp32, 0.0)
    for name in CALIBRATIONS:
        yield ours(name, real, name)
    try:
        started = time.perf_counter()
        made = distilled(plain, shape=shape)
        seconds = time.perf_counter() - started
        print(f"distilled in {seconds:.1f} s: {made.first_loss:.3g} -> {made.loss:.3g}")
        for name in CALIBRATIONS:
            yield ours(f"{name}, distilled images", [made.images_BCHW], name)
    except UserError as error:
        print(error)
    for method in ("MinMax", "Percentile", "Entropy"):
        started = time.perf_counter()
        by_onnxruntime(fp32, folder / "theirs.onnx", real, method, reduce_range=reduced)
        seconds = time.perf_counter() - started
        yield row(f"quantize_static {method}", folder / "theirs.onnx", seconds)


def by_onnxruntime(fp32: Path, to: Path, batches: Any, method: str, *, reduce_range: bool) -> None:
    """Quantizes a file as onnxruntime does."""

    class Reader(ort.CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {INPUT: batch.numpy()}

    ort.quantize_static(
        fp32,
        to,
        Reader(),
        quant_format=ort.QuantFormat.QDQ,
        per_channel=True,
        reduce_range=reduce_range,
        activation_type=ort.QuantType.QUInt8,
        weight_type=ort.QuantType.QInt8,
        calibrate_method=getattr(ort.CalibrationMethod, method),
    )


def answers(file: Path, images: np.ndarray) -> np.ndarray:
    """Logits of a file on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options)
    batches = [images[i : i + 200] for i in range(0, len(images), 200)]
    return np.concatenate([session.run(None, {INPUT: batch})[0] for batch in batches])


if __name__ == "__main__":
    main()
