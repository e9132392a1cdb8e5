"""Which sizes and operators the given time can teach, decided by a pilot before anything else.

Shared weights rank networks only once they have learnt, and what they learn in minutes depends on
how many images they see per multiply-add and per operator. So, before the profile:

    pilot/        every operator alone, in a small network, for seconds (`nas/prepare/pilot.py`)
    sizes.json    how well each learnt, how fast the supernet is at each size, how many seconds
                  these tests took, and what follows: operators, largest multiply-adds, and what
                  is expected of them

Operators are taken in the order of their pilots' loss, those that are near the best one and get
`IMAGES_PER_OPERATOR`; the largest size is that which still sees `IMAGES_PER_MMAC` images per
million multiply-adds. As speed falls with size, that size grows like the square root of the time,
as for language models (Hoffmann et al., Training Compute-Optimal Large Language Models, 2022,
approach 1; our constants are our own measurements: `docs/decisions/0025`). Both become part of the
problem: a limit and fewer options. More time offers more of the space.
"""

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nas.data import DataSet
from nas.executors import make_timer
from nas.prepare.inputs import make_problem
from nas.prepare.pilot import Pilots
from nas.prepare.placed import first_plan
from nas.prepare.plan import make_method, training_images
from nas.prepare.sizes import FILE, Sizes, sentence, sizes_of
from nas.prepare.speed import shared_cores, time_steps
from nas.prepare.trim import trim
from nas.problem.drop import DROP
from nas.problem.feasible import sample_within
from nas.problem.problem import Limit
from nas.run.config import Config
from nas.run.directory import Run
from nas.system.files import read_json
from nas.system.reporter import Reporter
from search_spaces import AbstractTask, Candidate, SearchSpace, task_of
from supernets.plan import TrainPlan
from supernets.supernet import Supernet

SUPERNET_SHARE = 0.2
"""Of the time that pilots and speed tests leave, about, that will train the supernet if a search
follows."""

IMAGES_PER_MMAC = 5_000
IMAGES_PER_OPERATOR = 300_000
NEAR, NEARLY = 1.05, 0.85
"""An operator takes part if its pilot's loss is at most this, and what it learnt at least this,
in those of the best one.

As losses fall with the third or fourth root of the time, 5 % are a fifth of the time. While
networks are close to guessing their losses are alike, and what they learnt tells them apart."""

PLAN = "plan.json"

FIRST_MACS, GROWTH = 1e6, 1.5
"""The smallest size that is tried, unless networks are larger, and how far apart sizes are."""

WIDTH_SAMPLES, LEAST_USE = 400, 0.08
"""Random networks within the sizes, and how many of them must have a width for it to stay."""

PROCESS_GAIN = 0.5
"""What each further process adds to the speed of one, measured."""

LEARNING_EXPONENT, LEAST_EXPONENT = 0.5, 0.1
"""The loss falls with some power of the images seen, which both rounds of a pilot say once it has
learnt half of what there is to learn. Before that, this one is supposed."""


def decide_sizes(
    run: Run,
    config: Config,
    space: SearchSpace,
    limits: Sequence[Limit],
    data: DataSet,
    reporter: Reporter,
    *,
    is_all: bool = False,
) -> Sizes:
    """What this run's time can teach, as decided when it first came here.

    A given supernet has decided it already, and so has a user who set `max_macs` (0 for all sizes).

    Args:
        run: Where it is recorded.
        config: The time, and what the user set.
        space: Not trimmed.
        limits: The user's.
        data: To learn from.
        reporter: Told how far it is, and what was decided.
        is_all: Whether training may take all of the time.
    """
    if config.supernet:
        run.decided(FILE, lambda: _of_donor(Path(config.supernet), space))
        sizes = sizes_of(run.path)
        tighter = [limit.text for limit in sizes.limits(limits)[len(limits) :]]
        if tighter:
            reporter.note(f"within what the supernet was trained for: {', '.join(tighter)}")
        return sizes
    if config.model or "max_macs" in config.set:
        given = float(config.set.get("max_macs", 0))
        run.decided(FILE, lambda: _all_of(space) | {"max_macs": given or None})
        return sizes_of(run.path)
    is_new = not (run.path / FILE).exists()
    if is_new:
        reporter.phase("size", "finding the sizes and operators that the time can teach")
    decision = _Decision(run, config, space, limits, data, reporter, is_all)
    document = run.decided(FILE, decision.decide)
    reporter.note(sentence(document, space, limits, task_of(data.task).shown))
    return sizes_of(run.path)


