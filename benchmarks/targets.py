"""The same files on several targets: latency, how alike targets rank networks, and answers.

    python benchmarks/targets.py RUN [--target onnxruntime --target openvino] [--networks 6]

Of a finished run: the deployed files of its quantized networks and what these were before
quantization. Every target times what it takes of them by the protocol of searches, one target after
the other, and answers the test split in the process that verifies files. Of a target without
integer kernels quantized networks are left out.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from nas.data import DataSet
from nas.front.facts import input_rule
from nas.front.folders import DEPLOYED, UNQUANTIZED, timed_file
from nas.front.verify import verify
from nas.prepare.reopen import reopened
from nas.system.reporter import Silent
from nas.targets import Timing, choose, measure
from search_spaces import task_of

KINDS = {UNQUANTIZED: "fp32", DEPLOYED: "int8"}


def main() -> None:
    """Print a row per file, and what targets have in common."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--target", action="append")
    parser.add_argument("--networks", type=int, default=6)
    parser.add_argument("--processes", type=int, default=5)
    options = parser.parse_args()
    targets = options.target or ["onnxruntime", "openvino"]
    folders = sorted({file.parent for file in options.run.glob(f"*/*/{UNQUANTIZED}")})
    files = [folder / name for folder in folders[: options.networks] for name in KINDS]
    ms = {name: latencies(name, files, options.processes) for name in targets}
    data = reopened(options.run, Silent()).data
    answers = {name: answered(name, files, data) for name in targets}
    first, *others = targets
    columns = [f"{n} ms | of {first} | kernels on integers | same answer" for n in others]
    print(f"| network | format | {first} ms | kernels on integers | {' | '.join(columns)} |")
    print("|---" * (4 + 4 * len(others)) + "|")
    for i, file in enumerate(files):
        cells = [file.parent.name, KINDS[file.name], f"{ms[first][i]:.4f}", kernels(first, file)]
        for name in others:
            if np.isnan(ms[name][i]):
                cells += [""] * 4
                continue
            same = float(np.mean(answers[name][i] == answers[first][i]))
            ratio = ms[name][i] / ms[first][i]
            cells += [f"{ms[name][i]:.4f}", f"{ratio:.2f}", kernels(name, file), f"{same:.2%}"]
        print(f"| {' | '.join(cells)} |")
    for name in others:
        print(agreement(first, name, ms, files))


def latencies(target: str, files: Sequence[Path], processes: int) -> np.ndarray:
    """Milliseconds of every file; nan of those that the target does not offer."""
    found = choose(target).target
    known = {file: np.nan for file in files}
    offered = [file for file in files if found.offers(KINDS[file.name])]
    taken = [taken_by(target, file) for file in offered]
    timings = measure(target, taken, processes=processes, spares=processes)
    ms = [t.median_ms if isinstance(t, Timing) else np.nan for t in timings]
    return np.array(list({**known, **dict(zip(offered, ms, strict=True))}.values()))


def taken_by(target: str, file: Path) -> Path:
    """What a target takes in the place of an ONNX file."""
    return file.parent / timed_file(file.name, choose(target).target.artefact)


def answered(target: str, files: Sequence[Path], data: DataSet) -> list[np.ndarray]:
    """What every file says of each image of the test split."""
    found = []
    for file in files:
        facts = verify(
            file.parent,
            input_rule(data),
            [file.name],
            {"test": (data.test.images_NCHW, data.test.labels_N)},
            task=task_of(data.task),
            num_outputs=data.num_outputs,
            with_answers=True,
            answered_by=choose(target).target.answered_by,
        )
        found.append(np.array(facts[file.name]["accuracy"]["test"]["answers"]))
    return found


def kernels(target: str, file: Path) -> str:
    """How many kernels of a file compute on integers."""
    return str(choose(target).target.integer_kernels(taken_by(target, file)))


def agreement(first: str, other: str, ms: Mapping[str, np.ndarray], files: Sequence[Path]) -> str:
    """Rank correlation of two targets, and what int8 gains on each."""
    is_int8 = np.array([KINDS[file.name] == "int8" for file in files])
    if np.isnan(ms[other]).any():
        tau = kendalltau(ms[first][~is_int8], ms[other][~is_int8]).statistic
        return f"\n{other} against {first}: Kendall tau of fp32 {tau:.2f}"
    parts = [f"\n{other} against {first}: Kendall tau"]
    for title, rows in (("all", is_int8 | ~is_int8), ("fp32", ~is_int8), ("int8", is_int8)):
        tau = kendalltau(ms[first][rows], ms[other][rows]).statistic
        parts.append(f"{title} {tau:.2f},")
    for name in (first, other):
        gain = np.median(ms[name][~is_int8] / ms[name][is_int8])
        parts.append(f"int8 on {name} {gain:.2f} times as fast,")
    return " ".join(parts).rstrip(",")


if __name__ == "__main__":
    main()
