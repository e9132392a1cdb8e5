"""Training the finalists of a search further, beside each other: which, with what batch, how long.

    finetune_plan.json     seconds for all, who is trained, the batch, and seconds per step
    finetunes/<key>/       a training (see `finetuning.py`); it decides its steps as it begins

The first is written before any training begins; a run that continues follows both.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from nas.executors import make_timer
from nas.finalists.entry import Entry, inherited
from nas.finalists.finetuning import Finetuning, make_finetuning
from nas.finalists.order import finalist_order
from nas.finalists.recipe import Recipe
from nas.finalists.shares import (
    MIN_STEPS,
    MOST_PACE,
    Begun,
    divided,
    pace_within,
    soonest_order,
)
from nas.latency.measure import time_networks
from nas.prepare.phases import BROUGHT, NO_TEACHER, PhasePlan
from nas.prepare.plan import SPARE_SHARE, formats_of, search_settings
from nas.prepare.reopen import Trained
from nas.prepare.speed import with_batch
from nas.problem.trial import Trial
from nas.run.config import Config
from nas.run.growth import extension
from nas.standalone.beside import Job, num_beside, shown_by, train_beside
from nas.system.files import read_json, understood
from nas.system.reporter import Reporter, Silent
from search_spaces import Candidate
from supernets.plan import TrainPlan

DECIDED = "finetune_plan.json"

FORMAT = ("precision", "channels_last", "compile")
"""Of a plan what each network has its own of."""

ROUNDING = 1e-6
"""Of a step: so exactly is a pace known."""

LEAST_SHARE = 0.5
"""Of the planned time for training, however long what came before took."""

TIMED_PER_FINALIST = 3
"""So many trials are timed to find one that can be trained in its share of the time."""

SURELY_WITHIN = 0.8
"""A network whose predicted latency is at most this share of the limit is not timed before it is
trained: predictions err by a tenth."""


@dataclass(frozen=True)
class FinalTraining:
    """How the finalists of a search are trained further.

    Attributes:
        finetuning: Trains them.
        queue: Trials in the order in which they are to be measured; the first ones are trained.
        step_s: Seconds per step of those that are trained, by key.
        formats: Of each of them precision, memory format, whether it is compiled, and in how many
            parts its batches are.
        seconds: For all of them, beside each other.
    """

    finetuning: Finetuning
    queue: Sequence[Trial]
    step_s: Mapping[str, float]
    formats: Mapping[str, Mapping[str, Any]]
    seconds: float = 0.0

    def finalist(self, trial: Trial) -> Entry:
        """The trial's network, trained further if the plan says so: nothing is beyond it."""
        is_trained = trial.candidate.key in self.step_s
        return self.finetuning.finalist(trial) if is_trained else inherited(trial)


def train_finalists(trained: Trained, trials: Sequence[Trial], reporter: Reporter) -> None:
    """Train the first finalists further, if the plan has time for it.

    They share the time of all cores as `divided` says, each in a process of one thread. As the
    speed of the machine changes, those whose steps are not decided yet share what is left.
    """
    ranked = finalist_order(trained.problem, trials)
    if not trained.phases.finetune_s or not ranked:
        return
    reporter.phase("finetune", "training finalists further, each alone")
    with trained.run.phase("finetune"):
        started = time.monotonic()
        plan = final_training(trained, ranked, reporter)
        first = plan.queue[: len(plan.step_s)]
        if not first:
            return
        left_s = plan.seconds - (time.monotonic() - started)
        train_beside(
            jobs_within(first, plan, max(LEAST_SHARE * plan.seconds, left_s)),
            processes=num_beside(len(first)),
            on_progress=shown_by(reporter, [plan.finetuning.key(t.candidate) for t in first]),
        )
        reporter.advance(len(first), len(first), "scoring them")
        for trial in first:
            replace(plan.finetuning, reporter=Silent()).finalist(trial)


def jobs_within(first: Sequence[Trial], plan: FinalTraining, seconds: float) -> Iterator[Job]:
    """Trainings that are not finished; steps are decided as each one begins.

    The longest first; the second is the shortest, which tells early how fast the machine is today;
    the others so that cores are idle for a short while in the end. All have as many steps as let
    the last one end in time.

    Args:
        first: Whose networks are trained.
        plan: Says how.
        seconds: For all of them, beside each other.
    """
    finetuning, at_once = plan.finetuning, num_beside(len(first))
    steps = {key: max(MIN_STEPS, int(seconds / step_s)) for key, step_s in plan.step_s.items()}
    if len(first) > at_once:  # else each has a core to itself
        steps = divided(seconds * at_once, plan.step_s)
    needed_s = {key: steps[key] * plan.step_s[key] for key in plan.step_s}
    waiting = sorted(
        (t for t in first if not finetuning.is_over(t.candidate)),
        key=lambda trial: -needed_s[trial.candidate.key],
    )
    begin, rest = [*waiting[:1], *waiting[1:][-1:]], waiting[1:-1]
    begin_s, rest_s = ([needed_s[t.candidate.key] for t in part] for part in (begin, rest))
    waiting = begin + [rest[place] for place in soonest_order(begin_s, rest_s, at_once=at_once)]
    share = sum(needed_s[trial.candidate.key] for trial in waiting) / sum(needed_s.values())
    ends_at = time.monotonic() + share * seconds
    begun = Begun()
    for place, trial in enumerate(waiting):
        key, slowness = trial.candidate.key, begun.slowness()
        left_s = begun.left_s()
        pace = pace_within(
            max(0.0, ends_at - time.monotonic()),
            [*left_s, *[0.0] * (at_once - len(left_s))],
            [slowness * needed_s[other.candidate.key] for other in waiting[place:]],
            most=MOST_PACE / slowness,
        )
        number = max(MIN_STEPS, int(steps[key] * pace + ROUNDING))
        own = replace(in_format(finetuning, plan.formats[key]), steps=number)
        job = own.job(trial.candidate)
        begun.add(job, number * plan.step_s[key])
        yield job


