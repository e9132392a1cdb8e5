"""What runs on the nodes of a cluster: scores and timings. Arguments and answers are plain data."""

import faulthandler
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas.data import DataSet
from nas.scoring.scorer import Scorer
from nas.system.environment import this_host
from nas.targets import choose, measure
from search_spaces import CandidateError, PluginFile, SearchSpace, load_plugin_texts
from supernets.supernet import Supernet

STDERR = 2


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What a node needs to score candidates: once in the shared memory of every node.

    Attributes:
        space: As in space.json.
        weights: Of the supernet, by name.
        data: With the images that a score looks at, and no others.
        images_per_score: How many those are.
        needs_reduced_range: As in `Scorer`; that of the driver, whatever the node.
        calibrated_by: As in `Scorer`.
        limit_s: After which a score is taken for stuck.
        plugins: Of the driver.
    """

    space: Mapping[str, Any]
    weights: Mapping[str, np.ndarray]
    data: DataSet
    images_per_score: int
    needs_reduced_range: bool
    calibrated_by: str
    limit_s: float
    plugins: Sequence[PluginFile]

    @property
    def num_bytes(self) -> int:
        """Of all arrays."""
        splits = (self.data.search, self.data.calibration)
        images = sum(split.images_NCHW.nbytes + split.labels_N.nbytes for split in splits)
        return images + sum(array.nbytes for array in self.weights.values())


_scorers: dict[str, tuple[Scorer, float]] = {}
"""The scorer that this process has made, and its limit in seconds, by the bundle's id."""


def score(bundle: Sequence[Any], encoding: Sequence[int]) -> dict[str, Any]:
    """The score of a candidate, and where it was made.

    A score that takes too long ends the process: what is stuck in a kernel cannot be interrupted.

    Args:
        bundle: Reference to a `Bundle`, in a list, so that only the first score of a process
            fetches it.
        encoding: Of the candidate.
    """
    scorer, limit_s = _scorer(bundle[0])
    faulthandler.dump_traceback_later(limit_s, exit=True, file=STDERR)
    try:
        found = scorer(scorer.supernet.space.candidate(encoding))
    finally:
        faulthandler.cancel_dump_traceback_later()
    return {"metrics": dict(found.metrics), "failure": found.failure, "host": this_host()}


def _scorer(reference: Any) -> tuple[Scorer, float]:
    import ray

    name = reference.hex()
    if name not in _scorers:
        _scorers.clear()
        bundle: Bundle = ray.get(reference)
        load_plugin_texts(bundle.plugins)
        supernet = Supernet(SearchSpace.from_json(bundle.space))
        weights = {name: torch.tensor(array) for name, array in bundle.weights.items()}
        supernet.load_state_dict(weights)
        scorer = Scorer(
            supernet.eval(),
            bundle.data,
            bundle.images_per_score,
            needs_reduced_range=bundle.needs_reduced_range,
            calibrated_by=bundle.calibrated_by,
        )
        _scorers[name] = scorer, bundle.limit_s
    return _scorers[name]


def time_files(
    contents: Sequence[bytes],
    target: str,
    options: Mapping[str, Any],
    plugins: Sequence[PluginFile],
) -> list[dict[str, Any]]:
    """As `measure` of files with these contents: each one's timing, or its error, as JSON types.

    Args:
        contents: Of the files.
        target: The runtime, with its options.
        options: Further arguments of `measure`.
        plugins: Of the driver.
    """
    load_plugin_texts(plugins)
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        ending = choose(target).target.artefact
        files = [Path(folder, f"{number}{ending}") for number in range(len(contents))]
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
        return [
            {"error": str(timing)} if isinstance(timing, CandidateError) else timing.to_json()
            for timing in measure(target, files, **options)
        ]
