"""Training finalists further, each alone, before they are compressed and exported.

Shared weights are a compromise between all members; a finalist's own ones need not be. A recipe
says how, and names the result: folder `finetunes/<key>-ft<digest>` of the run (`nas/alone.py`),
with `recipe.json` beside the files of the training. Distillation is that of Hinton et al. (2015) at
temperature 1, half of the loss; the teacher answers for the same augmented images (Beyer et al.,
Knowledge distillation: a good teacher is patient and consistent, 2022).
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from nas._files import read_json, understood, write_json
from nas.alone import NETWORK, Teacher, alone_plan, seconds_per_step, trained_alone
from nas.data import DataSet
from nas.entry import Entry, Tuned, trained_network
from nas.planning import training_images
from nas.preparation import read_data
from nas.problem import Problem
from nas.references import largest_member
from nas.reporter import Reporter
from nas.run import Run
from nas.score import Scorer
from nas.trained import Trained
from nas.trial import Trial
from search_spaces import Candidate, SearchSpace, UserError
from supernets.images import Images
from supernets.train import Progress, TrainPlan

FOLDER, RECIPE = "finetunes", "recipe.json"
LARGEST, NO_TEACHER = "largest", "none"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides what fine-tuning gives.

    Attributes:
        epochs: Passes over the training images; 0 for as many as a search has time for.
        teacher: "none", the "largest" member of the supernet, or the path of an ONNX file.
        data: Images to train on; "" for those of the run.
        learning_rate: Peak.
    """

    epochs: float = 0.0
    teacher: str = NO_TEACHER
    data: str = ""
    learning_rate: float = 4e-3

    def key(self, candidate: Candidate) -> str:
        """Name of the candidate so trained."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return f"{candidate.key}-ft{hashlib.sha256(text.encode()).hexdigest()[:4]}"


@final
@dataclass(frozen=True, kw_only=True)
class Tuner:
    """Trains candidates of one run further.

    Attributes:
        run: Where the folders are.
        scorer: Has the supernet, and judges.
        images: To train on.
        plan: The supernet's training, whose batch, precision and memory format are kept.
        recipe: How.
        teacher: From normalised images to logits; None for labels only.
        reporter: Told how far it is.
        steps: Of a recipe without epochs.
    """

    run: Run
    scorer: Scorer
    images: Images
    plan: TrainPlan
    recipe: Recipe
    teacher: Teacher | None
    reporter: Reporter
    steps: int = 0

    def __call__(self, candidate: Candidate) -> Entry:
        """The candidate trained further; continues, or reads back what is finished."""
        space = self.scorer.supernet.space
        key = self.recipe.key(candidate)
        folder = self.run.folder(f"{FOLDER}/{key}")
        document = {
            "schema": 1,
            "candidate": candidate.key,
            "encoding": list(candidate.encoding),
            **dataclasses.asdict(self.recipe),
        }
        if not (folder / RECIPE).exists():
            write_json(folder / RECIPE, document)
        network = self.scorer.supernet.extract(space.slots(candidate.encoding))
        trained_alone(
            network,
            self.images,
            folder,
            self._planned,
            teacher=self.teacher,
            on_step=lambda numbers, steps: self._tell(key, numbers, steps),
        )
        return read_tuned(folder, space)

    def better(self, trial: Trial) -> Entry:
        """The trial's candidate trained further, or with shared weights if these score better.

        Both are judged as scored: compressed, on the same images of the search split.
        """
        entry = self(trial.candidate)
        assert entry.tuned is not None
        score = self.run.decided(f"{FOLDER}/{entry.key}/score.json", lambda: self._score(entry))
        with understood(f"'{self.run.path}/{FOLDER}/{entry.key}/score.json'"):
            is_better = score["log_loss"] < trial.metrics["log_loss"]
        return entry if is_better else Entry(trial.candidate, entry.name)

    def _score(self, entry: Entry) -> dict[str, float]:
        own = trained_network(self.scorer.supernet.space, entry)
        found = self.scorer.quality(self.scorer.compressed(entry.candidate, own).network)
        return {"log_loss": found.log_loss, "accuracy": found.accuracy}

    def seconds_per_step(self, candidate: Candidate) -> float:
        """How long a step of this candidate's training takes here, by a short test."""
        supernet = self.scorer.supernet
        network = supernet.extract(supernet.space.slots(candidate.encoding))
        return seconds_per_step(network, self.images, self.plan, self.teacher)

    def _planned(self) -> TrainPlan:
        recipe = self.recipe
        per_epoch = len(self.images.labels_N) / self.plan.batch_size
        steps = round(recipe.epochs * per_epoch) if recipe.epochs else self.steps
        return alone_plan(self.plan, steps=max(1, steps), learning_rate=recipe.learning_rate)

    def _tell(self, key: str, numbers: Progress, steps: int) -> None:
        text = f"{key}, loss {numbers['loss']:.3f}, {numbers['images_per_s']:.0f} images/s"
        self.reporter.advance(int(numbers["step"]), steps, text)


