"""The card of a network: numbers of its files, as a fresh process and the timing found them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compress.export import INPUT
from compress.store import num_params
from nas.data._base import DataSet, ranges_in_json
from nas.data._decode import rule_in_words
from nas.finalists.entry import Entry
from nas.front.card import build_card, modelled_facts
from nas.front.folders import DEPLOYED, UNQUANTIZED, onnx_files, timed_file
from nas.front.needs import needs_of
from nas.front.twins import unquantized
from nas.front.verify import verify
from nas.problem.budget import metric_on
from nas.problem.problem import Problem
from nas.system.files import digest_of, read_json, understood, write_json
from nas.targets import BY_ONNXRUNTIME, TORCH_CHECKPOINT, AbstractTarget, Artefact, Timing, choose
from search_spaces import (
    FULL_PRECISION,
    AbstractClassTask,
    AbstractDenseTask,
    Candidate,
    CandidateError,
    has_grids,
    precision_of,
    task_of,
)

CHANNEL_NAMES = {1: "grey", 3: "RGB"}


@dataclass(frozen=True)
class CardMaker:
    """Verifies files and makes cards of what was found.

    Attributes:
        run: Name of the run.
        problem: Costs and predictions.
        data: Splits to verify on.
        artefacts: What the targets take on which files were timed; the first is the search's.
        calibration: Name of what decided the ranges of integer grids.
        trained_by: What has trained the supernet, in words; "" where that is not known.
        threads: Of a process that verifies.
    """

    run: str
    problem: Problem
    data: DataSet
    artefacts: Mapping[str, Artefact]
    calibration: str
    trained_by: str
    threads: int

    @property
    def target(self) -> AbstractTarget:
        """Of the search."""
        return choose(next(iter(self.artefacts))).target

    def __call__(
        self,
        entry: Entry,
        folder: Path,
        answers: Path,
        timings: Mapping[str, Timing | CandidateError],
    ) -> dict[str, Any]:
        """The card.

        Args:
            entry: The network.
            folder: Its files.
            answers: File of what its module answers.
            timings: Of its files, by "key/file".

        Raises:
            CandidateError: If a file cannot be timed or verified.
        """
        candidate, data, space = entry.candidate, self.data, self.problem.space
        with understood(f"'{answers}'"):
            expected = [int(answer) for answer in read_json(answers)["search"]]
        verified = verify(
            folder,
            input_rule(data),
            onnx_files(folder),
            verification_splits(data),
            task=task_of(data.task),
            num_outputs=data.num_outputs,
            is_balanced=data.is_balanced,
            with_answers=True,
            threads=self.threads,
            answered_by=self.target.answered_by,
        )
        judged = {file: facts["accuracy"]["search"]["shown"] for file, facts in verified.items()}
        if space.is_brought:
            write_json(judgements(answers), {"schema": 1, "shown": judged})
        files: dict[str, Any] = {}
        for file, facts in verified.items():
            answered = self._counted(facts["accuracy"])
            files[file] = facts | self._measured(candidate, folder, file, timings)
            if file == DEPLOYED:
                files[file]["parity"] = parity(expected, answered["search"])
        checkpoints = [timed_file(file, TORCH_CHECKPOINT) for file in verified]
        files |= {name: content(folder / name) for name in checkpoints}
        counted = timed_file(UNQUANTIZED if UNQUANTIZED in verified else DEPLOYED, TORCH_CHECKPOINT)
        assert space.costs is not None
        row = np.array([candidate.encoding])
        return build_card(
            run=self.run,
            name=entry.name,
            key=entry.key,
            finetuned=entry.finetuned.facts if entry.finetuned else None,
            twin_of=entry.twin_of,
            candidate=candidate,
            space=space.name,
            data=data.name,
            task=data.task,
            corrupt=data.num_corrupt,
            trained_by=self.trained_by,
            input=input_rule(data),
            classes=data.classes,
            macs=int(space.costs.of("macs", row)[0]),
            bit_ops=float(space.costs.of("bit_ops", row)[0]),
            params=num_params(folder / counted),
            params_in=counted,
            modelled=modelled_facts(space.slots(candidate.encoding), files[DEPLOYED]["bytes"]),
            files=files,
        )

    def _measured(
        self,
        candidate: Candidate,
        folder: Path,
        file: str,
        timings: Mapping[str, Timing | CandidateError],
    ) -> dict[str, Any]:
        """What is known of an ONNX file besides its answers."""
        target, others = self.target, list(self.artefacts.items())[1:]
        is_deployed, timed = file == DEPLOYED, timed_file(file, target.artefact)
        timing = timings[f"{folder.name}/{timed}"]
        if isinstance(timing, CandidateError):
            raise timing
        is_calibrated = is_deployed and has_grids(candidate.policy)
        return {
            "precision": precision_of(candidate.policy) if is_deployed else FULL_PRECISION,
            "integer_kernels": target.integer_kernels(folder / timed),
            **({"calibration": self.calibration} if is_calibrated else {}),
            "needs": needs_of(folder / file) | _runtime(target),
            "latency": timing.to_json(),
            "latency_predicted_ms": self._predicted(candidate, is_deployed=is_deployed),
            **({"timed": timed} if timed != file else {}),
            **_answered_by(target),
            **elsewhere(f"{folder.name}/{file}", others, timings),
        }

    def _counted(self, records: Mapping[str, dict[str, Any]]) -> dict[str, Sequence[int]]:
        """What a file answered, by split; in the records, what the task says of it instead: counts
        by class, or what needs no learning.
        """
        data, task = self.data, task_of(self.data.task)
        answered = {split: record.pop("answers") for split, record in records.items()}
        for split, answers in answered.items():
            shown_N = np.array(records[split].pop("shown"))
            if isinstance(task, AbstractDenseTask):
                records[split] |= task.beside(shown_N, data.untaught[split])
                continue
            assert isinstance(task, AbstractClassTask)
            labels_N = getattr(data, split).labels_N
            records[split] |= task.counts(labels_N, np.array(answers), data.num_classes)
        return answered

    def _predicted(self, candidate: Candidate, *, is_deployed: bool) -> float | None:
        if "latency_ms" not in self.problem.model.metrics:
            return None
        of = candidate if is_deployed else unquantized(self.problem.space, candidate)
        if of is None:
            return None
        return round(float(self.problem.model.of("latency_ms", np.array([of.encoding]))[0]), 6)


def judgements(answers: Path) -> Path:
    """Where the shown metric of each image of the search split goes, by file.

    Args:
        answers: File of what the network's module answers.
    """
    return answers.with_suffix(".judged.json")


def elsewhere(
    name: str,
    others: Iterable[tuple[str, Artefact]],
    timings: Mapping[str, Timing | CandidateError],
) -> dict[str, Any]:
    """The card's `elsewhere`: latencies on other targets; nothing where there are none.

    Args:
        name: "key/file" of the ONNX file.
        others: Those targets, and what they take.
        timings: By "key/file@target".

    Raises:
        CandidateError: If one cannot run the network.
    """
    found = {}
    key, _, file = name.partition("/")
    for target, artefact in others:
        timing = timings[metric_on(f"{key}/{timed_file(file, artefact)}", target)]
        if isinstance(timing, CandidateError):
            raise CandidateError(f"target '{target}': {timing}")
        found[target] = timing.to_json()
    return {"elsewhere": found} if found else {}


def _runtime(target: AbstractTarget) -> dict[str, Any]:
    """The card's `needs.runtime`; nothing where opset and IR version say it."""
    return {"runtime": f"{target.describe()['runtime']}>={target.oldest}"} if target.oldest else {}


