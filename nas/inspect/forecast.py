"""What a command would do, and what that takes: for `--dry-run`, which trains and writes nothing.

Every number says what it rests on:

    asked       it is what the user said
    exact       it follows from declared costs and sizes
    measured    here and now: a member of the supernet answers a few images
    estimate    made of the above; how far it is off is in docs/devices.md
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from nas.data import DataSet
from nas.executors import make_executor
from nas.inspect.describe import count_text
from nas.inspect.footprint import Footprint, footprint_of
from nas.latency.measure import BATCH_BUDGET_S, FILES_PER_BATCH
from nas.prepare.afford import FINALISTS_SHARE, finetune_seconds
from nas.prepare.inputs import describe_data, make_problem, prepare
from nas.prepare.pilot import AGAIN, MOST_AGAIN, PILOT_S, PILOT_SHARE
from nas.prepare.placed import first_plan
from nas.prepare.plan import MIN_STEPS, SPARE_SHARE, profile_sizes, search_settings, train_share
from nas.prepare.several import check_are_here
from nas.prepare.sizes import Sizes
from nas.prepare.sizing import offered_operators
from nas.prepare.speed import LARGEST_BATCH, shared_cores
from nas.prepare.train_supernet import check_given
from nas.prepare.trim import trim
from nas.problem.problem import Limit, Problem
from nas.run.config import Config
from nas.run.directory import WEIGHTS, check_continues
from nas.run.growth import PROFILE, has_front, said_of_continuing
from nas.run.own_files import CONFIG
from nas.system.environment import environment, resident_bytes
from nas.system.reporter import Reporter
from search_spaces import SearchSpace
from supernets.device import is_cpu, kind_of
from supernets.plan import TrainPlan

ASKED, EXACT, MEASURED, ESTIMATE = "asked", "exact", "measured", "estimate"
SECONDS, MILLISECONDS, BYTES, TEXT = "s", "ms", "bytes", ""

FIRST_PROCESS, ALL_PROCESSES = "of the first process", "of all processes, if they are here"
ALL_FILES = "of all files, at most"

FILES_OF_MEMBER = 4
"""Of a quantized network, each at most as large as its weights in fp32."""


@dataclass(frozen=True)
class Line:
    """One thing that is known beforehand.

    Attributes:
        part: "plan", "time", "memory" or "disk".
        about: What.
        value: A number, or text.
        unit: Of a number.
        basis: What it rests on.
    """

    part: str
    about: str
    value: float | str
    unit: str
    basis: str


@dataclass(frozen=True)
class Forecast:
    """What is known of a run before it begins.

    Attributes:
        lines: In their order.
        warnings: What would go wrong, a sentence each.
    """

    lines: tuple[Line, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


def forecast(
    config: Config, out: Path, reporter: Reporter | None = None, *, is_all: bool = False
) -> Forecast:
    """What `nas search` would do, or `nas train`.

    Args:
        config: What was asked.
        out: The run directory.
        reporter: Told how far reading data is.
        is_all: Whether nothing follows training.

    Raises:
        UserError: If what was asked cannot be done.
    """
    make_executor(config).check()
    check_are_here(config)
    grows = check_continues(out, config, may_grow=not is_all)
    is_done = not is_all and has_front(out) and not grows
    torch.set_num_threads(config.threads or torch.get_num_threads())
    before = resident_bytes()
    is_trained = bool(config.supernet) or (out / WEIGHTS).exists()
    data, space, limits = prepare(config, reporter, is_trained=is_trained)
    if not (out / CONFIG).is_file():
        check_given(config, data, space, limits)
    problem = _exact_problem(config, space, limits)
    plan = first_plan(config, **config.settings_of(TrainPlan))
    found = None if is_trained else footprint_of(problem, plan, data, process_bytes=before)
    seconds = phases_s(config, problem, out, is_all=is_all, is_trained=is_trained)
    if is_done:
        seconds = dict.fromkeys(seconds, 0.0)
    lines = [
        *_what(config, out, data, space, None if is_trained else plan),
        *_times(config, problem, plan, found, seconds),
        *([] if found is None else _memory(found, plan, _processes(config, plan))),
        *_disk(config, problem, plan, found, out, is_all=is_all),
    ]
    return Forecast(tuple(lines), tuple(_warnings(lines)))


def _exact_problem(config: Config, space: SearchSpace, limits: list[Limit]) -> Problem:
    """What is trained at most: networks within the limits that are known beforehand."""
    assert space.costs is not None
    largest = float(config.set.get("max_macs", 0)) or Sizes.max_macs
    known = [limit for limit in limits if limit.metric in space.costs.metrics]
    own = Sizes(max_macs=largest).limits(known)
    return make_problem(trim(space, own, None)[0], own)


def _what(
    config: Config, out: Path, data: DataSet, space: SearchSpace, plan: TrainPlan | None
) -> Iterator[Line]:
    """What is asked for, and how it is trained; None if the supernet is there."""
    yield Line("plan", "run directory", str(out), TEXT, ASKED)
    if (out / CONFIG).is_file():
        yield Line("plan", "what is there", said_of_continuing(out, []), TEXT, EXACT)
    yield Line("plan", "data", describe_data(data).removeprefix("data "), TEXT, EXACT)
    networks = f"'{space.name}', {count_text(space.size)} networks with their formats"
    yield Line("plan", "space", networks, TEXT, EXACT)
    yield Line("plan", "budget", ", ".join(config.budget) or "none", TEXT, ASKED)
    if config.supernet:
        yield Line("plan", "supernet", f"that of '{config.supernet}'", TEXT, ASKED)
    if plan is None:
        return
    number = _processes(config, plan)
    kind = kind_of(plan.device)
    where = f", each on a device of kind '{kind}'" if config.devices > 1 else f" on {kind}"
    yield Line("plan", "processes that train", f"{number}{where}", TEXT, EXACT)
    batch = f"{plan.batch_size}" if "batch_size" in config.set else _usual_batches()
    yield Line("plan", "images of a step", f"{plan.shards} x {batch}", TEXT, EXACT)


def _usual_batches() -> str:
    return f"{TrainPlan.batch_size} to {LARGEST_BATCH}, as a speed test decides"


def _processes(config: Config, plan: TrainPlan) -> int:
    """That share a step."""
    alone = shared_cores(plan)["processes"]
    return config.devices if config.devices > 1 else alone


def _times(
    config: Config,
    problem: Problem,
    plan: TrainPlan,
    found: Footprint | None,
    seconds: dict[str, float],
) -> Iterator[Line]:
    """Seconds of every phase, and how many steps training has."""
    step_s = None if found is None else found.step_s(plan, _processes(config, plan))
    steps, is_asked = 0, "steps" in config.set
    if step_s is not None:
        steps = int(config.set.get("steps", max(MIN_STEPS, int(seconds["train"] / step_s))))
        if is_asked or steps == MIN_STEPS:
            seconds["train"] = steps * step_s
    for phase, taken_s in seconds.items():
        yield Line("time", phase, taken_s, SECONDS, ESTIMATE)
    yield Line("time", "all phases", sum(seconds.values()), SECONDS, ESTIMATE)
    yield Line("time", "--time", config.seconds, SECONDS, ASKED)
    if found is None or step_s is None:
        return
    yield Line("time", "an answer to an image", 1e3 * found.forward_s, MILLISECONDS, MEASURED)
    about = f"a step of {plan.images_per_step} images"
    yield Line("time", about, 1e3 * step_s, MILLISECONDS, ESTIMATE)
    basis = ASKED if is_asked else ESTIMATE
    yield Line("time", f"steps of {plan.images_per_step} images", steps, "steps", basis)


def phases_s(
    config: Config, problem: Problem, out: Path, *, is_all: bool, is_trained: bool
) -> dict[str, float]:
    """About how long each phase takes, by its share of the time, in seconds.

    Args:
        config: The time, and what the user set.
        problem: What is trained.
        out: The run, which may have its profile.
        is_all: Whether nothing follows training.
        is_trained: Whether the supernet is there.
    """
    total, cores = config.seconds, shared_cores(first_plan(config))
    found = {"size": 0.0, "profile": 0.0}
    if not (is_trained or config.model or "max_macs" in config.set):
        num = len(offered_operators(problem.space, problem.limits))
        own = cores["processes"] * cores["threads"]
        low, high = PILOT_S
        pilot_s = min(high, max(low, PILOT_SHARE * total * own / num))
        found["size"] = pilot_s * (num + AGAIN * min(MOST_AGAIN, num)) / min(own, num)
    if not config.profile and not (out / PROFILE).exists():
        found["profile"] = sum(profile_sizes(config)) * BATCH_BUDGET_S / FILES_PER_BATCH
    left_s = max(0.0, (1 - SPARE_SHARE) * total - sum(found.values()))
    if is_all:
        return found | {"train": 0.0 if is_trained else left_s}
    finalists_s = min(left_s, FINALISTS_SHARE * total)
    available_s = left_s - finalists_s
    finetune_s = min(available_s, finetune_seconds(config, search_settings(config), available_s))
    free_s = available_s - finetune_s
    train_s = 0.0 if is_trained else train_share(config) * free_s
    return found | {
        "train": train_s,
        "search": free_s - train_s,
        "train finalists": finetune_s,
        "measure finalists, at most": finalists_s,
    }


def _memory(found: Footprint, plan: TrainPlan, processes: int) -> Iterator[Line]:
    """Of the device, and of the processes on this machine, with the smallest batch."""
    yield Line("memory", "weights of the supernet", found.weights_bytes, BYTES, EXACT)
    yield Line("memory", "average, gradients, optimizer", found.state_bytes, BYTES, EXACT)
    yield Line("memory", "activations of an image", found.image_bytes, BYTES, MEASURED)
    yield Line("memory", "images", found.data_bytes, BYTES, EXACT)
    if not is_cpu(plan.device):
        device = found.computing_bytes(plan)
        yield Line("memory", f"of {plan.device}", device, BYTES, ESTIMATE)
    first = found.first_bytes(plan, processes)
    yield Line("memory", FIRST_PROCESS, first, BYTES, ESTIMATE)
    if processes > 1:
        further = found.further_bytes(plan)
        yield Line("memory", "of each further process", further, BYTES, ESTIMATE)
        total = first + (processes - 1) * further
        yield Line("memory", ALL_PROCESSES, total, BYTES, ESTIMATE)
    available = environment()["memory_bytes"]
    if available is not None:
        yield Line("memory", "of this machine", available, BYTES, MEASURED)


def _disk(
    config: Config,
    problem: Problem,
    plan: TrainPlan,
    found: Footprint | None,
    out: Path,
    *,
    is_all: bool,
) -> Iterator[Line]:
    """Sizes of files."""
    total = 0.0
    if found is not None:
        total += found.weights_bytes + 2 * found.checkpoint_bytes
        yield Line("disk", WEIGHTS, found.weights_bytes, BYTES, EXACT)
        twice = 2 * found.checkpoint_bytes
        yield Line("disk", "checkpoint, twice while one is written", twice, BYTES, EXACT)
    if not is_all:
        phases = search_settings(config)
        assert problem.space.costs is not None
        largest = 4 * problem.space.costs.maximum("params")[0]
        number = phases.finalists + phases.random_references + len(config.precision)
        members = float(number * FILES_OF_MEMBER * largest)
        total += members
        yield Line("disk", f"files of {number} networks, at most", members, BYTES, ESTIMATE)
    yield Line("disk", ALL_FILES, total, BYTES, ESTIMATE)
    there = next(p for p in (out, *out.absolute().parents) if p.exists())
    yield Line("disk", "free there", shutil.disk_usage(there).free, BYTES, MEASURED)


def _warnings(lines: list[Line]) -> Iterator[str]:
    """What does not fit."""
    known: Mapping[tuple[str, str], Line] = {(line.part, line.about): line for line in lines}
    for part, needs, has in (
        ("memory", FIRST_PROCESS, "of this machine"),
        ("memory", ALL_PROCESSES, "of this machine"),
        ("disk", ALL_FILES, "free there"),
    ):
        wanted, there = known.get((part, needs)), known.get((part, has))
        if wanted and there and float(wanted.value) > float(there.value):
            yield f"there may be too little {part} {needs}"
    if float(known["time", "all phases"].value) > 1.05 * float(known["time", "--time"].value):
        yield "training may take longer than --time leaves for it"
