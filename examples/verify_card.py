"""Checks a card's accuracy without this project: onnxruntime, numpy and the standard library only.

    python examples/verify_card.py runs/X/front/KEY/card.json images.npz [--split test]

`images.npz` holds `images` (uint8, N x C x H x W) and `labels` (integers, N): those of the split.
Prints, for every ONNX file of the card, the number on the card and the number found; exits 1 if a
digest or an accuracy differs. NOTE: int8 files may give other numbers on processors with other
8-bit instructions; the card names those of the machine that measured it.
"""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when onnxruntime is imported
import numpy as np
import onnxruntime

BATCH = 64


def main() -> int:
    """Compares and prints; returns the exit code."""
    parser = argparse.ArgumentParser(description="Recompute the accuracy that a card claims.")
    parser.add_argument("card", type=Path, help="card.json beside the ONNX files")
    parser.add_argument("images", type=Path, help="npz with images (uint8, NCHW) and labels")
    parser.add_argument("--split", default="test", help="whose numbers to compare (default: test)")
    arguments = parser.parse_args()
    card = json.loads(arguments.card.read_text(encoding="utf-8"))
    if "task" in card:
        parser.error(f"the card is of task '{card['task']}', and only classes are counted here")
    with np.load(arguments.images) as arrays:
        images_NCHW, labels_N = arrays["images"], arrays["labels"]
    is_same = True
    for name, claimed in card["files"].items():
        if name.endswith(".onnx"):
            if arguments.split not in claimed["accuracy"]:
                parser.error(
                    f"the card has no split '{arguments.split}': {list(claimed['accuracy'])}"
                )
            path = arguments.card.parent / name
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            is_same &= report(f"{name} sha256", claimed["sha256"], digest)
            correct = count_correct(path, card["input"], images_NCHW, labels_N)
            on_card = claimed["accuracy"][arguments.split]
            is_same &= report(
                f"{name} accuracy on {arguments.split}",
                f"{on_card['correct']}/{on_card['total']}",
                f"{correct}/{len(labels_N)}",
            )
    return 0 if is_same else 1


def count_correct(
    path: Path, rule: dict[str, Any], images_NCHW: np.ndarray, labels_N: np.ndarray
) -> int:
    """How many images the file classifies as labelled, after the card's input rule."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    mean_C11 = np.array(rule["mean"], np.float32)[:, None, None]
    std_C11 = np.array(rule["std"], np.float32)[:, None, None]
    correct = 0
    for start in range(0, len(labels_N), BATCH):
        batch_NCHW = images_NCHW[start : start + BATCH].astype(np.float32)
        x_NCHW = (batch_NCHW / np.float32(rule["scale"]) - mean_C11) / std_C11
        (logits_NK,) = session.run(None, {rule["name"]: x_NCHW})
        correct += int((logits_NK.argmax(axis=1) == labels_N[start : start + BATCH]).sum())
    return correct


def report(what: str, claimed: str, found: str) -> bool:
    """Prints one comparison; returns whether it holds."""
    verdict = "same" if claimed == found else "DIFFERENT"
    print(f"{what}: card {claimed}, found {found}: {verdict}")
    return claimed == found


if __name__ == "__main__":
    sys.exit(main())
