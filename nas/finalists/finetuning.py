"""Training finalists further, each alone, before they are compressed and exported.

Shared weights are a compromise between all members; a finalist's own ones need not be. A recipe
(`nas/finalists/recipe.py`) says how, and names the result: folder `finetunes/<key>-ft<digest>` of
the run, with `recipe.json` beside the files of the training (`nas/standalone/train.py`).
"""

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from compress.activate import activate_
from compress.aware import Aware
from compress.sparse import Making, kept_sparse
from nas.finalists.entry import Entry, Finetuned, inherited, trained_network
from nas.finalists.fitted import Fitted
from nas.finalists.images import images_of, with_unlabelled
from nas.finalists.lessons import teaching_of
from nas.finalists.recipe import BY_BATCH, Recipe
from nas.finalists.round_folders import finished_rounds, round_folder, steps_of_rounds
from nas.prepare.reopen import Trained
from nas.prepare.speed import in_parts, within_memory
from nas.problem.trial import Trial
from nas.run.directory import Run
from nas.scoring.scorer import Scorer
from nas.standalone.beside import Job, Planning
from nas.standalone.compiling import decided
from nas.standalone.train import (
    NETWORK,
    PLAN,
    alone_plan,
    as_it_is,
    fastest_plan,
    in_words,
)
from nas.system.files import make_folder, read_json, understood, write_json
from nas.system.reporter import Reporter
from search_spaces import Candidate, SearchSpace, Slot, UserError
from supernets.calibrate import recalibrated
from supernets.compiled import NEVER
from supernets.dropping import paths_of, residual_blocks
from supernets.images import Images
from supernets.low_rank import LowRankUpdates
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan
from supernets.teachers import Teaching
from supernets.train import DivergedError, Progress
from supernets.tune import tuned

FOLDER, RECIPE, SCORE = "finetunes", "recipe.json", "score.json"
BEFORE = "before"
"""Folder of what is trained before the quantization-aware share."""

TOLD = ("unlabelled", "stored", "low_rank", "activate", "grown_from")
"""What a card says of a recipe only where it was asked for."""

AWARE_COST, AWARE_RATE = 1.4, 0.2
"""Of a quantization-aware step, in the time of one that is not; and its peak rate, likewise."""