def read_tuned(folder: Path, space: SearchSpace) -> Entry:
    """The network in a folder whose training is finished."""
    recipe, plan = read_json(folder / RECIPE), read_json(folder / "plan.json")
    with understood(f"'{folder / RECIPE}'"):
        candidate = space.candidate(recipe["encoding"])
        facts = {
            "from": recipe["candidate"],
            "steps": plan["steps"],
            "images_per_step": plan["batch_size"],
            "teacher": recipe["teacher"],
            "data": recipe["data"],
        }
    return Entry(candidate, "front member", tuned=Tuned(folder.name, folder / NETWORK, facts))


def asked_for(run: Run, space: SearchSpace) -> list[Entry]:
    """What `nas finetune` has made of a run: finished trainings that were given in epochs."""
    folders = sorted((run.path / FOLDER).glob(f"*/{NETWORK}"))
    return [
        read_tuned(path.parent, space)
        for path in folders
        if read_json(path.parent / RECIPE).get("epochs")
    ]


def make_tuner(trained: Trained, recipe: Recipe, reporter: Reporter) -> Tuner:
    """A tuner of this run's candidates.

    Raises:
        UserError: If the recipe's teacher or data cannot be had, or do not fit the run's.
    """
    return Tuner(
        run=trained.run,
        scorer=trained.scorer,
        images=images_of(recipe, trained, reporter),
        plan=trained.train_plan,
        recipe=recipe,
        teacher=make_teacher(recipe.teacher, trained.problem, trained.scorer),
        reporter=reporter,
    )


def images_of(recipe: Recipe, trained: Trained, reporter: Reporter) -> Images:
    """The training images that a recipe names, normalised like those of the run.

    Raises:
        UserError: If they are of other classes, or in other colours.
    """
    own = training_images(trained.data)
    if not recipe.data:
        return own
    config = dataclasses.replace(
        trained.config, data=recipe.data, resolution=trained.data.resolution
    )
    other = read_data(config, reporter)
    if (other.classes, other.channels) != (trained.data.classes, trained.data.channels):
        raise UserError(
            f"data '{recipe.data}' has {_kind(other)}; run '{trained.run.path}' has "
            f"{_kind(trained.data)}. Give images of the same classes and colours."
        )
    return dataclasses.replace(training_images(other), mean=own.mean, std=own.std)


def _kind(data: DataSet) -> str:
    first = ", ".join(data.classes[:3]) + (", ..." if data.num_classes > 3 else "")
    return f"{data.num_classes} classes ({first}) in {data.channels} channels"


def make_teacher(name: str, problem: Problem, scorer: Scorer) -> Teacher | None:
    """The teacher that a recipe names.

    Raises:
        UserError: If its file is missing or does not fit the data.
    """
    if name == NO_TEACHER:
        return None
    if name == LARGEST:
        module = scorer.compressed(largest_member(problem)).fp32
        return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return OnnxTeacher.load(Path(name), problem.space)


@final
class OnnxTeacher:
    """An ONNX file from normalised images to logits, run by onnxruntime."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name

    @staticmethod
    def load(path: Path, space: SearchSpace) -> "OnnxTeacher":
        """Open a file and see that it answers for images of this space's shape.

        Raises:
            UserError: If it is missing, is no model, or answers in another shape.
        """
        import onnxruntime

        network = space.network
        assert network is not None
        if not path.is_file():
            raise UserError(
                f"teacher '{path}' is not there. Give the path of an ONNX file, '{LARGEST}' or "
                f"'{NO_TEACHER}'."
            )
        side, classes = network.resolution, network.num_classes
        images = np.zeros((1, network.channels, side, side), np.float32)
        try:
            session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            shape = session.run(None, {session.get_inputs()[0].name: images})[0].shape
        except Exception as error:  # onnxruntime raises a dozen unrelated classes
            raise UserError(
                f"teacher '{path}' does not run on images of shape {images.shape[1:]}: {error}. "
                "Give an ONNX file made for this data."
            ) from error
        if shape != (1, classes):
            raise UserError(
                f"teacher '{path}' answers in shape {shape}, not (1, {classes}), one number for "
                "each class. Give an ONNX file made for this data."
            )
        return OnnxTeacher(session)

    def __call__(self, images_BCHW: Tensor) -> Tensor:
        """Logits, (B, classes)."""
        images = images_BCHW.float().contiguous().numpy()
        return torch.from_numpy(self._session.run(None, {self._input: images})[0])
