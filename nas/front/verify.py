"""Does an exported file do what we say? Asked of a fresh process that cannot see our code.

The process (`_verify_worker.py`) imports onnxruntime, numpy and the standard library; it is started
isolated (`python -I`: no environment variables, no user site, no current folder), and what it
imported is checked afterwards.
"""

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from search_spaces import CandidateError, UserError

_WORKER = Path(__file__).with_name("_verify_worker.py")
IMAGES_PER_PART = 64

_FORBIDDEN = {"torch", "nas", "search_spaces", "supernets", "compress", "reports"}

Split = tuple[np.ndarray, np.ndarray]


def verify(
    folder: Path,
    card_input: Mapping[str, Any],
    files: Sequence[str],
    splits: Mapping[str, Split],
    *,
    with_argmax: bool = False,
) -> dict[str, dict[str, Any]]:
    """Measures size, digest, accuracy and log loss of ONNX files in a fresh process.

    Args:
        folder: Where the files are.
        card_input: The card's `input`: how images become the network's input.
        files: Names of ONNX files in `folder`.
        splits: Name -> (images, uint8, NCHW; labels, integers, N).
        with_argmax: Also return the predicted class of every image.

    Returns:
        Per file `sha256`, `bytes` and `accuracy`, the latter per split `fraction`, `correct`,
        `total`, `log_loss` (mean, natural logarithm) and, if asked for, `argmax`: fields of the
        card.

    Raises:
        CandidateError: If a file is missing or corrupt, does not fit the images or the classes, or
            does not give finite numbers.
        UserError: If the interpreter imports torch or this project into every process.
    """
    for split, (images_NCHW, labels_N) in splits.items():
        _check_split(split, images_NCHW, labels_N, card_input)
    job = {
        "input": dict(card_input),
        "files": {name: str((folder / name).resolve()) for name in files},
        "splits": {
            split: {"shape": images_NCHW.shape[1:], "labels": labels_N.tolist()}
            for split, (images_NCHW, labels_N) in splits.items()
        },
        "with_argmax": with_argmax,
    }
    images = itertools.chain.from_iterable(_in_parts(images) for images, _ in splits.values())
    answer = _ask(itertools.chain([json.dumps(job).encode() + b"\n"], images))
    foreign = sorted(_FORBIDDEN.intersection(answer["modules"]))
    if foreign:
        raise UserError(
            f"verification must not see '{foreign[0]}', but this interpreter imports it at start. "
            "Remove it from sitecustomize or from the .pth files of the environment."
        )
    for name, result in answer["files"].items():
        if "error" in result:
            raise CandidateError(f"file '{folder / name}' fails verification: {result['error']}")
    return answer["files"]


def _check_split(
    split: str, images_NCHW: np.ndarray, labels_N: np.ndarray, card_input: Mapping[str, Any]
) -> None:
    shape = tuple(card_input["shape"][1:])
    assert images_NCHW.dtype == np.uint8, f"{split}: images are {images_NCHW.dtype}, not uint8"
    assert images_NCHW.shape[1:] == shape, f"{split}: images are {images_NCHW.shape}, not {shape}"
    assert len(images_NCHW) == len(labels_N) > 0, f"{split}: {len(labels_N)} labels"
    assert labels_N.min() >= 0, f"{split}: labels must not be negative"


def _in_parts(images_NCHW: np.ndarray) -> Iterator[bytes]:
    """The images' bytes, a few images at a time: they may be a file that memory does not hold."""
    for start in range(0, len(images_NCHW), IMAGES_PER_PART):
        yield images_NCHW[start : start + IMAGES_PER_PART].tobytes()


def _ask(message: Iterable[bytes]) -> Any:
    """Runs the worker, which is killed if this process is interrupted."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        command = [sys.executable, "-I", str(_WORKER)]
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=complained)
        with worker:
            assert worker.stdin is not None
            try:
                # NOTE: a worker that has died says why below.
                with suppress(BrokenPipeError), worker.stdin as stdin:
                    for part in message:
                        stdin.write(part)
            except BaseException:
                worker.kill()
                raise
        answers, errors = _lines(said), _lines(complained)
    try:
        return json.loads(answers[-1])
    except (IndexError, ValueError):
        reason = errors[-1] if errors else "no message"
        raise CandidateError(
            f"the verifying process ended with code {worker.returncode} and no answer: {reason}"
        ) from None


def _lines(file: IO[bytes]) -> list[str]:
    file.seek(0)
    return file.read().decode(errors="replace").strip().splitlines()