@final
@dataclass(frozen=True, kw_only=True)
class Finetuning:
    """Trains candidates of one run further.

    Attributes:
        run: Where the folders are.
        scorer: Has the supernet, and judges.
        images: To train on.
        plan: The supernet's training, whose precision and memory format are kept, and whose batch
            is unless the steps are planned for a time.
        recipe: How.
        teaching: What they learn from.
        reporter: Told how far it is.
        steps: Of a recipe without epochs.
        parts: Of a batch, one after the other, where memory does not hold it at once.
        round: Number of the round that it is the training of, 0 for the last one. It goes on from
            the round before in which a candidate was trained.
        start: What the one candidate that it trains begins with; None for shared weights.
    """

    run: Run
    scorer: Scorer
    images: Images
    plan: TrainPlan
    recipe: Recipe
    teaching: Teaching
    reporter: Reporter
    steps: int = 0
    parts: int = 1
    round: int = 0
    start: PlainNetwork | None = None

    def __call__(self, candidate: Candidate) -> Entry:
        """The candidate trained further; continues, or reads back what is finished."""
        job = self.job(candidate)
        job.carry_out(lambda numbers, steps: self._tell(job.name, numbers, steps))
        return read_finetuned(job.folder, self.scorer.supernet.space)

    def key(self, candidate: Candidate) -> str:
        """Name of the candidate so trained."""
        return self.recipe.key(candidate)

    def job(self, candidate: Candidate) -> Job:
        """The candidate's training, begun or not."""
        _refuse_nothing_to_drop(self.recipe, self.scorer.supernet.space.slots(candidate.encoding))
        key = self.key(candidate)
        folder = self.run.folder(f"{FOLDER}/{key}")
        document = {
            "schema": 1,
            "candidate": candidate.key,
            "encoding": list(candidate.encoding),
            **self.recipe.document(),
        }
        if not (folder / RECIPE).exists():
            write_json(folder / RECIPE, document)
        if read_json(folder / RECIPE) != document:
            raise UserError(
                f"'{folder / RECIPE}' is another recipe than the one asked for. Delete the folder "
                "to train again."
            )
        network, make = self._begun(candidate)
        whole = self._planned()
        plan: Planning = whole
        if self.recipe.epochs:  # whatever time they take
            plan = Fitted(whole, self.teaching, make)
        job = Job(key, network, self.images, folder, plan, teaching=self.teaching, make=make)
        if rounds := finished_rounds(folder, before=self.round):
            job = dataclasses.replace(job, before=dataclasses.replace(job, folder=rounds[-1]))
        if self.round:
            return dataclasses.replace(job, folder=make_folder(round_folder(folder, self.round)))
        return self._quantization_aware(job, candidate) if self.recipe.aware_share else job

    def _begun(self, candidate: Candidate) -> tuple[PlainNetwork, Making]:
        """The candidate's network before its training, and what is trained of it."""
        slots = self.scorer.supernet.space.slots(candidate.encoding)
        network = copy.deepcopy(self.start) if self.start else self.scorer.extracted(slots)
        if self.recipe.activate:
            activate_(network, self.scorer.calibration, self.recipe.activate)
        if self.recipe.batch_norm == BY_BATCH:
            return network, kept_sparse(as_it_is, slots)
        recalibrated(network, self.scorer.calibration)
        rank = self.recipe.low_rank
        make: Making = LowRankUpdates(rank, self.plan.seed) if rank else tuned
        return network, kept_sparse(make, slots)

    def _quantization_aware(self, job: Job, candidate: Candidate) -> Job:
        """The job with its last share quantization-aware, of a candidate that has grids.

        Its steps take longer, so that there are fewer of them in their share of the time.
        """
        share, plan = self.recipe.aware_share, self._planned()
        first_steps = round((1 - share) * plan.steps)
        last = dataclasses.replace(
            plan,
            steps=max(1, round(share * plan.steps / AWARE_COST)),
            learning_rate=AWARE_RATE * plan.peak_rate,
            precision="fp32",
            compile=NEVER,
            drop_path=0.0,
            dropout=0.0,
            seed=plan.seed + 1,
        )
        slots = self.scorer.supernet.space.slots(candidate.encoding)
        make = Aware(
            arch=slots,
            calibration=self.scorer.calibration,
            calibrated_by=self.scorer.calibrated_by,
            needs_reduced_range=self.scorer.needs_reduced_range,
            recalibrates=self.recipe.batch_norm == BY_BATCH,
        )
        before = dataclasses.replace(
            job,
            folder=self.run.folder(f"{FOLDER}/{job.name}/{BEFORE}"),
            plan=dataclasses.replace(plan, steps=first_steps),
        )
        return dataclasses.replace(
            job, plan=last, make=kept_sparse(make, slots), before=before if first_steps else None
        )

    def finalist(self, trial: Trial) -> Entry:
        """The trial's candidate trained further, or with shared weights if these score better.

        Both are judged as scored: compressed, on the same images of the search split. If training
        diverges, shared weights stay.
        """
        name, loss = f"{FOLDER}/{self.key(trial.candidate)}/{SCORE}", self.scorer.task.loss.name
        score = self.run.decided(name, lambda: self._score(trial.candidate))
        with understood(f"'{self.run.path}/{name}'"):
            is_better = not score["failure"] and score[loss] < trial.metrics[loss]
        return self(trial.candidate) if is_better else inherited(trial)

    def is_over(self, candidate: Candidate) -> bool:
        """Whether the candidate's training is finished, or has failed."""
        folder = self.run.path / FOLDER / self.key(candidate)
        if self.round and (round_folder(folder, self.round) / NETWORK).exists():
            return True
        return (folder / NETWORK).exists() or (folder / SCORE).exists()

    def _score(self, candidate: Candidate) -> dict[str, Any]:
        try:
            entry = self(candidate)
        except DivergedError as error:
            return {"schema": 1, "failure": str(error)}
        own = trained_network(self.scorer.supernet.space, entry)
        found = self.scorer.quality(self.scorer.compressed(candidate, *own).network)
        return {"schema": 1, "failure": "", **found}

    def fastest_plan(
        self, candidate: Candidate, plans: Sequence[TrainPlan]
    ) -> tuple[TrainPlan, float]:
        """The plan with which steps of this candidate's training cost least here, by a short test.

        Returns:
            One of the plans, with its batches in parts if memory does not hold them, and seconds
            per step with it.
        """
        network, make = self._begun(candidate)
        module = make(network)

        def tested(parts: int) -> tuple[TrainPlan, float]:
            own = {in_parts(alone_plan(plan, steps=1), parts): plan for plan in plans}
            plan, step_s = fastest_plan(module, self.images, list(own), self.teaching)
            return own[plan], step_s

        parts, (plan, step_s) = within_memory(alone_plan(plans[0], steps=1), tested)
        return in_parts(plan, parts), step_s

    def compiled(
        self, candidate: Candidate, plan: TrainPlan, seconds: float, step_s: float
    ) -> tuple[TrainPlan, float]:
        """The plan, which says whether the candidate is compiled, and seconds per step with it.

        Args:
            candidate: Which.
            plan: Of `fastest_plan`.
            seconds: Of its training.
            step_s: Seconds per step without compiling.
        """
        network, make = self._begun(candidate)
        if (module := make(network)) is not network:  # what is made of a network is not compiled
            return dataclasses.replace(plan, compile=NEVER), step_s
        own = dataclasses.replace(plan, shards=plan.shards // self.plan.shards)
        steps = seconds / step_s
        own, step_s = decided(module, self.images, own, self.teaching, steps=steps, step_s=step_s)
        return dataclasses.replace(plan, compile=own.compile), step_s

    def _planned(self) -> TrainPlan:
        whole = planned(self.recipe, self.plan, self.images, steps=self.steps)
        return in_parts(whole, self.parts)

    def _tell(self, key: str, numbers: Progress, steps: int) -> None:
        text = f"{key}, loss {numbers['loss']:.3f}, {numbers['images_per_s']:.0f} images/s"
        self.reporter.advance(int(numbers["step"]), steps, text)


def planned(recipe: Recipe, plan: TrainPlan, images: Images, *, steps: int) -> TrainPlan:
    """The plan of a training by a recipe.

    Args:
        recipe: How.
        plan: Of the supernet.
        images: To train on.
        steps: Of a recipe without epochs.
    """
    if recipe.epochs:
        steps = round(recipe.epochs * len(images.labels_N) / plan.batch_size)
    decay = plan.weight_decay if recipe.weight_decay is None else recipe.weight_decay
    rate = recipe.learning_rate or plan.learning_rate
    drop = plan.drop_path if recipe.drop_path is None else recipe.drop_path
    changes = {"learning_rate": rate, "weight_decay": decay, "drop_path": drop}
    return alone_plan(plan, steps=max(1, steps), **changes)


def _refuse_nothing_to_drop(recipe: Recipe, slots: Sequence[Slot]) -> None:
    """See that a network has something that images may pass by.

    Raises:
        UserError: If it has neither residual blocks nor paths that are added up.
    """
    if not recipe.drop_path:
        return
    network = PlainNetwork(slots)
    if not residual_blocks(network) and not paths_of(network):
        raise UserError(
            f"drop_path is {recipe.drop_path:g}, and this network has neither residual blocks nor "
            "paths that are added up. Leave it out."
        )


def read_finetuned(folder: Path, space: SearchSpace) -> Entry:
    """The network in a folder whose training is finished."""
    recipe, plan = read_json(folder / RECIPE), read_json(folder / PLAN)
    with understood(f"'{folder / PLAN}'"):
        facts = {"steps": plan["steps"], "images_per_step": plan["batch_size"] * plan["shards"]}
        facts["trained_in"] = in_words(plan)
        if (folder / BEFORE / PLAN).exists():
            facts["aware_steps"] = facts["steps"]
            facts["steps"] += read_json(folder / BEFORE / PLAN)["steps"]
        facts["steps"] += steps_of_rounds(folder)
    with understood(f"'{folder / RECIPE}'"):
        candidate = space.candidate(recipe["encoding"])
        facts |= {
            "from": recipe["candidate"],
            "epochs": recipe["epochs"] or None,
            "teacher": recipe["teacher"],
            "data": recipe["data"],
            "batch_norm": recipe.get("batch_norm", BY_BATCH),
            **{name: recipe[name] for name in TOLD if recipe.get(name)},
        }
    return Entry(
        candidate, "front member", finetuned=Finetuned(folder.name, folder / NETWORK, facts)
    )


def asked_for(run: Run, space: SearchSpace) -> list[Entry]:
    """What `nas finetune` has made of a run: finished trainings that were given in epochs."""
    folders = sorted((run.path / FOLDER).glob(f"*/{NETWORK}"))
    return [
        read_finetuned(path.parent, space)
        for path in folders
        if read_json(path.parent / RECIPE).get("epochs")
    ]


def make_finetuning(trained: Trained, recipe: Recipe, reporter: Reporter) -> Finetuning:
    """What trains candidates of this run further.

    Raises:
        UserError: If the recipe's teacher or data cannot be had, or do not fit the run's.
    """
    images = images_of(recipe.data, trained, reporter)
    if recipe.unlabelled:
        images = with_unlabelled(images, Path(recipe.unlabelled), trained, reporter)
    plan = planned(recipe, trained.train_plan, images, steps=0)
    return Finetuning(
        run=trained.run,
        scorer=trained.scorer,
        images=images,
        plan=trained.train_plan,
        recipe=recipe,
        teaching=teaching_of(recipe, trained, images, plan, reporter),
        reporter=reporter,
    )
