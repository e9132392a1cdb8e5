"""The files of finalists and references: export, time, verify.

A member's numbers are those of its files, measured again: accuracy and log-loss by a fresh process
that sees onnxruntime and numpy only, latency by the target's timing protocol, bytes by the file
system. `nas/front/contest.py` decides who is measured and who stays.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from compress.export import INPUT, export_onnx
from compress.store import save_network
from nas.data._base import DataSet
from nas.finalists.entry import Entry, trained_network
from nas.front.card import build_card, read_card, write_card
from nas.front.verify import verify
from nas.prepare.plan import REFERENCE_IMAGES
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from nas.run.directory import Run
from nas.scoring.scorer import Scorer
from nas.system.files import make_folder, read_json, understood, write_json
from nas.targets import TARGETS, Timer, Timing
from search_spaces import Candidate, CandidateError, precision_of
from supernets.files import replacing

DEPLOYED, UNQUANTIZED, CHECKPOINT = "model.onnx", "model.fp32.onnx", "model.safetensors"
CARD = "card.json"
FRONT, FINALISTS, REFERENCES, EXPORTS = "front", "finalists", "references", "exports"
TIMING_PROCESSES, SPARE_PROCESSES = 5, 5
CHANNEL_NAMES = {1: "grey", 3: "RGB"}


@dataclass(frozen=True)
class Exporter:
    """Makes, times and verifies the files of candidates.

    Attributes:
        run: Where files go.
        problem: Objectives, limits and predictions.
        scorer: Cuts out and compresses.
        data: Splits to verify on.
        target: Runtime on which files are timed.
        timer: Times files on it.
        times_again: Whether finished networks are timed again, together with new ones.
        beside: Folder of the run for networks that are no references, `EXPORTS` for all of them,
            `FINALISTS` for those that are not on the front.
    """

    run: Run
    problem: Problem
    scorer: Scorer
    data: DataSet
    target: str
    timer: Timer
    times_again: bool = False
    beside: str = FINALISTS

    def cards(
        self,
        entries: Sequence[Entry],
        progress: Callable[[str], None] = lambda text: None,
    ) -> list[dict[str, Any] | CandidateError]:
        """The card of every entry, or why it has none; finished cards are reused.

        Args:
            entries: All are timed together: latencies compare within one call.
            progress: Called with what is being done.
        """
        folders = [self._folder(entry) for entry in entries]
        waiting = [i for i, folder in enumerate(folders) if not is_finished(folder)]
        failures: dict[int, CandidateError] = {}
        for i in waiting:
            progress(f"exporting {entries[i].key}")
            try:
                self._export(entries[i], folders[i])
            except CandidateError as error:
                failures[i] = error
        waiting = [i for i in waiting if i not in failures]
        timed = range(len(entries)) if self.times_again else waiting
        call = _digest_of([e.key for e in entries]) if self.times_again else ""
        timings = self._time([folders[i] for i in timed if i not in failures], call, progress)
        new = [i for i in waiting if i not in failures]
        for i, card in self._verified({i: (entries[i], folders[i]) for i in new}, timings):
            progress(f"verified {entries[i].key}")
            if isinstance(card, CandidateError):
                failures[i] = card
            else:
                write_card(card, folders[i] / CARD)
        for i in set(timed).difference(new, failures):
            try:
                write_card(_timed_again(read_card(folders[i] / CARD), timings), folders[i] / CARD)
            except CandidateError as error:
                failures[i] = error
        for i in failures:
            if not (folders[i] / CARD).exists():
                shutil.rmtree(folders[i], ignore_errors=True)
        return [
            failures[i] if i in failures else read_card(folder / CARD)
            for i, folder in enumerate(folders)
        ]

    def trial(self, number: int, candidate: Candidate, card: dict[str, Any]) -> Trial:
        """A card's measured numbers as a trial, for choosing the front."""
        deployed = card["files"][DEPLOYED]
        metrics = {
            "log_loss": deployed["accuracy"]["search"]["log_loss"],
            "accuracy": deployed["accuracy"]["search"]["fraction"],
            "latency_ms": deployed["latency"]["median_ms"],
            "size_bytes": float(deployed["bytes"]),
            "macs": float(card["macs"]),
            "params": float(card["params"]),
        }
        return Trial(number=number, candidate=candidate, metrics=metrics, predicted={})

    def settle(self, members: Iterable[str]) -> None:
        """Move folders so that `front` holds exactly these keys."""
        keys = set(members)
        for key in keys:
            _move(self.run.path / FINALISTS / key, self.run.path / FRONT / key)
        for folder in list(self.run.folder(FRONT).iterdir()):
            if folder.name not in keys:
                _move(folder, self.run.path / FINALISTS / folder.name)

    def _folder(self, entry: Entry) -> Path:
        key = entry.key
        if entry.is_reference:
            return self.run.folder(f"{REFERENCES}/{key}")
        if self.beside == FINALISTS and (self.run.path / FRONT / key).exists():
            return self.run.path / FRONT / key
        return self.run.folder(f"{self.beside}/{key}")

    def _export(self, entry: Entry, folder: Path) -> None:
        answers = self.run.path / _answers_name(entry)
        network = self.problem.space.network
        assert network is not None
        size = {"channels": network.channels, "resolution": network.resolution}
        own = trained_network(self.problem.space, entry)
        compressed = self.scorer.compressed(entry.candidate, own)
        if compressed.plan.is_quantized:
            with replacing(folder / UNQUANTIZED) as file:
                export_onnx(compressed.fp32, file, **size)
        slots = self.problem.space.slots(entry.candidate.encoding)
        save_network(compressed.network, slots, folder / CHECKPOINT)
        with replacing(folder / DEPLOYED) as file:
            export_onnx(compressed.network, file, **size)
        make_folder(answers.parent)
        write_json(answers, {"search": self.scorer.answers(compressed.network)})

    def has_card(self, entry: Entry) -> bool:
        """Whether the network is measured already."""
        return (self._folder(entry) / CARD).exists()

    def _time(
        self, folders: Sequence[Path], call: str, progress: Callable[[str], None]
    ) -> dict[str, Timing | CandidateError]:
        """Latency of every ONNX file of the folders, by "key/file"; recorded before it is used.

        Args:
            folders: Of networks.
            call: Names the folder of the records; "" for the first timing of each file.
            progress: Told that timing begins.
        """
        files = [folder / n for folder in folders for n in onnx_files(folder)]
        records = {f"{f.parent.name}/{f.name}": self._timing_file(f, call) for f in files}
        waiting = [f for f in files if not self._timing_file(f, call).exists()]
        if waiting:
            progress(f"timing {len(waiting)} files in {TIMING_PROCESSES} fresh processes")
            timings = self.timer(
                waiting,
                processes=TIMING_PROCESSES,
                spares=SPARE_PROCESSES,
            )
            for file, timing in zip(waiting, timings, strict=True):
                document = (
                    {"failure": without_folder(str(timing), file.parent)}
                    if isinstance(timing, CandidateError)
                    else timing.to_json()
                )
                self.run.decided(self._timing_name(file, call), partial(dict, document))
        return {name: _read_timing(path) for name, path in records.items()}

    def _timing_name(self, file: Path, call: str) -> str:
        return str(Path("timings", call, f"{file.parent.name}.{file.name}.json"))

    def _timing_file(self, file: Path, call: str) -> Path:
        return self.run.path / self._timing_name(file, call)

    def _verified(
        self,
        waiting: Mapping[int, tuple[Entry, Path]],
        timings: dict[str, Timing | CandidateError],
    ) -> Iterator[tuple[int, dict[str, Any] | CandidateError]]:
        """New cards, or why there are none, in order; as many are made at once as there are cores.

        Args:
            waiting: Entries and their folders, by numbers that come back.
            timings: Of their files.
        """

        def card(number: int) -> dict[str, Any] | CandidateError:
            try:
                return self._card(*waiting[number], timings)
            except CandidateError as error:
                return error

        pool = ThreadPoolExecutor(torch.get_num_threads())
        try:
            yield from zip(waiting, pool.map(card, waiting), strict=True)
        finally:
            pool.shutdown(cancel_futures=True)

    def _card(
        self,
        entry: Entry,
        folder: Path,
        timings: dict[str, Timing | CandidateError],
    ) -> dict[str, Any]:
        candidate, data, space = entry.candidate, self.data, self.problem.space
        names = onnx_files(folder)
        num_images = REFERENCE_IMAGES if entry.is_reference else None
        splits = {
            split: (images.between(0, num_images).images_NCHW, images.labels_N[:num_images])
            for split, images in (("search", data.search), ("test", data.test))
        }
        card_input = input_rule(data)
        recorded = self.run.path / _answers_name(entry)
        with understood(f"'{recorded}'"):
            expected = [int(answer) for answer in read_json(recorded)["search"]]
        verified = verify(folder, card_input, names, splits, with_argmax=True)
        files: dict[str, Any] = {}
        for file in names:
            timing = timings[f"{folder.name}/{file}"]
            if isinstance(timing, CandidateError):
                raise timing
            answers = {n: facts.pop("argmax") for n, facts in verified[file]["accuracy"].items()}
            files[file] = {
                **verified[file],
                "precision": precision_of(candidate.policy) if file == DEPLOYED else "fp32",
                "integer_kernels": TARGETS.get(self.target)().integer_kernels(folder / file),
                "latency": timing.to_json(),
                "latency_predicted_ms": self._predicted(candidate, is_fp32=file != DEPLOYED),
            }
            if file == DEPLOYED:
                files[file]["parity"] = parity(expected, answers["search"])
        checkpoint = folder / CHECKPOINT
        files[CHECKPOINT] = {
            "sha256": _digest(checkpoint),
            "bytes": checkpoint.stat().st_size,
        }
        costs = space.costs
        assert costs is not None
        row = np.array([candidate.encoding])
        return build_card(
            run=self.run.path.name,
            name=entry.name,
            key=entry.key,
            finetuned=entry.finetuned.facts if entry.finetuned else None,
            candidate=candidate,
            space=space.name,
            data=data.name,
            input=card_input,
            classes=data.classes,
            macs=int(costs.of("macs", row)[0]),
            params=int(costs.of("params", row)[0]),
            files=files,
        )

    def _predicted(self, candidate: Candidate, *, is_fp32: bool) -> float | None:
        if "latency_ms" not in self.problem.model.metrics:
            return None
        encoding = np.array([candidate.encoding])
        if is_fp32:
            space = self.problem.space
            if not all("fp32" in space.choices[i].options for i in space.columns("precision")):
                return None
            encoding = space.in_precision(encoding, "fp32")
        return round(float(self.problem.model.of("latency_ms", encoding)[0]), 6)


