"""A process of `compressing.py`: trains the networks that are brought, prunes them by hand."""

import copy
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import _handmade_worker as handmade
import torch
from _compressing_networks import HEADS, made
from _handmade_networks import macs, parameters
from _handmade_worker import FILES, answers, opened, quantize, shape_of
from safetensors.torch import load_file, save_file
from torch import nn

from compress.export import INPUT, export_onnx
from nas.prepare.plan import TUNING_RATE, training_images
from nas.prepare.speed import with_batch
from nas.scoring.scorer import CALIBRATION_IMAGES
from nas.standalone.train import alone_plan, fastest_plan, trained_alone
from supernets.calibrate import recalibrated
from supernets.plan import TrainPlan
from supernets.teachers import LABELS_ONLY, LiveTeacher, Teaching

MIN_STEPS = 20
CALIBRATED_AT_ONCE = 32
BISECTIONS = 12
ROUND_TO = 8
"""Channels, as for the members of `nas compress`."""
BROUGHT, PRUNED = "brought", "torch-pruning"
WEIGHTS, FACTS = "weights.safetensors", "trained.json"


@dataclass(frozen=True, kw_only=True)
class Level:
    """A pruned network to make.

    Attributes:
        network: Name of what was brought.
        reference: Function that makes it.
        folder: Where its weights are; files go to a folder below.
        share: Of the multiply-adds that remain.
        seconds: Of fine-tuning.
        seed: Of it.
    """

    network: str
    reference: str
    folder: Path
    share: float
    seconds: float
    seed: int


def train_brought(reference: str, folder: Path, seconds: float, seed: int) -> dict[str, Any]:
    """Trains the network that will be brought on labels, or reads what it says of itself."""
    if (folder / FACTS).exists():
        found: dict[str, Any] = json.loads((folder / FACTS).read_text())
        return found
    torch.manual_seed(seed)
    network = made(reference)
    plan = trained(network, TrainPlan(steps=1, seed=seed), seconds, folder / "training")
    data = handmade._data
    images_NCHW = torch.from_numpy(data.normalised(data.calibration.images_NCHW))
    network = recalibrated(network, images_NCHW.split(CALIBRATED_AT_ONCE)).eval()
    save_file(network.state_dict(), folder / WEIGHTS)
    facts = {"steps": plan.steps, "batch_size": plan.batch_size, "seconds": seconds}
    (folder / FACTS).write_text(json.dumps(facts))
    return facts


def trained(
    network: nn.Module,
    plan: TrainPlan,
    seconds: float,
    folder: Path,
    teaching: Teaching = LABELS_ONLY,
) -> TrainPlan:
    """Trains a network in place for so long, in batches as a search takes them."""
    started, images = time.monotonic(), training_images(handmade._data)
    plan, step_s = with_batch(
        alone_plan(plan, steps=1),
        seconds,
        lambda plan: fastest_plan(network, images, [plan], teaching)[1],
        num_images=len(images.labels_N),
        is_fixed=False,
    )
    left_s = seconds - (time.monotonic() - started)
    plan = replace(plan, steps=max(MIN_STEPS, int(left_s / step_s)))
    folder.mkdir(parents=True, exist_ok=True)
    return trained_alone(network, images, folder, lambda: plan, teaching=teaching)


def brought_rows(network: str, reference: str, folder: Path) -> list[dict[str, Any]]:
    """The network as it was brought, in fp32 and quantized by onnxruntime."""
    whole = loaded(reference, folder)
    return rows_of(whole, folder / "brought", {"network": network, "side": BROUGHT, "share": 1.0})


def loaded(reference: str, folder: Path) -> nn.Module:
    """The network with the weights that it was trained to."""
    network = made(reference)
    network.load_state_dict(load_file(folder / WEIGHTS))
    return network.eval()


def prune_and_tune(level: Level) -> list[dict[str, Any]]:
    """Prunes by Torch-Pruning to a share of the multiply-adds, and fine-tunes; a row per file."""
    whole = loaded(level.reference, level.folder)
    pruned = pruned_to(whole, level)
    folder = level.folder / f"pruned-{level.share:g}"
    plan = TrainPlan(steps=1, seed=level.seed)
    plan = replace(plan, learning_rate=TUNING_RATE * plan.peak_rate)
    started = time.monotonic()
    teaching = Teaching(LiveTeacher(whole))
    plan = trained(pruned, plan, level.seconds, folder / "training", teaching)
    facts = {"steps": plan.steps, "train_s": round(time.monotonic() - started, 1)}
    facts |= {"network": level.network, "side": PRUNED, "share": level.share}
    return rows_of(pruned, folder, facts)


def pruned_to(whole: nn.Module, level: Level) -> nn.Module:
    """The network pruned by the least ratio everywhere that is enough.

    Bisection finds it; where there are heads it is one of sixteenths, so that what a forward pass
    makes of widths and heads stays whole.
    """
    shape = shape_of(handmade._data)
    wanted = level.share * macs(copy.deepcopy(whole), shape)
    if level.network in HEADS:
        pruned = (pruned_by(whole, part / 16, level.network) for part in range(1, 16))
        return next(network for network in pruned if macs(network, shape) <= wanted)
    low, high = 0.0, 0.95
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        is_small = macs(pruned_by(whole, middle, level.network), shape) <= wanted
        low, high = (low, middle) if is_small else (middle, high)
    return pruned_by(whole, high, level.network)


def pruned_by(whole: nn.Module, ratio: float, name: str) -> nn.Module:
    """A copy, pruned by Torch-Pruning's group norm with the same ratio in all groups."""
    import torch_pruning

    network, shape = copy.deepcopy(whole), shape_of(handmade._data)
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    heads = {
        module: HEADS[name]
        for path, module in network.named_modules()
        if name in HEADS and path.endswith("qkv")
    }
    pruner = torch_pruning.pruner.BasePruner(
        network,
        torch.zeros(1, shape.channels, shape.resolution, shape.resolution),
        importance=torch_pruning.importance.GroupMagnitudeImportance(),
        pruning_ratio=ratio,
        ignored_layers=[linear[-1]],
        num_heads=heads,
        round_to=None if heads else ROUND_TO,
    )
    pruner.step()
    return network.train()


def rows_of(network: nn.Module, folder: Path, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Writes the network in fp32 and int8, and judges both; a row per file, without latencies."""
    data, shape = handmade._data, shape_of(handmade._data)
    calibration = data.calibration.take(CALIBRATION_IMAGES)
    images_NCHW = torch.from_numpy(data.normalised(calibration.images_NCHW))
    batches = images_NCHW.split(CALIBRATED_AT_ONCE)
    ready = recalibrated(network, batches).eval()
    folder.mkdir(parents=True, exist_ok=True)
    fp32, int8 = (folder / FILES[name] for name in ("fp32", "int8"))
    export_onnx(ready, fp32, shape=images_NCHW.shape[1:])
    quantize(fp32, int8, [{INPUT: batch.numpy()} for batch in batches])
    return [
        {
            **facts,
            "precision": precision,
            "file": str(folder / file),
            "macs": macs(copy.deepcopy(ready), shape),
            "params": parameters(ready),
            "bytes": (folder / file).stat().st_size,
            "search": answers(opened(folder / file), data.search)["fraction"],
            "test": answers(opened(folder / file), data.test)["fraction"],
        }
        for precision, file in FILES.items()
    ]
