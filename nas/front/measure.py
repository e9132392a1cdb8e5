"""Making, timing and verifying the files of networks, as far as that is not done yet.

A member's numbers are those of its files, measured again: the task's metrics from what they answer
in a fresh process that sees its runtime and numpy only, latency by the timing protocol of targets,
bytes by the file system. `nas/front/contest.py` decides who is measured and who stays.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nas.data._base import DataSet
from nas.finalists.entry import Entry
from nas.front.card import read_card, write_card
from nas.front.exporting import Exports
from nas.front.facts import CardMaker, elsewhere
from nas.front.folders import CARD, DEPLOYED, FINALISTS, folder_of, is_finished, timed_file
from nas.front.timing import call_of, timed
from nas.problem.budget import LATENCY, metric_on
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from nas.run.directory import Run
from nas.run.trained_by import trained_by
from nas.scoring.beside import beside
from nas.scoring.scorer import Scorer
from nas.targets import Artefact, Timer, Timing
from search_spaces import MODELLED_MACS, Candidate, CandidateError, task_in


@dataclass(frozen=True)
class Exporter:
    """Makes, times and verifies the files of candidates.

    Attributes:
        run: Where files go.
        problem: Objectives, limits and predictions.
        scorer: Cuts out and compresses.
        data: Splits to verify on.
        timers: Time files, by target with its options; the first one is the target of the search.
        times_again: Whether finished networks are timed again, together with new ones.
        beside: Folder of the run for networks that are no references, `EXPORTS` for all of them,
            `FINALISTS` for those that are not on the front.
    """

    run: Run
    problem: Problem
    scorer: Scorer
    data: DataSet
    timers: Mapping[str, Timer]
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
        folders = [self.folder(entry) for entry in entries]
        waiting = [i for i, folder in enumerate(folders) if not is_finished(folder)]
        failures: dict[int, CandidateError] = {}
        exports = Exports(self.scorer, tuple(self.artefacts.values()))
        jobs = [(entries[i], folders[i], self._answers(entries[i])) for i in waiting]
        for i, failure in zip(waiting, beside(self.scorer, exports, jobs), strict=True):
            progress(f"exported {entries[i].key}")
            if failure is not None:
                failures[i] = failure
        waiting = [i for i in waiting if i not in failures]
        chosen = range(len(entries)) if self.times_again else waiting
        call = call_of([e.key for e in entries]) if self.times_again else ""
        able = [folders[i] for i in chosen if i not in failures]
        timings = timed(self.run, able, call, self.timers, progress)
        new = [i for i in waiting if i not in failures]
        for i, card in self._verified({i: (entries[i], folders[i]) for i in new}, timings):
            progress(f"verified {entries[i].key}")
            if isinstance(card, CandidateError):
                failures[i] = card
            else:
                write_card(card, folders[i] / CARD)
        for i in set(chosen).difference(new, failures):
            try:
                card = _timed_again(read_card(folders[i] / CARD), timings, self.artefacts)
                write_card(card, folders[i] / CARD)
            except CandidateError as error:
                failures[i] = error
        for i in failures:
            if not (folders[i] / CARD).exists():
                shutil.rmtree(folders[i], ignore_errors=True)
        return [
            failures[i] if i in failures else read_card(folder / CARD)
            for i, folder in enumerate(folders)
        ]

    def trial(self, number: int, candidate: Candidate, card: Mapping[str, Any]) -> Trial:
        """A card's measured numbers as a trial, for choosing the front."""
        deployed = card["files"][DEPLOYED]
        metrics = {
            **task_in(card).metrics_of(deployed["accuracy"]["search"]),
            "latency_ms": deployed["latency"]["median_ms"],
            "size_bytes": float(deployed["bytes"]),
            "macs": float(card["macs"]),
            MODELLED_MACS: float(card.get("modelled", card)["macs"]),
            "params": float(card["params"]),
            **({"bit_ops": float(card["bit_ops"])} if "bit_ops" in card else {}),
            **{
                metric_on(LATENCY, target): float(latency["median_ms"])
                for target, latency in deployed.get("elsewhere", {}).items()
            },
        }
        return Trial(number=number, candidate=candidate, metrics=metrics, predicted={})

    @property
    def artefacts(self) -> dict[str, Artefact]:
        """What each target takes, in their order."""
        return {target: timer.artefact for target, timer in self.timers.items()}

    def is_judged_on_all(self, card: Mapping[str, Any]) -> bool:
        """Whether a network has seen the whole search split; earlier versions spared references."""
        seen = card["files"][DEPLOYED]["accuracy"]["search"]["total"]
        return bool(seen == len(self.data.search.labels_N))

    def has_card(self, entry: Entry) -> bool:
        """Whether the network is measured already."""
        return (self.folder(entry) / CARD).exists()

    def folder(self, entry: Entry) -> Path:
        """Of the network's files."""
        return folder_of(self.run, entry, self.beside)

    def _answers(self, entry: Entry) -> Path:
        return self.run.path / f"answers/{entry.key}.json"

    def _verified(
        self,
        waiting: Mapping[int, tuple[Entry, Path]],
        timings: Mapping[str, Timing | CandidateError],
    ) -> Iterator[tuple[int, dict[str, Any] | CandidateError]]:
        """New cards, or why there are none, in order; as many are made at once as there are cores.

        Args:
            waiting: Entries and their folders, by numbers that come back.
            timings: Of their files.
        """
        cores = torch.get_num_threads()
        at_once = max(1, min(cores, len(waiting)))
        make_card = CardMaker(
            run=self.run.path.name,
            problem=self.problem,
            data=self.data,
            artefacts=self.artefacts,
            calibration=self.scorer.calibrated_by,
            trained_by=trained_by(self.run.path),
            threads=cores // at_once,
        )

        def card(number: int) -> dict[str, Any] | CandidateError:
            entry, folder = waiting[number]
            try:
                return make_card(entry, folder, self._answers(entry), timings)
            except CandidateError as error:
                return error

        pool = ThreadPoolExecutor(at_once)
        try:
            yield from zip(waiting, pool.map(card, waiting), strict=True)
        finally:
            pool.shutdown(cancel_futures=True)


def _timed_again(
    card: dict[str, Any],
    timings: Mapping[str, Timing | CandidateError],
    artefacts: Mapping[str, Artefact],
) -> dict[str, Any]:
    """The card with the latencies of another call."""
    (_, artefact), *others = artefacts.items()
    for name, facts in card["files"].items():
        if "latency" not in facts:
            continue
        timing = timings.get(f"{card['key']}/{timed_file(name, artefact)}")
        if isinstance(timing, CandidateError):
            raise timing
        if timing is not None:
            facts |= {"latency": timing.to_json()}
            facts |= elsewhere(f"{card['key']}/{name}", others, timings)
    return card