def parity(expected_N: Sequence[int], answers_N: Sequence[int]) -> dict[str, Any]:
    """How often the exported file gives the answer of the module that was scored."""
    images = min(len(expected_N), len(answers_N))
    same = sum(a == b for a, b in zip(expected_N, answers_N, strict=False))
    return {"same_answer": same / images, "images": images}


def input_rule(data: DataSet) -> dict[str, Any]:
    """The card's `input`: how images become the network's input."""
    return {
        "name": INPUT,
        "shape": ["batch", data.channels, data.resolution, data.resolution],
        "layout": "NCHW",
        "dtype": "float32",
        "channels": CHANNEL_NAMES.get(data.channels, str(data.channels)),
        "scale": 255.0,
        "mean": list(data.mean),
        "std": list(data.std),
        "resize": data.resize,
    }


def is_finished(folder: Path) -> bool:
    """Whether there is a card and the very files that it describes; if not these, starts afresh."""
    if is_whole(folder):
        return True
    if (folder / CARD).exists():
        shutil.rmtree(folder)
        folder.mkdir()
    return False


def is_whole(folder: Path) -> bool:
    """Whether there is a card and the very files that it describes."""
    return (folder / CARD).exists() and all(
        (folder / name).is_file() and _digest(folder / name) == facts["sha256"]
        for name, facts in read_card(folder / CARD)["files"].items()
    )


