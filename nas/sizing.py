"""Which sizes and operators the given time can teach, decided by a pilot before anything else.

Shared weights rank networks only once they have learnt, and what they learn in minutes depends on
how many images they see per multiply-add and per operator. So, before the profile:

    pilot/<operator>/   each operator alone, in its smallest network, trained for a few seconds
    sizes.json          how well each learnt, how fast the supernet is at each size, and what
                        follows: operators, largest multiply-adds, and what is expected of them

Operators are taken in the order of their pilots' log-loss, as many as get `IMAGES_PER_OPERATOR`;
the largest size is that which still sees `IMAGES_PER_MMAC` images per million multiply-adds. As
speed falls with size, that size grows like the square root of the time, as for language models
(Hoffmann et al., Training Compute-Optimal Large Language Models, 2022, approach 1; our constants
are our own measurements: `docs/decisions/0025`). Both become part of the problem: a limit and fewer
options. More time offers more of the space.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas._files import read_json, understood
from nas.alone import NETWORK, PLAN, alone_plan, fresh_network, seconds_per_step
from nas.beside import Job, train_beside
from nas.budget import format_value
from nas.config import Config
from nas.data import DataSet
from nas.planning import make_method, training_images
from nas.preparation import make_problem
from nas.problem import Limit
from nas.reporter import Reporter
from nas.run import Run
from nas.sampling import sample_within
from nas.speed import shared_cores, time_steps
from nas.trimming import trim
from search_spaces import Candidate, Option, SearchSpace
from supernets.calibrate import recalibrated
from supernets.checkpoint import read_tensors
from supernets.images import Images
from supernets.network import PlainNetwork
from supernets.supernet import Supernet
from supernets.task import Quality, quality
from supernets.train import TrainPlan

FILE, PILOT = "sizes.json", "pilot"

PILOT_SHARE, PILOT_S = 0.06, (2.0, 60.0)
"""Of the time, for all pilots together, and the least and most seconds of each."""

SUPERNET_SHARE = 0.25
"""Of the time, about, that will train the supernet if a search follows."""

IMAGES_PER_MMAC = 10_000
IMAGES_PER_OPERATOR, LEAST_OPERATORS = 40_000, 3
GROWTH = 1.5
"""Sizes that are tried are this factor apart."""

WIDTH_SAMPLES, LEAST_USE = 400, 0.08
"""Random networks within the sizes, and how many of them must have a width for it to stay."""

SPEED_STEPS = 4
PROCESS_GAIN = 0.5
"""What each further process adds to the speed of one, measured."""

PILOT_IMAGES = 500
LEARNING_EXPONENT = 0.5
"""Log-loss falls about with this power of the images seen, once learning has begun."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What the time can teach.

    Attributes:
        max_macs: Largest multiply-adds of a member; infinite for no limit.
        operators: Names of those that take part; () for all.
        widths: Largest of the widths that take part, by the choice's name.
        expected: Accuracy expected of the best member with shared weights; nan for not known.
    """

    max_macs: float = math.inf
    operators: tuple[str, ...] = ()
    widths: Mapping[str, int] = field(default_factory=dict)
    expected: float = math.nan

    def limits(self, limits: Sequence[Limit]) -> list[Limit]:
        """The user's limits, and the size, unless one of them is smaller."""
        known = min((x.max for x in limits if x.metric == "macs"), default=math.inf)
        own = Limit("macs", self.max_macs, text=f"{format_value('macs', self.max_macs)} (planned)")
        return [*limits, own] if self.max_macs < known else [*limits]

    def space(self, space: SearchSpace) -> SearchSpace:
        """The space with these operators and widths only; who offers none of them keeps its own."""
        keep: dict[str, Sequence[Option]] = {}
        for choice in (space.choices[column] for column in space.columns("operator")):
            known = [option for option in choice.options if option in self.operators]
            keep[choice.name] = known or choice.options
        for name, largest in self.widths.items():
            keep[name] = [o for o in space.choice(name).options if float(o) <= largest]
        return space.restricted(keep)


def sizes_of(path: Path) -> Sizes:
    """What a run decided; nothing is left out by one that decided nothing.

    Args:
        path: Of the run.
    """
    file = path / FILE
    if not file.exists():
        return Sizes()
    document = read_json(file)
    with understood(f"'{file}'"):
        return Sizes(
            max_macs=float(document["max_macs"] or math.inf),
            operators=tuple(str(name) for name in document["operators"]),
            widths={str(name): int(width) for name, width in document["widths"].items()},
            expected=float(document["expected"] or math.nan),
        )


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
        donor = Path(config.supernet) / FILE
        run.decided(FILE, lambda: read_json(donor) if donor.exists() else _all_of(space))
        return sizes_of(run.path)
    if "max_macs" in config.set:
        given = float(config.set["max_macs"])
        run.decided(FILE, lambda: _all_of(space) | {"max_macs": given or None})
        return sizes_of(run.path)
    is_new = not (run.path / FILE).exists()
    if is_new:
        reporter.phase("size", "finding the sizes and operators that the time can teach")
    pilot = _Pilot(run, config, space, limits, data, reporter, is_all)
    document = run.decided(FILE, pilot.decide)
    reporter.note(sentence(document, space))
    return sizes_of(run.path)


