"""Recomputes what a card claims, with onnxruntime, numpy and the standard library alone.

Run by path (`python -I nas/front/_verify_worker.py`), so that nothing of this project can be
imported: what it reports is what the exported files do for whoever gets them. `nas/front/verify.py`
starts it.

Reads from stdin one line of JSON and then, split after split, the raw uint8 images (NCHW). The line
is `{"input": card's input, "files": {name: path}, "splits": {name: {"shape": [C, H, W], "labels":
[...]}}, "with_argmax": false}`. Writes one line of JSON to stdout: `{"files": {name: {...} or
{"error": ...}}, "modules": [top-level modules that were imported]}`.

Shapes: `N` images of a batch, `C` channels, `H W` pixels, `K` classes.
"""

import hashlib
import json
import os
import sys
from typing import Any, BinaryIO

import numpy as np
import onnxruntime

_BATCH = 64
_SEVERITY_ERROR = 3


class Tally:
    """What one file has got right so far on one split."""

    def __init__(self) -> None:
        self.correct = 0
        self.log_losses: list[float] = []
        self.argmax: list[int] = []

    def add(self, logits_NK: np.ndarray, labels_N: np.ndarray) -> None:
        """Counts one batch.

        Raises:
            ValueError: If the logits are not one finite number per image and class.
        """
        if logits_NK.ndim != 2 or len(logits_NK) != len(labels_N):
            raise ValueError(f"its output has shape {logits_NK.shape} for {len(labels_N)} images")
        if labels_N.max() >= logits_NK.shape[1]:
            raise ValueError(f"it has {logits_NK.shape[1]} classes, a label is {labels_N.max()}")
        if not np.isfinite(logits_NK).all():
            raise ValueError("its output is not finite")
        argmax_N = logits_NK.argmax(axis=1)
        self.correct += int((argmax_N == labels_N).sum())
        self.argmax += argmax_N.tolist()
        shifted_NK = logits_NK.astype(np.float64) - logits_NK.max(axis=1, keepdims=True)
        log_sums_N = np.log(np.exp(shifted_NK).sum(axis=1))
        self.log_losses += (log_sums_N - shifted_NK[np.arange(len(labels_N)), labels_N]).tolist()

    def to_json(self, *, with_argmax: bool) -> dict[str, Any]:
        """Counts, fraction right and mean log loss (natural logarithm)."""
        total = len(self.log_losses)
        result = {
            "fraction": self.correct / total,
            "correct": self.correct,
            "total": total,
            "log_loss": sum(self.log_losses) / total,
        }
        return {**result, "argmax": self.argmax} if with_argmax else result


def normalise(images_NCHW: np.ndarray, rule: dict[str, Any]) -> np.ndarray:
    """The card's input rule: (image / scale - mean) / std, float32."""
    mean_C11 = np.array(rule["mean"], np.float32)[:, None, None]
    std_C11 = np.array(rule["std"], np.float32)[:, None, None]
    return (images_NCHW.astype(np.float32) / np.float32(rule["scale"]) - mean_C11) / std_C11


def load(path: str) -> tuple[dict[str, Any], Any]:
    """Size and digest of a file, and a session that runs it on all cores."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.log_severity_level = _SEVERITY_ERROR
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return {"bytes": os.path.getsize(path), "sha256": digest}, session


def verify(job: dict[str, Any], images: BinaryIO) -> dict[str, dict[str, Any]]:
    """Per file its size, digest and results on each split, or an error."""
    results: dict[str, dict[str, Any]] = {}
    sessions = {}
    for name, path in job["files"].items():
        try:
            facts, sessions[name] = load(path)
            results[name] = {**facts, "accuracy": {}}
        except Exception as error:  # onnxruntime raises a dozen unrelated classes
            results[name] = {"error": str(error)}
    for split, shape in job["splits"].items():
        tallies = {name: Tally() for name in sessions}
        labels_N = np.array(shape["labels"])
        for start in range(0, len(labels_N), _BATCH):
            batch_N = labels_N[start : start + _BATCH]
            images_NCHW = read_images(images, (len(batch_N), *shape["shape"]))
            x_NCHW = normalise(images_NCHW, job["input"])
            for name in list(sessions):
                try:
                    (logits_NK,) = sessions[name].run(None, {job["input"]["name"]: x_NCHW})
                    tallies[name].add(logits_NK, batch_N)
                except Exception as error:
                    results[name] = {"error": str(error)}
                    del sessions[name]
        for name in sessions:
            tally = tallies[name].to_json(with_argmax=job["with_argmax"])
            results[name]["accuracy"][split] = tally
    return results


def read_images(stream: BinaryIO, shape: tuple[int, ...]) -> np.ndarray:
    """The next images of the stream, uint8."""
    wanted = int(np.prod(shape))
    data = stream.read(wanted)
    if len(data) != wanted:
        raise EOFError(f"expected {wanted} bytes of images, got {len(data)}")
    return np.frombuffer(data, np.uint8).reshape(shape)


def main() -> None:
    """Runs the job on stdin."""
    job = json.loads(sys.stdin.buffer.readline())
    files = verify(job, sys.stdin.buffer)
    modules = sorted({name.partition(".")[0] for name in sys.modules})
    print(json.dumps({"files": files, "modules": modules}))


if __name__ == "__main__":
    main()