def in_format(finetuning: Finetuning, found: Mapping[str, Any]) -> Finetuning:
    """What trains a network as a speed test has found best for it.

    Args:
        finetuning: Of all.
        found: Of `FinalTraining.formats`.
    """
    formats = {name: found[name] for name in FORMAT if name in found}
    plan = replace(finetuning.plan, **formats)
    return replace(finetuning, plan=plan, parts=int(found.get("parts", 1)))


def final_training(
    trained: Trained, ranked: Sequence[Trial], reporter: Reporter, *, file: str = DECIDED
) -> FinalTraining:
    """As decided when this run first came here.

    Args:
        trained: The run.
        ranked: Trials in the order in which they deserve it.
        reporter: Told of the training.
        file: Where it is decided.
    """
    config = trained.config
    finetuning = make_finetuning(trained, recipe_of(config), reporter)
    document = trained.run.decided(
        file,
        lambda: _chosen(
            replace(trained.phases, finetune_s=_seconds_left(trained)),
            ranked,
            finetuning,
            formats_of(config, finetuning.plan),
            _misses_limit(trained),
            is_batch_fixed="batch_size" in config.set,
        ),
    )
    with understood(f"'{trained.run.path}/{file}'"):
        known = {key: float(seconds) for key, seconds in document["seconds_per_step"].items()}
        places = {key: place for place, key in enumerate(document["finalists"])}
        batch = int(document.get("batch_size", finetuning.plan.batch_size))
        too_slow = {str(key) for key in document.get("too_slow", ())}
        known_formats = {key: dict(format_) for key, format_ in document.get("formats", {}).items()}
        seconds = float(document.get("seconds", trained.phases.finetune_s))
    plan = replace(finetuning.plan, batch_size=batch)
    finetuning = replace(finetuning, plan=plan)
    able = [trial for trial in ranked if trial.candidate.key not in too_slow]
    queue = sorted(able, key=lambda trial: places.get(trial.candidate.key, len(places)))
    # Not known if trials or their plan were made again since.
    first = [trial.candidate for trial in queue[: len(places)]]
    formats = {x.key: known_formats.get(x.key, {}) for x in first}
    step_s = {
        x.key: max(1e-6, known.get(x.key) or finetuning.fastest_plan(x, [plan])[1]) for x in first
    }
    steps = int(seconds / max(1e-6, sum(step_s.values())))
    finetuning = replace(finetuning, steps=max(MIN_STEPS, steps))
    return FinalTraining(finetuning, queue, step_s, formats, seconds)


def _seconds_left(trained: Trained) -> float:
    """Seconds for training finalists: as planned, less what took longer than planned before."""
    run, planned_s = trained.run, trained.phases.finetune_s
    with understood(f"'{run.path}/search_plan.json'"):
        plan = read_json(run.path / "search_plan.json")
        later_s = float(plan["finalists_s"]) + float(plan.get("judging_s", 0.0))
    return seconds_left(trained, planned_s, later_s, most_s=planned_s)


def seconds_left(trained: Trained, planned_s: float, later_s: float, *, most_s: float) -> float:
    """Seconds that a run has for training now; as planned if the user set them, or gave more time.

    Args:
        trained: The run.
        planned_s: For this training; at least `LEAST_SHARE` of it is left.
        later_s: What else is to come takes, and what has passed in this phase.
        most_s: If so much is left.
    """
    run, config = trained.run, trained.config
    if "finetune_s" in config.set or extension(run.path):
        return planned_s
    left_s = run.remaining_s(config) - later_s - SPARE_SHARE * config.seconds
    return round(min(most_s, max(LEAST_SHARE * planned_s, left_s)), 1)


def recipe_of(config: Config) -> Recipe:
    """How finalists are trained further."""
    settings = search_settings(config)
    teacher = settings.finalist_teacher or (BROUGHT if config.model else NO_TEACHER)
    if teacher == NO_TEACHER:
        return Recipe(activate=settings.finalist_activate)
    return Recipe(
        teacher=teacher,
        labels_share=settings.finalist_labels_share,
        activate=settings.finalist_activate,
    )


