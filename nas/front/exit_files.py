"""Files of a network with early exits: written, asked, timed and verified.

Shapes: N images, E exits with the network's own answer, K classes.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from compress.artefact import write_artefact
from compress.exits import save_exits, write_all_exits, write_first_exit
from nas.data import DataSet
from nas.finalists.exiting import WithExits
from nas.front import timing
from nas.front.exits import BATCH, RUNTIME, answers_of, mean_times
from nas.front.facts import content, input_rule
from nas.front.folders import CARD, DEPLOYED
from nas.prepare.reopen import Trained
from nas.problem.leaving import ALWAYS, NEVER, Leaving
from nas.system.files import understood
from nas.system.reporter import Reporter
from nas.targets import ONNX, Timing, choose, measure
from search_spaces import AbstractTask, CandidateError, input_shape, task_of
from supernets.exits import macs_of_exits, macs_of_slot
from supernets.files import replacing

FIRST, ALL, CHECKPOINT = "exits.onnx", "exits.all.onnx", "exits.safetensors"
LATENCIES = "latencies.json"
MOST_TIMED = 1000
"""Images of the search split that a mean latency is over, at most."""

STEPS = 6
"""Exporting, asking, timing exits, timing images, verifying both splits."""


@final
@dataclass(frozen=True)
class ExitFiles:
    """The files of one network.

    Attributes:
        trained: The run.
        made: The network, with trained exits.
        folder: Where the files go.
        reporter: Told how far it is.
    """

    trained: Trained
    made: WithExits
    folder: Path
    reporter: Reporter

    @property
    def data(self) -> DataSet:
        """All splits."""
        return self.trained.data

    @property
    def task(self) -> AbstractTask:
        """Judges answers."""
        return task_of(self.data.task)

    @property
    def threads(self) -> int:
        """That one call may use, as on the run's target."""
        config = self.trained.config
        return choose(config.target, threads=config.timing_threads).threads

    def write(self) -> None:
        """Write the network without exits, the file that answers with all of them, and weights."""
        made, slots = self.made, self.made.slots
        self.reporter.advance(0, STEPS, "exporting")
        with replacing(self.folder / DEPLOYED) as file:
            write_artefact(ONNX, made.compressed.network, slots, file)
        with replacing(self.folder / ALL) as file:
            write_all_exits(made.exiting, file, shape=input_shape(slots[0].signature))
        with replacing(self.folder / CHECKPOINT) as file:
            save_exits(made.compressed.network, slots, made.maps, made.exiting.exits, file)

    def leaving(self, split: str) -> Leaving:
        """What the runtime's exits say of a split."""
        self.reporter.advance(1, STEPS, f"asking all exits about the {split} split")
        images = getattr(self.data, split)
        logits = answers_of(self.folder / ALL, self.rule, images.images_NCHW, threads=self.threads)
        return leaving_of(logits, images.labels_N, self.task)

    def macs(self) -> list[int]:
        """Multiply-adds of an image that leaves at each exit; the last ones compute all exits."""
        made = self.made
        return macs_of_exits(made.slots, made.maps, made.sizes, self.data.num_outputs)

    @property
    def network_macs(self) -> int:
        """Multiply-adds of the network without exits."""
        return macs_of_slot(self.made.slots, self.made.slots[-1].name)

    def latencies(self) -> list[float]:
        """Milliseconds of an image that leaves at each exit."""
        return self._timed[:-1]

    @property
    def network_ms(self) -> float:
        """Milliseconds of the network without exits, timed with them."""
        return self._timed[-1]

    @cached_property
    def _timed(self) -> list[float]:
        """Of each exit, and of the network without: measured together, once."""
        name = str((self.folder / LATENCIES).relative_to(self.trained.run.path))
        document = self.trained.run.decided(name, self._measured)
        with understood(f"'{self.folder / LATENCIES}'"):
            return [float(ms) for ms in document["ms"]]

    def _measured(self) -> dict[str, Any]:
        self.reporter.advance(2, STEPS, "timing exits")
        number = len(self.made.maps)
        with tempfile.TemporaryDirectory(prefix="nas-") as folder:
            files = [Path(folder, f"exit{place + 1}.onnx") for place in range(number + 1)]
            for place, file in enumerate(files):
                there = [NEVER] * place + [ALWAYS] * (number - place)
                write_first_exit(self.folder / ALL, file, there)
            timings = measure(
                f"{RUNTIME}:threads={self.threads}",
                [*files, self.folder / DEPLOYED],
                processes=timing.TIMING_PROCESSES,
                spares=timing.SPARE_PROCESSES,
            )
        failures = [found for found in timings if isinstance(found, CandidateError)]
        if failures:
            raise failures[0]
        return {"schema": 1, "ms": [t.median_ms for t in timings if isinstance(t, Timing)]}

    @property
    def timed_images(self) -> np.ndarray:
        """Those that a mean latency is over, uint8."""
        images: np.ndarray = self.data.search.take(MOST_TIMED).images_NCHW
        return images

    def timed_at(self, threshold: float) -> list[Timing]:
        """Write the file that leaves at a threshold; mean latency of it and of the network.

        A card that is there goes: it is about the file that was.
        """
        self.reporter.advance(3, STEPS, f"timing images at threshold {threshold:.3g}")
        (self.folder / CARD).unlink(missing_ok=True)
        write_first_exit(self.folder / ALL, self.folder / FIRST, [threshold] * len(self.made.maps))
        files = [self.folder / FIRST, self.folder / DEPLOYED]
        return mean_times(files, self.rule, self.timed_images, threads=self.threads)

    def verified(self, split: str, threshold: float) -> dict[str, Any]:
        """What the file that leaves answers on a split, and how often the module does likewise."""
        self.reporter.advance(4, STEPS, f"verifying the {split} split")
        images = getattr(self.data, split)
        logits_NK, exits_N = answers_of(
            self.folder / FIRST, self.rule, images.images_NCHW, batch=1, threads=self.threads
        )
        exits_N = exits_N.reshape(-1).astype(int) - 1
        expected = self._module_logits(split)
        own_N = leaving_of(expected, images.labels_N, self.task).exits(threshold)
        own_NK = np.stack(expected, 1)[np.arange(len(own_N)), own_N]
        is_same_N = self.task.answers(logits_NK) == self.task.answers(own_NK)
        parity = {
            "same_exit": float((exits_N == own_N).mean()),
            "same_answer": float(is_same_N.mean()),
            "images": len(own_N),
        }
        return {"accuracy": self._record(logits_NK, split), "parity": parity}

    def network_record(self, split: str) -> dict[str, Any]:
        """What the network without exits answers on a split."""
        self.reporter.advance(5, STEPS, f"verifying the network on the {split} split")
        images_NCHW = getattr(self.data, split).images_NCHW
        file = self.folder / DEPLOYED
        (logits_NK,) = answers_of(file, self.rule, images_NCHW, threads=self.threads)
        return self._record(logits_NK, split)

    @cached_property
    def rule(self) -> dict[str, Any]:
        """How images become the input."""
        return input_rule(self.data)

    def contents(self) -> dict[str, dict[str, Any]]:
        """The card's `files`."""
        runtime = choose(RUNTIME).target
        found = {name: content(self.folder / name) for name in (FIRST, ALL, DEPLOYED, CHECKPOINT)}
        for name in (FIRST, ALL, DEPLOYED):
            found[name]["integer_kernels"] = runtime.integer_kernels(self.folder / name)
        return found

    def _record(self, logits_NK: np.ndarray, split: str) -> dict[str, Any]:
        labels_N = getattr(self.data, split).labels_N
        losses_N, shown_N = self.task.judge(logits_NK, labels_N)
        balanced_by = labels_N.tolist() if self.data.is_balanced else None
        return self.task.record(losses_N.tolist(), shown_N.tolist(), balanced_by=balanced_by)

    @torch.no_grad()
    def _module_logits(self, split: str) -> list[np.ndarray]:
        """What the module gives for a split: by exit, (N, K)."""
        images_NCHW = getattr(self.data, split).images_NCHW
        found: list[tuple[torch.Tensor, ...]] = []
        for start in range(0, len(images_NCHW), BATCH):
            batch = self.data.normalised(images_NCHW[start : start + BATCH])
            found.append(self.made.exiting(torch.from_numpy(batch)))
        return [torch.cat(parts).numpy() for parts in zip(*found, strict=True)]


def leaving_of(logits: Sequence[np.ndarray], labels_N: np.ndarray, task: AbstractTask) -> Leaving:
    """What exits say of images.

    Args:
        logits: Of every exit, (N, K).
        labels_N: Of the images.
        task: Classification.
    """
    confidences = [task.confidences(logits_NK) for logits_NK in logits]
    assert all(of_exit is not None for of_exit in confidences), "classes have confidences"
    return Leaving(
        np.stack(confidences, 1).astype(np.float32),  # type: ignore[arg-type]
        np.stack([task.answers(logits_NK) == labels_N for logits_NK in logits], 1),
    )
