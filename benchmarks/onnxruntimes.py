"""Whether exported files answer alike on several versions of onnxruntime.

    python benchmarks/onnxruntimes.py --python OLD/bin/python --python NEW/bin/python FILES...

Every interpreter needs onnxruntime and numpy only. For each file and version: on how many of 32
images of noise the answer is that of the first version, and the largest difference of a logit.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

IMAGES, SEED = 32, 0
VERSION = "version"


def answer(files: list[str], path: str) -> None:
    """Writes the logits of every file, by its name, and this interpreter's version."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when onnxruntime is imported
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    found = {VERSION: np.array(onnxruntime.__version__)}
    for file in files:
        try:
            session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        except Exception as error:
            print(f"{onnxruntime.__version__} does not load '{file}': {error}", file=sys.stderr)
            continue
        (images,) = session.get_inputs()
        noise = np.random.default_rng(SEED).standard_normal((IMAGES, *images.shape[1:]))
        found[file] = session.run(None, {images.name: noise.astype(np.float32)})[0]
    np.savez(path, **found)


def main() -> None:
    """Print one line per file and version but the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", required=True)
    parser.add_argument("--answer", help=argparse.SUPPRESS)
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    if options.answer:
        return answer(options.files, options.answer)
    answered = []
    with tempfile.TemporaryDirectory() as folder:
        for number, python in enumerate(options.python):
            path = str(Path(folder, f"{number}.npz"))
            command = [python, __file__, "--python", python, "--answer", path, *options.files]
            subprocess.run(command, check=True)
            with np.load(path) as arrays:
                answered.append(dict(arrays))
    first = answered[0]
    print(f"{'file':40} {'version':>8} {'same answer':>12} {'largest difference':>20}")
    for file in options.files:
        for found in answered[1:]:
            name, version = Path(file).name, str(found[VERSION])
            if file not in found or file not in first:
                print(f"{name:40} {version:>8} not loaded by one of the two")
                continue
            same = float((found[file].argmax(1) == first[file].argmax(1)).mean())
            apart = float(np.abs(found[file] - first[file]).max())
            print(f"{name:40} {version:>8} {same:>12.1%} {apart:>20.2g}")


if __name__ == "__main__":
    main()
