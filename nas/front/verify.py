"""Does an exported file do what we say? Asked of a fresh process that cannot see our code.

The process (`_verify_worker.py`) imports the runtime, numpy and the standard library; it is started
isolated (`python -I`: no environment variables, no user site, no current folder), and what it
imported is checked afterwards. It answers; the task judges its answers, as it judges candidates.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from nas.targets import BY_ONNXRUNTIME, Answering
from search_spaces import AbstractTask, CandidateError, UserError

_WORKER = Path(__file__).with_name("_verify_worker.py")
IMAGES_PER_PART = 64
"""As many as the worker reads at a time."""

FLOAT_BYTES = 4

_FORBIDDEN = {"torch", "nas", "search_spaces", "supernets", "compress", "reports"}

Split = tuple[np.ndarray, np.ndarray]


@dataclass
class Tally:
    """What one file has answered so far on one split: both metrics of every image, and answers.

    Attributes:
        task: Judges.
        num_outputs: That each image must have, at each position where answers are images or masks.
    """

    task: AbstractTask
    num_outputs: int
    losses: list[float] = field(default_factory=list)
    shown: list[float] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    counts: np.ndarray | None = None

    def add(self, outputs: np.ndarray, labels_N: np.ndarray) -> None:
        """Judges one batch.

        Raises:
            ValueError: If the outputs are not as many finite numbers per image as they should be.
        """
        shape = self.task.output_shape(labels_N, self.num_outputs)
        if outputs.shape != shape:
            raise ValueError(f"its output has shape {outputs.shape}, not {shape}")
        if not np.isfinite(outputs).all():
            raise ValueError("its output is not finite")
        losses_N, shown_N = self.task.judge(outputs, labels_N)
        self.losses += losses_N.tolist()
        self.shown += shown_N.tolist()
        self.answers += self.task.answers(outputs).tolist()
        counts = self.task.tally(outputs, labels_N)
        if counts is not None:
            self.counts = counts if self.counts is None else self.counts + counts

    def said(self) -> dict[str, Any]:
        """What the task says of the split besides metrics."""
        return {} if self.counts is None else self.task.said_of(self.counts)


def verify(
    folder: Path,
    card_input: Mapping[str, Any],
    files: Sequence[str],
    splits: Mapping[str, Split],
    *,
    task: AbstractTask,
    num_outputs: int,
    is_balanced: bool = False,
    with_answers: bool = False,
    threads: int = 1,
    answered_by: Answering = BY_ONNXRUNTIME,
) -> dict[str, dict[str, Any]]:
    """Measures size, digest and the task's metrics of ONNX files by means of a fresh process.

    Args:
        folder: Where the files are.
        card_input: The card's `input`: how images become the network's input.
        files: Names of ONNX files in `folder`.
        splits: Name -> (images, uint8, NCHW; labels, integers, N, or images).
        task: Judges the answers.
        num_outputs: That each image must have.
        is_balanced: Whether classes count alike in the loss.
        with_answers: Also return what the file says of every image, and what that is worth.
        threads: Of the process.
        answered_by: What runs the files.

    Returns:
        Per file `sha256`, `bytes` and `accuracy`, the latter per split the task's record: fields of
        the card. If asked for, there are `answers` and `shown`, the shown metric, of every image.

    Raises:
        CandidateError: If a file is missing or corrupt, does not fit the images or the task, or
            does not give finite numbers.
        UserError: If the interpreter imports torch or this project into every process.
    """
    for split, (images_NCHW, labels_N) in splits.items():
        _check_split(split, images_NCHW, labels_N, card_input)
    job = {
        "threads": threads,
        "runtime": answered_by.runtime,
        "options": dict(answered_by.options),
        "input": dict(card_input),
        "files": {name: str((folder / name).resolve()) for name in files},
        "splits": {
            split: {"images": len(images_NCHW), "shape": images_NCHW.shape[1:]}
            for split, (images_NCHW, _) in splits.items()
        },
    }
    with _asking() as worker:
        worker.send(json.dumps(job).encode() + b"\n")
        results = worker.line()
        for name, of_file in results.items():
            _check(folder / name, of_file)
            of_file["accuracy"] = {}
        for split, images_and_labels in splits.items():
            tallies = {folder / name: Tally(task, num_outputs) for name in files}
            _judge(worker, images_and_labels, tallies)
            for file, tally in tallies.items():
                of_images = {"answers": tally.answers, "shown": tally.shown}
                said = of_images if with_answers else {}
                labels = images_and_labels[1].tolist() if is_balanced else None
                record = task.record(tally.losses, tally.shown, balanced_by=labels)
                results[file.name]["accuracy"][split] = {**record, **tally.said(), **said}
        modules = worker.line()
    foreign = sorted(_FORBIDDEN.intersection(modules))
    if foreign:
        raise UserError(
            f"verification must not see '{foreign[0]}', but this interpreter imports it at start. "
            "Remove it from sitecustomize or from the .pth files of the environment."
        )
    checked: dict[str, dict[str, Any]] = results
    return checked


def _judge(worker: "Worker", split: Split, tallies: Mapping[Path, Tally]) -> None:
    """Has all files answer a few images at a time: a split may be a file larger than memory."""
    images_NCHW, labels_N = split
    for start in range(0, len(labels_N), IMAGES_PER_PART):
        batch = slice(start, start + IMAGES_PER_PART)
        worker.send(images_NCHW[batch].tobytes())
        heads = worker.line()
        for file, tally in tallies.items():
            _check(file, heads[file.name])
            outputs = worker.numbers(heads[file.name]["shape"])
            try:
                tally.add(outputs, labels_N[batch])
            except ValueError as error:
                raise _failure(file, str(error)) from error


def _check(file: Path, head: Mapping[str, Any]) -> None:
    if "error" in head:
        raise _failure(file, head["error"])


def _failure(file: Path, fact: str) -> CandidateError:
    return CandidateError(f"file '{file}' fails verification: {fact}")


def _check_split(
    split: str, images_NCHW: np.ndarray, labels_N: np.ndarray, card_input: Mapping[str, Any]
) -> None:
    shape = tuple(card_input["shape"][1:])
    assert images_NCHW.dtype == np.uint8, f"{split}: images are {images_NCHW.dtype}, not uint8"
    assert images_NCHW.shape[1:] == shape, f"{split}: images are {images_NCHW.shape}, not {shape}"
    assert len(images_NCHW) == len(labels_N) > 0, f"{split}: {len(labels_N)} labels"
    assert labels_N.min() >= 0, f"{split}: labels must not be negative"


class Worker:
    """The fresh process, and what it says."""

    def __init__(self, process: "subprocess.Popen[bytes]", complained: IO[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._complained = process, complained
        self._stdin, self._stdout = process.stdin, process.stdout

    def send(self, part: bytes) -> None:
        """To its stdin; that it has died is found out when it is to answer."""
        with suppress(BrokenPipeError):
            self._stdin.write(part)
            self._stdin.flush()

    def line(self) -> Any:
        """Its next line of JSON; what an interpreter says at start is no answer."""
        for line in self._stdout:
            with suppress(ValueError):
                return json.loads(line)
        raise self._death()

    def numbers(self, shape: Sequence[int]) -> np.ndarray:
        """Its next float32 numbers."""
        data = self._stdout.read(FLOAT_BYTES * int(np.prod(shape)))
        if len(data) != FLOAT_BYTES * np.prod(shape):
            raise self._death()
        return np.frombuffer(data, np.float32).reshape(shape)

    def close(self) -> None:
        """Waits for its end."""
        with suppress(BrokenPipeError):
            self._stdin.close()
        self._stdout.close()
        self._process.wait()

    def _death(self) -> CandidateError:
        self._process.wait()
        self._complained.seek(0)
        said = self._complained.read().decode(errors="replace").strip().splitlines()
        return CandidateError(
            f"the verifying process ended with code {self._process.returncode} and no answer: "
            f"{said[-1] if said else 'no message'}"
        )


@contextmanager
def asking(command: Sequence[str], **environment: str) -> Iterator[Worker]:
    """A worker, which is killed if this process is interrupted or has heard enough.

    Args:
        command: Starts it.
        environment: Variables that it has besides those of this process.
    """
    with tempfile.TemporaryFile() as complained:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complained,
            env={**os.environ, **environment},
        )
        worker = Worker(process, complained)
        try:
            yield worker
        except BaseException:
            process.kill()
            raise
        finally:
            worker.close()


def _asking() -> AbstractContextManager[Worker]:
    """The worker that sees nothing of ours."""
    return asking([sys.executable, "-I", str(_WORKER)])