def sentence(document: Mapping[str, Any], space: SearchSpace) -> str:
    """What was decided, for people."""
    assert space.costs is not None
    largest = format_value("macs", space.costs.maximum("macs")[0])
    size = format_value("macs", document["max_macs"]) if document["max_macs"] else largest
    chosen, offered = document["operators"], document["offered"]
    operators = ", ".join(chosen)
    if len(chosen) < len(offered):
        operators += f" ({len(chosen)} of {len(offered)} operators)"
    expected = document["expected"]
    hope = f"; expected with shared weights: {expected:.0%}" if expected else ""
    more = "; more --time offers more" if document["is_less"] else ""
    return f"sizes: networks up to {size} of {largest}, of {operators}{hope}{more}"


@dataclass(frozen=True)
class _Pilot:
    """Trains the smallest network of every operator, and measures speeds."""

    run: Run
    config: Config
    problem_space: SearchSpace
    limits: Sequence[Limit]
    data: DataSet
    reporter: Reporter
    is_all: bool

    def decide(self) -> dict[str, Any]:
        """sizes.json."""
        remaining_s = self.run.remaining_s(self.config)
        offered = offered_operators(self.problem_space, self.limits)
        rows = self._pilots(offered, remaining_s)
        ranked = sorted(rows, key=lambda row: float(row["log_loss"]))
        train_s = (0.9 if self.is_all else SUPERNET_SHARE) * remaining_s
        first = Sizes(operators=(ranked[0]["operator"],))
        speeds = self._speeds(first)
        images = {macs: train_s / seconds for macs, seconds in speeds.items()}
        fitting = [macs for macs, seen in images.items() if seen >= IMAGES_PER_MMAC * macs / 1e6]
        max_macs = max(fitting, default=min(images))
        seen = images[max_macs]
        operators = chosen_operators(ranked, seen)
        count = len(operators)
        largest = max(images)
        return {
            "schema": 1,
            "pilot": rows,
            "seconds_per_image": {f"{macs:.0f}": seconds for macs, seconds in speeds.items()},
            "train_s": round(train_s, 1),
            "images": int(seen),
            "offered": offered,
            "operators": operators,
            "max_macs": None if max_macs >= largest else max_macs,
            "widths": self._capped(Sizes(operators=tuple(operators), max_macs=max_macs)).widths,
            "expected": expected_accuracy(ranked[0], seen / count, self.data.num_classes),
            "is_less": max_macs < largest or count < len(offered),
        }

    def _pilots(self, operators: Sequence[str], remaining_s: float) -> list[dict[str, Any]]:
        images, space = training_images(self.data), self.problem_space
        cores = torch.get_num_threads()
        low, high = PILOT_S
        seconds = min(high, max(low, PILOT_SHARE * remaining_s * cores / len(operators)))
        candidates = {name: smallest_of(space, name) for name in operators}
        plan = TrainPlan(**{"steps": 1, "seed": self.config.seed, **self._settings()})

        networks = {n: fresh_network(space, c, self.config.seed) for n, c in candidates.items()}
        first = alone_plan(plan, steps=1)
        steps = self.run.decided(
            f"{PILOT}/steps.json",
            lambda: {
                name: max(10, int(seconds / seconds_per_step(network, images, first)))
                for name, network in networks.items()
            },
        )
        jobs = (
            Job(
                name,
                network,
                images,
                self.run.folder(f"{PILOT}/{name}"),
                replace(first, steps=int(steps[name])),
            )
            for name, network in networks.items()
        )
        self.reporter.advance(0, 1, f"{len(networks)} pilots of {seconds:.0f} s")
        train_beside(jobs, processes=cores)
        return [self._row(name, candidate, images) for name, candidate in candidates.items()]

    def _row(self, name: str, candidate: Candidate, images: Images) -> dict[str, Any]:
        folder = self.run.path / PILOT / name
        network = PlainNetwork(self.problem_space.slots(candidate.encoding))
        known = {"operator": name, "log_loss": math.log(self.data.num_classes), "accuracy": 0.0}
        if not (folder / NETWORK).exists():  # it diverged
            return known | {"images": 0}
        network.load_state_dict(read_tensors(folder / NETWORK)[0])
        found = judged(network, self.data, images)
        plan = read_json(folder / PLAN)
        return known | {
            "images": plan["steps"] * plan["batch_size"],
            "log_loss": found.log_loss,
            "accuracy": found.accuracy,
        }

    def _speeds(self, sizes: Sizes) -> dict[float, float]:
        """Seconds per image of the supernet's training, by the largest multiply-adds."""
        space = sizes.space(self.problem_space)
        exact = [limit for limit in self.limits if limit.metric != "latency_ms"]
        assert space.costs is not None
        low, high = space.costs.minimum("macs")[0], space.costs.maximum("macs")[0]
        high = min([high, *(limit.max for limit in exact if limit.metric == "macs")])
        images = training_images(self.data)
        found: dict[float, float] = {}
        macs = min(high, low * GROWTH**2)
        while True:
            capped = self._capped(replace(sizes, max_macs=macs))
            own = capped.limits(exact)
            problem = make_problem(trim(capped.space(space), own, None)[0], own)
            plan = TrainPlan(**{"steps": 1, "seed": self.config.seed, **self._settings()})
            method = make_method(self.config, problem, plan)
            supernet = Supernet(problem.space, seed=self.config.seed)
            step_s = time_steps(supernet, images, plan, method, processes=1, steps=SPEED_STEPS)
            processes = shared_cores(plan)["processes"]
            gain = 1 + PROCESS_GAIN * (processes - 1)
            found[macs] = step_s / gain / plan.images_per_step
            if macs >= high or found[macs] * IMAGES_PER_MMAC * macs / 1e6 > self._longest_s():
                return found
            macs = min(high, macs * GROWTH)

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

    def _longest_s(self) -> float:
        return 2 * self.run.remaining_s(self.config)

    def _settings(self) -> dict[str, Any]:
        return {"channels_last": True, **self.config.settings_of(TrainPlan)}