@dataclass(frozen=True)
class _Decision:
    """Ranks operators by their pilots, measures speeds, and concludes."""

    run: Run
    config: Config
    problem_space: SearchSpace
    limits: Sequence[Limit]
    data: DataSet
    reporter: Reporter
    is_all: bool

    def decide(self) -> dict[str, Any]:
        """sizes.json."""
        started, remaining_s = time.perf_counter(), self.run.remaining_s(self.config)
        share = 0.9 if self.is_all else SUPERNET_SHARE

        def train_s() -> float:
            """Seconds that will train the supernet, of what is left now."""
            return share * max(0.0, remaining_s - (time.perf_counter() - started))

        offered = offered_operators(self.problem_space, self.limits)
        ranked = self._pilots(offered, remaining_s)
        piloted = time.perf_counter()
        first = Sizes(operators=(ranked[0]["operator"],))
        speeds = self._speeds(first, train_s, str(ranked[0]["precision"]))
        left_s = train_s()
        images = {macs: left_s / seconds for macs, seconds in speeds.items()}
        fitting = [macs for macs, seen in images.items() if seen >= wanted_images(macs)]
        max_macs = max(fitting, default=min(images))
        sizes, seen = self._with_operators(ranked, max_macs, train_s, images[max_macs])
        count = len(sizes.operators)
        _, largest = self._range(first)
        return {
            "schema": 1,
            "pilot": ranked,
            "seconds_per_image": {f"{macs:.0f}": seconds for macs, seconds in speeds.items()},
            "train_s": round(train_s(), 1),
            "speed_test_s": round(time.perf_counter() - piloted, 2),
            "images": int(seen),
            "offered": offered,
            "operators": list(sizes.operators),
            "max_macs": None if max_macs >= largest else max_macs,
            "widths": sizes.widths,
            "expected": expected_metric(ranked[0], seen / count, self._task, self.data.guessing),
            "is_less": max_macs < largest or count < len(offered),
        }

    @property
    def _task(self) -> AbstractTask:
        return task_of(self.data.task)

    def _pilots(self, operators: Sequence[str], remaining_s: float) -> list[dict[str, Any]]:
        timer, given = make_timer(self.config), (self.run, self.config, self.problem_space)
        pilots = Pilots(*given, self.limits, self.data, timer, self.reporter)
        return pilots.ranked(operators, remaining_s)

    def _with_operators(
        self,
        ranked: Sequence[Mapping[str, Any]],
        max_macs: float,
        train_s: Callable[[], float],
        images: float,
    ) -> tuple[Sizes, float]:
        """The sizes with the operators that take part, and the images that the supernet will see.

        Operators slow each other down: the last one goes while each would see too few images.

        Args:
            ranked: Pilots, the best first.
            max_macs: The largest size.
            train_s: Seconds of the supernet's training, of what is left.
            images: That it would see with the best operator alone.
        """
        operators = chosen_operators(ranked, images, self._task, self.data.guessing)
        while True:
            sizes = self._capped(Sizes(operators=tuple(operators), max_macs=max_macs))
            if len(operators) == 1:
                return sizes, images
            seen = train_s() / self._seconds_per_image(sizes, str(ranked[0]["precision"]))
            if seen >= IMAGES_PER_OPERATOR * len(operators):
                return sizes, seen
            operators = operators[:-1]

    def _speeds(
        self, sizes: Sizes, train_s: Callable[[], float], precision: str
    ) -> dict[float, float]:
        """Seconds per image of the supernet's training, by the largest multiply-adds.

        Of the sizes between which the time becomes too short, found by bisection.
        """
        low, high = self._range(sizes)
        offered = [min(high, max(FIRST_MACS, low * GROWTH**2))]
        while offered[-1] < high:
            offered.append(min(high, offered[-1] * GROWTH))
        found: dict[float, float] = {}

        def is_too_large(macs: float) -> bool:
            capped = self._capped(replace(sizes, max_macs=macs))
            found[macs] = self._seconds_per_image(capped, precision)
            return train_s() / found[macs] < wanted_images(macs)

        bisect_left(offered, True, key=is_too_large)
        return dict(sorted(found.items()))

    def _range(self, sizes: Sizes) -> tuple[float, float]:
        """Multiply-adds of the smallest network, and of the largest within the limits."""
        space = sizes.space(self.problem_space)
        assert space.costs is not None
        high = min([*(limit.max for limit in self.limits if limit.metric == "macs"), math.inf])
        return space.costs.minimum("macs")[0], min(high, space.costs.maximum("macs")[0])

    def _seconds_per_image(self, sizes: Sizes, precision: str) -> float:
        """Of the supernet's training on all cores, by a short test of one process."""
        own = sizes.limits([limit for limit in self.limits if limit.metric != "latency_ms"])
        problem = make_problem(trim(sizes.space(self.problem_space), own, None)[0], own)
        settings = self.config.settings_of(TrainPlan)
        known = {"channels_last": True, "precision": precision, **settings}
        plan = first_plan(self.config, **known)
        method = make_method(self.config, problem, plan)
        supernet = Supernet(problem.space, seed=self.config.seed)
        images = training_images(self.data)
        step_s = time_steps(supernet, images, plan, method, processes=1)
        gain = 1 + PROCESS_GAIN * (shared_cores(plan)["processes"] - 1)
        return step_s / gain / plan.images_per_step

    def _capped(self, sizes: Sizes) -> Sizes:
        """The sizes without widths that hardly any network within them has.

        Shared weights are as large as the largest width, and so is the work of every step on them.
        """
        space = sizes.space(self.problem_space)
        assert space.costs is not None
        own = [x for x in sizes.limits(self.limits) if x.metric in space.costs.metrics]
        problem = make_problem(space, own)
        rows = sample_within(problem, WIDTH_SAMPLES, np.random.default_rng(0))
        widths = {}
        for column in space.columns("width"):
            shares = np.bincount(rows[:, column], minlength=len(space.choices[column].options))
            options = space.choices[column].options
            used = [o for o, n in zip(options, shares, strict=True) if n >= LEAST_USE * len(rows)]
            widths[space.choices[column].name] = int(max(map(float, used)))
        return replace(sizes, widths=widths)


