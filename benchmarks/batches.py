"""Batches of how many images teach a finalist most in a given time?

    python benchmarks/batches.py RUN --seconds 80 --networks 2 --batches 32,64,128,256

The finalists of a finished search, from the most expensive one, are trained further from its shared
weights: with every batch for equally many seconds, of which a speed test says how many steps they
are. One thread each, as many at the same time as there are cores. Scored as in the search.
`--set` changes the training, such as `learning_rate`, and `--shift` by how many pixels images are
shifted at most (half of them in trainings of few passes).
"""

import argparse
import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from nas.cli.console import print_table
from nas.prepare.plan import training_images
from nas.prepare.reopen import Trained, reopened
from nas.standalone.beside import Job, num_beside, train_beside
from nas.standalone.train import NETWORK, alone_plan, seconds_per_step
from nas.system.files import read_json
from nas.system.reporter import Silent
from nas.system.text import setting, words
from search_spaces import Candidate
from supernets.checkpoint import read_tensors
from supernets.images import Images
from supernets.network import PlainNetwork


def main() -> None:
    """Prints a row per network and batch."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--seconds", type=float, default=80.0)
    parser.add_argument("--networks", type=int, default=2)
    parser.add_argument("--batches", type=words, default=("32", "64", "128", "256"))
    parser.add_argument("--shift", type=int, help="at most; the data's if left out")
    parser.add_argument("--set", action="append", default=[], type=setting, metavar="NAME=VALUE")
    asked = parser.parse_args()
    trained = reopened(asked.run, Silent())
    sizes = [int(batch) for batch in asked.batches]
    images = training_images(trained.data)
    if asked.shift is not None:
        images = replace(images, crop_padding=asked.shift)
    chosen = list(product(finalists(trained)[: asked.networks], sizes))
    with tempfile.TemporaryDirectory() as folder:
        jobs = [
            job(trained, images, candidate, batch, asked.seconds, dict(asked.set), Path(folder))
            for candidate, batch in chosen
        ]
        train_beside(iter(jobs), processes=num_beside(len(jobs)))
        rows = [
            row(trained, candidate, trained_job)
            for (candidate, _), trained_job in zip(chosen, jobs, strict=True)
        ]
    print_table(["network", "MMACs", "batch", "steps", "log-loss", "accuracy %"], rows)


def finalists(trained: Trained) -> list[Candidate]:
    """Those that the search trained further, the most multiply-adds first."""
    keys = read_json(trained.run.path / "finetune_plan.json")["finalists"]
    trials = trained.run.trials(trained.problem.space)
    found = [trial for trial in trials if trial.candidate.key in keys]
    return [trial.candidate for trial in sorted(found, key=lambda t: -t.predicted["macs"])]


def extracted(trained: Trained, candidate: Candidate) -> PlainNetwork:
    """The candidate's network with shared weights."""
    return trained.scorer.supernet.extract(trained.problem.space.slots(candidate.encoding))


def job(
    trained: Trained,
    images: Images,
    candidate: Candidate,
    batch_size: int,
    seconds: float,
    settings: dict[str, float],
    folder: Path,
) -> Job:
    """The candidate's training with this batch, in a folder of its own."""
    plan = alone_plan(trained.train_plan, steps=1, batch_size=batch_size, **settings)
    network = extracted(trained, candidate)
    steps = max(1, int(seconds / seconds_per_step(network, images, plan)))
    own = folder / f"{candidate.key}-{batch_size}"
    own.mkdir()
    return Job(own.name, network, images, own, replace(plan, steps=steps))


def row(trained: Trained, candidate: Candidate, of: Job) -> list[str]:
    """What came of a training."""
    space = trained.problem.space
    assert space.costs is not None
    network = extracted(trained, candidate)
    network.load_state_dict(read_tensors(of.folder / NETWORK)[0])
    found = trained.scorer.quality(trained.scorer.compressed(candidate, network).network)
    macs = space.costs.of("macs", np.array([candidate.encoding]))[0]
    plan = of.planned()
    shown = [f"{macs / 1e6:.1f}", str(plan.batch_size), str(plan.steps)]
    return [candidate.key, *shown, f"{found['log_loss']:.3f}", f"{100 * found['accuracy']:.1f}"]


if __name__ == "__main__":
    main()