def _misses_limit(trained: Trained) -> Callable[[Trial], bool]:
    """Whether a trial's network is measured to be over the latency limit, if it may well be.

    Latency does not depend on weights, so what is over the limit need not be trained to know it.
    """
    problem = trained.problem
    limit = next((limit for limit in problem.limits if limit.metric == "latency_ms"), None)
    timer = make_timer(trained.config)

    def misses(trial: Trial) -> bool:
        if limit is None or trial.predicted["latency_ms"] <= SURELY_WITHIN * limit.max:
            return False
        [timing] = time_networks([problem.space.slots(trial.candidate.encoding)], timer)
        return timing is None or timing.median_ms > limit.max

    return misses


class _Speeds:
    """How long steps take, by short tests that are not repeated.

    Args:
        finetuning: Trains.
        plans: One per format that a network may be trained in.
    """

    def __init__(self, finetuning: Finetuning, plans: Sequence[TrainPlan]) -> None:
        self._finetuning = finetuning
        self._fastest = cache(finetuning.fastest_plan)
        self._plans = tuple(plans)
        self._num_images = len(finetuning.images.labels_N)

    def fastest(self, candidate: Candidate, batch_size: int = 0) -> tuple[TrainPlan, float]:
        """The plan in the fastest format for this candidate, and seconds per step.

        Args:
            candidate: Which.
            batch_size: Of a step; 0 for the plans' own.
        """
        found = self._fastest(candidate, self._plans)
        if batch_size in (0, self._plans[0].batch_size):
            return found
        whole = replace(self._plans[0], **_named(found[0], FORMAT), batch_size=batch_size)
        return self._fastest(candidate, (whole,))

    def seconds(self, candidate: Candidate, batch_size: int = 0) -> float:
        """Of a step in that format."""
        return self.fastest(candidate, batch_size)[1]

    def planned(
        self, trained: Sequence[Candidate], seconds: float, *, is_batch_fixed: bool
    ) -> dict[str, Any]:
        """Batch, seconds per step and formats of those that are trained in this time."""
        plan, _ = with_batch(
            self._plans[0],
            seconds * num_beside(len(trained)),
            lambda plan: sum(self.seconds(x, plan.batch_size) for x in trained),
            num_images=self._num_images,
            is_fixed=is_batch_fixed or not trained,
        )
        each_s = seconds * num_beside(len(trained)) / max(1, len(trained))
        found = {x.key: self._compiled(x, plan.batch_size, each_s) for x in trained}
        return {
            "batch_size": plan.batch_size,
            "seconds_per_step": {key: step_s for key, (_, step_s) in found.items()},
            "formats": {key: self._format(own) for key, (own, _) in found.items()},
        }

    def _compiled(
        self, candidate: Candidate, batch_size: int, seconds: float
    ) -> tuple[TrainPlan, float]:
        plan, step_s = self.fastest(candidate, batch_size)
        return self._finetuning.compiled(candidate, plan, seconds, step_s)

    def _format(self, plan: TrainPlan) -> dict[str, Any]:
        return {**_named(plan, FORMAT), "parts": plan.shards // self._plans[0].shards}


def _chosen(
    phases: PhasePlan,
    ranked: Sequence[Trial],
    finetuning: Finetuning,
    plans: Sequence[TrainPlan],
    misses_limit: Callable[[Trial], bool],
    *,
    is_batch_fixed: bool,
) -> dict[str, Any]:
    """finetune_plan.json: who is trained further, in which format, the batch, seconds per step.

    The first trials that get enough steps in an equal share of the time, or else the fastest one: a
    large network after a few steps is worse than a small one after many. Those over the latency
    limit are named, too: they are not measured again.
    """
    if not is_batch_fixed:
        plans = [replace(plan, batch_size=TrainPlan.batch_size) for plan in plans]
    speeds = _Speeds(finetuning, plans)
    share_s = phases.finetune_s * num_beside(phases.finalists) / phases.finalists
    step_s: dict[str, float] = {}
    able: list[str] = []
    too_slow: list[str] = []
    too_many_macs = math.inf
    for trial in ranked:
        num_tried = len(step_s) + len(too_slow)
        if len(able) == phases.finalists or num_tried == TIMED_PER_FINALIST * phases.finalists:
            break
        if trial.predicted["macs"] >= too_many_macs:
            continue
        key = trial.candidate.key
        if misses_limit(trial):
            too_slow.append(key)
            continue
        step_s[key] = speeds.seconds(trial.candidate)
        if phases.least_steps * step_s[key] <= share_s:
            able.append(key)
        else:
            too_many_macs = trial.predicted["macs"]
    finalists = able or sorted(step_s, key=lambda key: step_s[key])[:1]
    trained = [trial.candidate for trial in ranked if trial.candidate.key in finalists]
    return {
        "schema": 1,
        "seconds": phases.finetune_s,
        "finalists": finalists,
        "too_slow": too_slow,
        **speeds.planned(trained, phases.finetune_s, is_batch_fixed=is_batch_fixed),
    }


def _named(plan: TrainPlan, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in names}