def onnx_files(folder: Path) -> list[str]:
    """Names of the ONNX files of an exported candidate."""
    return [name for name in (DEPLOYED, UNQUANTIZED) if (folder / name).exists()]


def _move(source: Path, to: Path) -> None:
    if source.exists():
        make_folder(to.parent)
        source.replace(to)


def _digest_of(keys: Sequence[str]) -> str:
    return hashlib.sha256("".join(sorted(keys)).encode()).hexdigest()[:8]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _answers_name(entry: Entry) -> str:
    return f"answers/{entry.key}.json"


def _timed_again(
    card: dict[str, Any], timings: Mapping[str, Timing | CandidateError]
) -> dict[str, Any]:
    """The card with the latencies of another call."""
    for name, facts in card["files"].items():
        timing = timings.get(f"{card['key']}/{name}")
        if isinstance(timing, CandidateError):
            raise timing
        if timing is not None:
            facts["latency"] = timing.to_json()
    return card


def _read_timing(path: Path) -> Timing | CandidateError:
    document = read_json(path)
    with understood(f"'{path}'"):
        if "failure" in document:
            return CandidateError(document["failure"])
        return Timing.from_json(document)


def without_folder(text: str, folder: Path) -> str:
    """A message with paths relative to the folder."""
    return text.replace(f"{folder.resolve()}/", "").replace(f"{folder}/", "")
