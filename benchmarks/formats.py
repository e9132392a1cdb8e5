"""What each format is worth: bytes, latency and answers of four kinds of networks.

    PYTHONPATH=. python benchmarks/formats.py --minutes 3

Plain PyTorch networks are trained on `digits` for half of the time, brought, and exported in every
format that the target has, and in that of `examples/plugins/fp16w.py`. Files are timed in
interleaved rounds of fresh processes, one image at a time, on one thread.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compress.apply import compress
from compress.bring.bring import bring, give_weights, space_of
from compress.export import export_onnx
from nas.data import DataSet, load_data
from nas.system.environment import int8_products_saturate
from nas.targets import Timing, choose, measure
from search_spaces import FORMATS, FULL_PRECISION, SearchSpace, load_plugins
from supernets.supernet import Supernet
from tests.compress.bring.models import ConvNeXt, Mixer, ResNet, ViT

PLUGIN = Path(__file__).parents[1] / "examples" / "plugins" / "fp16w.py"
PROCESSES, BATCH, CALIBRATION = 3, 32, 128
NETWORKS: Mapping[str, Callable[[], nn.Module]] = {
    "ResNet, 32 to 128 channels": lambda: ResNet(depth=2, width=32, channels=1),
    "ConvNeXt, 96 and 192": lambda: ConvNeXt(channels=1, width=96),
    "ViT, 192": lambda: ViT(channels=1, width=192),
    "Mixer, 192": lambda: Mixer(channels=1, width=192, hidden=768),
}


@dataclass(frozen=True)
class Exported:
    """A network in one format.

    Attributes:
        file: ONNX.
        declared: Bytes that the space says it has.
        logits: Of the test split, simulated: (images, classes).
    """

    file: Path
    declared: float
    logits: Tensor


def main() -> None:
    """Print one table per network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--target", default="onnxruntime")
    options = parser.parse_args()
    seconds = 60 * options.minutes / (2 * len(NETWORKS))
    load_plugins([PLUGIN])
    target = choose(options.target).target
    formats = tuple(name for name in FORMATS.names() if target.offers(name))
    data = load_data("digits")
    for name, make in NETWORKS.items():
        torch.manual_seed(0)
        network = trained(make(), data, seconds)
        with tempfile.TemporaryDirectory() as folder:
            found = exported(network, data, formats, Path(folder))
            report(name, found, data, options.target, seconds)


def trained(network: nn.Module, data: DataSet, seconds: float) -> nn.Module:
    """The network after so many seconds of AdamW with a rate that falls to zero."""
    images = torch.from_numpy(data.normalised(data.train.images_NCHW))
    labels = torch.from_numpy(data.train.labels_N)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    started = time.monotonic()
    while (share := (time.monotonic() - started) / seconds) < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (1 - share)
        batch = torch.randint(len(labels), (BATCH,))
        loss = F.cross_entropy(network(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


@torch.no_grad()
def exported(
    network: nn.Module, data: DataSet, formats: tuple[str, ...], folder: Path
) -> dict[str, Exported]:
    """The whole network in every format."""
    brought = bring("model", network, channels=data.channels, resolution=data.resolution)
    space = space_of(brought).with_policy(formats, (0.0,))
    supernet = Supernet(space).eval()
    give_weights(supernet, brought)
    images = torch.from_numpy(data.normalised(data.train.images_NCHW[:CALIBRATION]))
    test = torch.from_numpy(data.normalised(data.test.images_NCHW))
    found = {}
    for name in formats:
        encoding = uniform(space, name)
        slots = space.slots(encoding)
        deployed = compress(
            supernet.extract(slots),
            slots,
            images.split(BATCH),
            needs_reduced_range=int8_products_saturate(),
        ).network
        file = folder / f"{name}.onnx"
        export_onnx(deployed, file, shape=tuple(images.shape[1:]))
        assert space.costs is not None
        declared = float(space.costs.of("size_bytes", np.array([encoding]))[0])
        found[name] = Exported(file, declared, torch.cat([deployed(x) for x in test.split(BATCH)]))
    return found


def uniform(space: SearchSpace, precision: str) -> tuple[int, ...]:
    """All slots in one format."""
    row = np.zeros((1, len(space.choices)), int)
    return space.canonical(space.in_precision(row, precision)[0].tolist())


def report(
    name: str, found: Mapping[str, Exported], data: DataSet, target: str, budget_s: float
) -> None:
    """Print a row per format; latencies with what they are of that in full precision."""
    files = [one.file for one in found.values()]
    timings = measure(target, files, processes=PROCESSES, budget_s=budget_s)
    of = dict(zip(found, timings, strict=True))
    full, full_ms = found[FULL_PRECISION], milliseconds(of[FULL_PRECISION])
    print(f"\n{name}\n\n| format | kB | declared | ms | correlation | same answer | right |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for precision, one in found.items():
        size, ms = one.file.stat().st_size, milliseconds(of[precision])
        pair = torch.stack((one.logits.flatten(), full.logits.flatten()))
        answers = one.logits.argmax(1)
        same = float((answers == full.logits.argmax(1)).float().mean())
        right = float((answers == torch.from_numpy(data.test.labels_N)).float().mean())
        print(
            f"| `{precision}` | {size / 1000:.0f} | {one.declared / size - 1:+.1%} | "
            f"{ms:.3f}, {ms / full_ms:.2f} | {float(torch.corrcoef(pair)[0, 1]):.5f} | "
            f"{same:.1%} | {right:.1%} |",
            flush=True,
        )


def milliseconds(timing: object) -> float:
    """Of a file that ran."""
    assert isinstance(timing, Timing), timing
    return timing.median_ms


if __name__ == "__main__":
    main()