def chosen_operators(ranked: Sequence[Mapping[str, Any]], images: float) -> list[str]:
    """Operators that take part: the best ones of the pilots, as many as the images are enough for.

    At least `LEAST_OPERATORS`, because a pilot of seconds may mistake the best for the next.

    Args:
        ranked: Pilots, the best first.
        images: That the supernet will see.
    """
    count = max(LEAST_OPERATORS, int(images / IMAGES_PER_OPERATOR))
    return [str(row["operator"]) for row in ranked[:count]]


def offered_operators(space: SearchSpace, limits: Sequence[Limit]) -> list[str]:
    """Operators of which some network throughout is within the limits that are known exactly."""
    assert space.costs is not None
    columns = space.columns("operator")
    names = list(dict.fromkeys(str(o) for c in columns for o in space.choices[c].options))
    exact = [limit for limit in limits if limit.metric in space.costs.metrics]
    fitting = []
    for name in names:
        row = np.array([smallest_of(space, name).encoding])
        if all(space.costs.of(x.metric, row)[0] <= x.max for x in exact):
            fitting.append(name)
    return fitting or names


def smallest_of(space: SearchSpace, operator: str) -> Candidate:
    """The unpruned network of the fewest multiply-adds with this operator where it is offered."""
    assert space.costs is not None
    fixed = {
        c: space.choices[c].options.index(operator)
        for c in space.columns("operator")
        if operator in space.choices[c].options
    }
    fixed |= {c: 0 for c in space.columns("sparsity")}
    return space.candidate(space.costs.minimum("macs", fixed)[1])


def judged(network: PlainNetwork, data: DataSet, images: Images) -> Quality:
    """How good a network that was trained alone is on some of the search split."""
    calibration = torch.from_numpy(data.calibration.take(PILOT_IMAGES).images_NCHW)
    subset = data.search.take(PILOT_IMAGES)
    recalibrated(network, images.normalised(calibration).split(128))
    with torch.no_grad():
        logits_NK = network(images.normalised(torch.from_numpy(subset.images_NCHW))).numpy()
    return quality(logits_NK, subset.labels_N)


def expected_accuracy(pilot: Mapping[str, Any], images: float, num_classes: int) -> float | None:
    """Of the best member with shared weights, by the best pilot; None if that has not learnt.

    Errors are proportional to log-losses, and log-losses fall with a power of the images seen.

    Args:
        pilot: Images, log-loss and accuracy.
        images: That the supernet will see, per operator.
        num_classes: For what guessing gives.
    """
    if pilot["accuracy"] < 3 / num_classes or not pilot["images"]:
        return None
    fall = (max(1.0, images / pilot["images"])) ** -LEARNING_EXPONENT
    return round(1 - (1 - float(pilot["accuracy"])) * fall, 4)


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
