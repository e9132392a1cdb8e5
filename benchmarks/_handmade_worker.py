"""One process of `handmade.py`: trains a network at a time, and writes and judges its files.

The files of a network, in a folder of its name, are fp32.onnx and int8.onnx.
"""

import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _handmade_networks import Design, Shape, folded, macs, parameters
from torch import nn

from compress.export import INPUT, export_onnx
from nas.data import DataSet, Split
from nas.prepare.inputs import read_data
from nas.prepare.plan import MIN_STEPS, training_images
from nas.prepare.speed import with_batch
from nas.run.config import Config
from nas.scoring.scorer import CALIBRATION_IMAGES
from nas.standalone.train import alone_plan, trained_alone
from nas.system.environment import has_bf16_products, int8_products_saturate
from search_spaces import task_of
from supernets.calibrate import recalibrated
from supernets.images import Images
from supernets.plan import TrainPlan

FILES = {"fp32": "fp32.onnx", "int8": "int8.onnx"}
ANSWERS_AT_ONCE, CALIBRATED_AT_ONCE = 16, 32
"""Images; more at once were slower, by half where maps are wide."""

REHEARSED_IMAGES = 256
SPEED_S, FORMAT_S, SPEED_STEPS = 1.5, 0.5, 3
"""How long a speed test lasts, for planning and for choosing a format, and its fewest steps."""

ENDLESS = 1_000_000

_data: DataSet
"""What `begin` has read; a process keeps it for all its networks."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One network to make.

    Attributes:
        design: Which.
        plan: But for the steps, unless these are set.
        folder: For its files.
        deadline: When its files should be there, as `time.monotonic` has it.
        finish_s: Seconds that follow training.
        is_timed: Whether a speed test decides the steps.
        is_batch_fixed: Whether the user set the batch.
    """

    design: Design
    plan: TrainPlan
    folder: Path
    deadline: float
    finish_s: float
    is_timed: bool
    is_batch_fixed: bool


class EnoughError(Exception):
    """A speed test has seen enough steps."""


def begin(config: Config, threads: int) -> None:
    """Reads what a process needs for all its networks."""
    global _data
    torch.set_num_threads(threads)
    _data = read_data(config)


def shape_of(data: DataSet) -> Shape:
    """What a network for these images takes and gives."""
    return Shape(channels=data.channels, resolution=data.resolution, num_classes=data.num_classes)


def macs_of(design: Design) -> int:
    """Multiply-adds for one image."""
    shape = shape_of(_data)
    return macs(design.network(shape, 0), shape)


def in_fastest_format(design: Design, plan: TrainPlan, fixed: frozenset[str]) -> TrainPlan:
    """The plan in the precision and memory format in which this network trains fastest.

    Args:
        design: Which network.
        plan: Its steps do not matter.
        fixed: Settings that are not varied.
    """
    precisions = ["bf16", "fp32"] if has_bf16_products() else ["fp32"]
    precisions = [plan.precision] if "precision" in fixed else precisions
    formats = [plan.channels_last] if "channels_last" in fixed else [True, False]
    network, images = design.network(shape_of(_data), plan.seed), training_images(_data)
    plans = [replace(plan, precision=p, channels_last=c) for p, c in product(precisions, formats)]
    return min(plans, key=lambda plan: seconds_per_step(network, images, plan, FORMAT_S))


def seconds_per_step(
    network: nn.Module, images: Images, plan: TrainPlan, test_s: float = SPEED_S
) -> float:
    """The median step of training itself, so with all that a step does; the network stays."""
    stamps: list[float] = []

    def on_step(numbers: Mapping[str, float], steps: int) -> None:
        stamps.append(time.perf_counter())
        if len(stamps) > SPEED_STEPS and stamps[-1] - stamps[0] > test_s:
            raise EnoughError

    with suppress(EnoughError):
        train(copy.deepcopy(network), images, alone_plan(plan, steps=ENDLESS), on_step)
    return statistics.median(np.diff(stamps).tolist())


def train(
    network: nn.Module,
    images: Images,
    plan: TrainPlan,
    on_step: Callable[[Mapping[str, float], int], None] = lambda numbers, steps: None,
) -> None:
    """As a search trains a network alone; its folder is not kept."""
    with tempfile.TemporaryDirectory() as folder:
        trained_alone(network, images, Path(folder), lambda: plan, on_step=on_step)


