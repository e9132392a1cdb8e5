"""TensorBoard event files of a run, made from its records.

    tensorboard/train/    per logged step: loss, loss_largest, loss_smallest, learning_rate,
                          images_per_s
    tensorboard/search/   per trial: the task's metrics (accuracy, log_loss), latency_predicted_ms

The records (train_log.jsonl and trials.jsonl) decide; nothing is read from an event file. A process
writes all that is recorded into a file of its own, then follows what is appended. Steps that a
continued run computes again replace those of before: there is one point per step. Needs the package
tensorboard, which `summary_writer` imports and nothing else does.

NOTE: older files stay, and the new one says that it replaces them (`purge_step=0`). A TensorBoard
that is open meanwhile never gets past a file that was deleted.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol, final

from nas.system.files import DAMAGES
from nas.system.reporter import Reporter
from search_spaces import UserError

FOLDER = "tensorboard"
OF_A_STEP = ("loss", "loss_largest", "loss_smallest", "learning_rate", "images_per_s")
AFTER_OPENING = ("train", "search")
"""Phases that begin once the run directory is this process's own."""


class Display(Reporter, Protocol):
    """A reporter that has an end, as bars and lines have."""

    def close(self) -> None:
        """Nothing comes after."""


class Scalar(NamedTuple):
    """The numbers of one step, or of one trial."""

    step: int
    numbers: Mapping[str, float | None]


def summary_writer() -> Callable[..., Any]:
    """torch's class that writes event files.

    Raises:
        UserError: If tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(
            "--tensorboard needs the package tensorboard, which is not installed. "
            "Run: pip install tensorboard (the extra [tensorboard]), or leave out the flag."
        ) from error
    return SummaryWriter


@final
class WithEvents:
    """A reporter that also keeps the event files up with the records of a run.

    It looks at the records whenever there is progress, so a search knows nothing of it.
    """

    def __init__(self, reporter: Display, run_dir: Path, make_writer: Callable[..., Any]) -> None:
        """Writes nothing yet: until a phase needs the run, the directory may be somebody else's.

        Args:
            reporter: Is told everything, and closed in the end.
            run_dir: Of the search that is reported.
            make_writer: From `summary_writer`.
        """
        self._reporter = reporter
        self._followers = (
            _Follower(run_dir, "train_log.jsonl", "train", of_step, make_writer),
            _Follower(run_dir, "trials.jsonl", "search", of_trial, make_writer),
        )
        self._is_open = False

    def phase(self, name: str, text: str) -> None:
        """See `Reporter`."""
        self._reporter.phase(name, text)
        self._is_open = self._is_open or name in AFTER_OPENING
        self._update()

    def advance(self, done: int, of: int, text: str = "") -> None:
        """See `Reporter`."""
        self._reporter.advance(done, of, text)
        self._update()

    def note(self, text: str) -> None:
        """See `Reporter`."""
        self._reporter.note(text)

    def close(self) -> None:
        """Writes what is missing and closes all."""
        self._reporter.close()
        self._update()
        for follower in self._followers:
            follower.close()

    def _update(self) -> None:
        if self._is_open:
            for follower in self._followers:
                follower.update()


class _Follower:
    """One record file, and the event file that says the same."""

    def __init__(
        self,
        run_dir: Path,
        records: str,
        events: str,
        point_of: Callable[[Any], Scalar],
        make_writer: Callable[..., Any],
    ) -> None:
        self._records = run_dir / records
        self._events = run_dir / FOLDER / events
        self._point_of, self._make_writer = point_of, make_writer
        self._writer: Any = None
        self._offset, self._step = 0, -1

    def update(self) -> None:
        """Writes the lines that were appended; begins anew where they go back to earlier steps."""
        points = self._appended()
        if not points:
            return
        steps = [self._step, *(point.step for point in points)]
        if self._writer is None or steps != sorted(set(steps)):
            self._offset = 0
            points = advancing(self._appended())
            self._begin()
        for step, numbers in points:
            for name, value in numbers.items():
                if value is not None and math.isfinite(value):
                    self._writer.add_scalar(name, value, step)
        self._step = points[-1].step
        self._writer.flush()

    def close(self) -> None:
        """Ends the file."""
        if self._writer is not None:
            self._writer.close()

    def _appended(self) -> list[Scalar]:
        """The points of the whole lines that were not read before."""
        if not self._records.exists():
            return []
        with self._records.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        points = []
        for line in whole.splitlines():
            with suppress(*DAMAGES):  # whoever needs the records names what is damaged
                points.append(self._point_of(json.loads(line)))
        self._offset += len(whole)
        return points

    def _begin(self) -> None:
        """A new file, which replaces all before it."""
        self.close()
        self._writer = self._make_writer(str(self._events), purge_step=0)


def of_step(line: Any) -> Scalar:
    """What a line of train_log.jsonl says."""
    return Scalar(int(line["step"]), {name: line[name] for name in OF_A_STEP if name in line})


def of_trial(line: Any) -> Scalar:
    """What a line of trials.jsonl says; a trial that failed has its prediction only."""
    predicted = {"latency_predicted_ms": line["predicted"].get("latency_ms")}
    return Scalar(int(line["number"]), {**line["metrics"], **predicted})


def advancing(points: Iterable[Scalar]) -> list[Scalar]:
    """The points without those that a later one goes back behind: steps only grow."""
    kept: list[Scalar] = []
    for point in points:
        while kept and kept[-1].step >= point.step:
            kept.pop()
        kept.append(point)
    return kept