def wanted_images(macs: float) -> float:
    """So many images the supernet's training must see if its largest members are this large."""
    return IMAGES_PER_MMAC * macs / 1e6


def chosen_operators(
    ranked: Sequence[Mapping[str, Any]],
    images: float,
    task: AbstractTask,
    guessing: tuple[float, float],
) -> list[str]:
    """Operators that take part: those near the best of the pilots, if the images are enough.

    Pilots last equally long, so one that is behind learns less in a second, because of what it is
    or of what it costs here, and what it takes of the time is lost to the others.

    Args:
        ranked: Pilots, the best first.
        images: That the supernet will see.
        task: Names the loss.
        guessing: Both metrics of it.
    """
    loss = task.loss.name
    best = float(ranked[0][loss])
    most = max(best, min(NEAR * best, guessing[0] - NEARLY * (guessing[0] - best)))
    near = [row for row in ranked if float(row[loss]) <= most]
    return [str(row["operator"]) for row in near[: max(1, int(images / IMAGES_PER_OPERATOR))]]


def offered_operators(space: SearchSpace, limits: Sequence[Limit]) -> list[str]:
    """Operators of which some network throughout is within the limits that are known exactly.

    Of a space whose choices are no operators of blocks, such as one of cells, all of it takes part
    as one, by its name.
    """
    assert space.costs is not None
    exact = [limit for limit in limits if limit.metric in space.costs.metrics]
    fitting = []
    for name in space.operators:
        row = np.array([smallest_of(space, name).encoding])
        if all(space.costs.of(x.metric, row)[0] <= x.max for x in exact):
            fitting.append(name)
    return fitting or list(space.operators) or [space.name]


def smallest_of(space: SearchSpace, operator: str) -> Candidate:
    """The unpruned network of the fewest multiply-adds with this operator where it is offered."""
    assert space.costs is not None
    unpruned = {c: 0 for c in space.columns("sparsity")}
    fixed = space.with_operator(operator) | unpruned
    return space.candidate(space.costs.minimum("macs", fixed)[1])


def expected_metric(
    pilot: Mapping[str, Any], images: float, task: AbstractTask, guessing: tuple[float, float]
) -> float | None:
    """What is shown of the best member with shared weights, by the best pilot.

    Errors are proportional to losses, and losses fall with a power of the images seen.

    Args:
        pilot: Images and metrics; those `before` if it was trained twice.
        images: That the supernet will see, per operator.
        task: Names the metrics.
        guessing: Both metrics of it.

    Returns:
        None if the pilot is not three times as good as guessing, or errors have no end.
    """
    if not pilot["images"]:
        return None
    value, best = float(pilot[task.shown.name]), task.shown.best
    guessed = guessing[1]
    better, worse = (value, guessed) if task.shown.goal == "maximize" else (guessed, value)
    if round(better, 9) < round(3 * worse, 9) or not math.isfinite(best):
        return None
    fall = (max(1.0, images / pilot["images"])) ** -learning_exponent(pilot, task, guessing)
    return round(best - (best - value) * fall, 4)


def learning_exponent(
    pilot: Mapping[str, Any], task: AbstractTask, guessing: tuple[float, float]
) -> float:
    """With which power of the images a pilot's loss falls."""
    before, loss = pilot.get("before"), task.loss.name
    if before is None or before[loss] > guessing[0] / 2:
        return LEARNING_EXPONENT
    if before["images"] >= pilot["images"]:
        return LEARNING_EXPONENT
    fall = math.log(before[loss] / pilot[loss])
    return max(LEAST_EXPONENT, fall / math.log(pilot["images"] / before["images"]))


def _of_donor(donor: Path, space: SearchSpace) -> dict[str, Any]:
    """What the run of a given supernet decided, and the limits that it trained within.

    What networks may lose is no limit of training.
    """
    document = read_json(donor / FILE) if (donor / FILE).exists() else _all_of(space)
    plan = read_json(donor / PLAN) if (donor / PLAN).exists() else {}
    rows = [row for row in plan.get("limits", []) if row["metric"] != DROP]
    own = [{key: row[key] for key in ("metric", "max", "text")} for row in rows]
    return document | {"trained": [*own, *document.get("trained", [])]}


def _all_of(space: SearchSpace) -> dict[str, Any]:
    """Nothing is left out."""
    offered = offered_operators(space, [])
    return {
        "schema": 1,
        "offered": offered,
        "operators": offered,
        "widths": {},
        "max_macs": None,
        "expected": None,
        "is_less": False,
    }