def rehearse(design: Design, folder: Path) -> tuple[int, float]:
    """Multiply-adds, and seconds from trained weights to the last answer of both files.

    Args:
        design: Which network; its weights are fresh.
        folder: For its files.
    """
    started = time.perf_counter()
    write_files(design.network(shape_of(_data), 0), folder)
    sessions = [opened(folder / file) for file in FILES.values()]
    answering = time.perf_counter()
    images = _data.search.take(REHEARSED_IMAGES)
    for session in sessions:
        answers(session, images)
    answers_s = time.perf_counter() - answering
    share = (len(_data.search) + len(_data.test)) / len(images)
    return macs_of(design), answering - started + answers_s * share


def make(job: Job) -> list[dict[str, Any]]:
    """Trains a network and writes its files; a row per file, without latencies.

    Raises:
        CandidateError: If it cannot be exported.
        UserError: If training diverges.
    """
    shape, images = shape_of(_data), training_images(_data)
    network = job.design.network(shape, job.plan.seed)
    costs = {"macs": macs(network, shape), "params": parameters(network)}
    plan = alone_plan(job.plan, steps=job.plan.steps)
    if job.is_timed:
        plan, step_s = with_batch(
            plan,
            job.deadline - time.monotonic() - job.finish_s,
            lambda plan: seconds_per_step(network, images, plan),
            num_images=len(images.labels_N),
            is_fixed=job.is_batch_fixed,
        )
        seconds = job.deadline - time.monotonic() - job.finish_s
        plan = replace(plan, steps=max(MIN_STEPS, int(seconds / step_s)))
    started = time.monotonic()
    train(network, images, plan)
    trained = time.monotonic()
    write_files(network, job.folder)
    splits = {"search": _data.search, "test": _data.test}
    sessions = {precision: opened(job.folder / file) for precision, file in FILES.items()}
    rows = [
        {
            "network": job.design.name,
            "precision": precision,
            "file": f"{job.folder.name}/{file}",
            **costs,
            "bytes": (job.folder / file).stat().st_size,
            "accuracy": {name: answers(sessions[precision], s) for name, s in splits.items()},
            "steps": plan.steps,
            "batch_size": plan.batch_size,
            "train_s": round(trained - started, 2),
            "plan": asdict(plan),
        }
        for precision, file in FILES.items()
    ]
    files_s = round(time.monotonic() - trained, 2)
    return [{**row, "files_s": files_s} for row in rows]


def write_files(network: nn.Module, folder: Path) -> None:
    """The network in fp32 and in int8."""
    calibration = _data.calibration.take(CALIBRATION_IMAGES)
    images_NCHW = torch.from_numpy(_data.normalised(calibration.images_NCHW))
    batches = images_NCHW.split(CALIBRATED_AT_ONCE)
    whole = folded(recalibrated(network, batches))
    fp32, int8 = (folder / FILES[name] for name in ("fp32", "int8"))
    export_onnx(whole, fp32, shape=images_NCHW.shape[1:])
    quantize(fp32, int8, [{INPUT: batch.numpy()} for batch in batches])


def quantize(fp32: Path, int8: Path, feeds: Sequence[Mapping[str, np.ndarray]]) -> None:
    """onnxruntime's static quantization, prepared as its documentation asks."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Feeds(CalibrationDataReader):
        def __init__(self) -> None:
            self.left: Iterator[Mapping[str, np.ndarray]] = iter(feeds)

        def get_next(self) -> Mapping[str, np.ndarray] | None:
            return next(self.left, None)

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder, "prepared.onnx")
        quant_pre_process(fp32, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            int8,
            Feeds(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=int8_products_saturate(),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


def opened(file: Path) -> Any:
    """The file in onnxruntime, with the threads that torch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def answers(session: Any, split: Split) -> dict[str, float]:
    """How good a file's answers on a split are."""
    logits = [
        session.run(None, {INPUT: _data.normalised(split.images_NCHW[i : i + ANSWERS_AT_ONCE])})[0]
        for i in range(0, len(split), ANSWERS_AT_ONCE)
    ]
    task = task_of(_data.task)
    losses_N, is_right_N = task.judge(np.concatenate(logits), split.labels_N)
    return task.record(losses_N.tolist(), is_right_N.tolist())