def _answered_by(target: AbstractTarget) -> dict[str, Any]:
    """The card's `answered_by`; nothing where that is onnxruntime, whatever is timed."""
    if target.answered_by == BY_ONNXRUNTIME:
        return {}
    return {"answered_by": {**target.describe(), **target.answered_by.options}}


def content(path: Path) -> dict[str, Any]:
    """What the card says of a file that is not verified."""
    return {"sha256": digest_of(path), "bytes": path.stat().st_size}


def verification_splits(data: DataSet) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images and labels by split."""
    return {
        split: (images.images_NCHW, images.labels_N)
        for split, images in (("search", data.search), ("test", data.test))
    }


def parity(expected_N: Sequence[int], answers_N: Sequence[int]) -> dict[str, Any]:
    """How often the exported file gives the answer of the module that was scored."""
    images = min(len(expected_N), len(answers_N))
    same = sum(a == b for a, b in zip(expected_N, answers_N, strict=False))
    return {"same_answer": same / images, "images": images}


def input_rule(data: DataSet) -> dict[str, Any]:
    """The card's `input`: how images become the network's input."""
    rule = rule_in_words(data.channels, data.resolution, data.ranges)
    return {
        "name": INPUT,
        "shape": ["batch", data.channels, *data.sides],
        "layout": "NCHW",
        "dtype": "float32",
        "channels": CHANNEL_NAMES.get(data.channels, str(data.channels)),
        "scale": 255.0,
        "mean": list(data.mean),
        "std": list(data.std),
        "resize": f"{rule}. Resizing of this data set's images: {data.resize}",
        **({"ranges": ranges_in_json(data.ranges)} if data.ranges else {}),
    }
