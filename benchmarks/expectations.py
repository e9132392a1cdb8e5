"""Does `predictor` find better policies if it expects what single changes do to the outputs?

    PYTHONPATH=. python benchmarks/expectations.py --model vit --minutes 0.25 --seeds 2

A plain PyTorch network is trained for `--minutes` and brought. What each sparsity and format of
each part does to its outputs is measured, as `nas compress` does; searches, of loss, multiply-adds
and bytes within `--share` of the multiply-adds, are begun with the policies of the allocation that
this gives, or by the controller itself, and know what was measured, or not. Hypervolume after so
many trials, up to the loss of guessing and the costs of the network as it is, one thread.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from criteria import MODELS, Task, taught

from compress.bring.bring import bring, give_weights, space_of
from nas.allocations import ALLOCATIONS, Compressible
from nas.allocations._sensitivity import Sensitivity
from nas.cli.console import print_table
from nas.controllers.predictor import Predictor
from nas.data import DataSet, load_data
from nas.prepare.starts import SHARES, at_share, policy_columns
from nas.problem.pareto import hypervolume
from nas.problem.problem import Limit, Objective, Problem
from nas.problem.trial import Score, Trial
from nas.scoring.compressible import Probe, changes_to_measure
from nas.scoring.scorer import Scorer
from nas.search_flow import trial_of
from search_spaces import Candidate
from supernets.supernet import Supernet

SPARSITIES = (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75)
METRICS = ("log_loss", "macs", "size_bytes")
SEEN = (12, 24, 36, 48)
MOST_STARTS = 12


def main() -> None:
    """Prints a row per seed and way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=MODELS, default="vit")
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--resolution", type=int, default=16)
    parser.add_argument("--minutes", type=float, default=0.25)
    parser.add_argument("--share", type=float, default=0.7)
    parser.add_argument("--images", type=int, default=500, help="of a score")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data = load_data(asked.data, resolution=asked.resolution)
    rows = []
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        for way, volumes in compared(asked, data, seed):
            rows.append([str(seed), way, *(f"{volume:.3f}" for volume in volumes)])
            print(" ".join(rows[-1]), flush=True)
    print_table(["seed", "begins with, expects", *map(str, SEEN)], rows)


def compared(
    asked: argparse.Namespace, data: DataSet, seed: int
) -> Iterator[tuple[str, list[float]]]:
    """By way the hypervolumes, with one seed."""
    task = Task(data=data, num_images=2000, steps=1, seed=seed)
    network = taught(task, asked.model, asked.minutes)
    brought = bring("network", network.eval(), channels=data.channels, resolution=data.resolution)
    supernet = Supernet(space_of(brought).with_policy(("fp32", "int8"), SPARSITIES))
    give_weights(supernet, brought)
    supernet.rank()
    scorer = Scorer(supernet.eval(), data, asked.images)
    space, costs = supernet.space, supernet.space.costs
    assert costs is not None
    base = (0,) * len(space.choices)
    macs, size = (float(costs.of(metric, np.array([base]))[0]) for metric in METRICS[1:])
    problem = Problem(
        space=space,
        objectives=tuple(Objective(metric, "minimize") for metric in METRICS),
        limits=(Limit("macs", asked.share * macs),),
        model=costs,
    )
    columns = policy_columns(problem, base)
    probe, began = Probe(scorer, data, base), time.perf_counter()
    changes = [probe(options) for options in changes_to_measure(space, base, columns)]
    print(f"{len(changes)} changes in {time.perf_counter() - began:.1f} s", flush=True)
    found = Sensitivity(space, base, changes)
    network_known = Compressible(
        problem=problem, base=base, columns=columns, distortions=found.distortions(columns)
    )
    unit_M, reference_M = np.array([1.0, macs, size]), np.array([np.log(data.num_classes), 1, 1])
    scores: dict[str, Score] = {}
    for starts in (starts_of(network_known), []):
        for expected in (None, found.summed(columns)):
            trials = searched(replace(problem, expected=expected), scorer, starts, seed, scores)
            losses_NM = problem.losses(trials) / unit_M
            way = f"{len(starts)} policies, {'sums' if expected else 'nothing'}"
            yield way, [hypervolume(losses_NM[:number], reference_M) for number in SEEN]


def starts_of(network: Compressible) -> list[Candidate]:
    """What the allocation gives for shares of the limit, each once."""
    allocation = ALLOCATIONS.get("distortion")()
    found: dict[Candidate, None] = {}
    for share in SHARES:
        for part in at_share(network, share):
            encoding = allocation.allocate(part)
            if encoding is not None:
                found[network.problem.space.candidate(encoding)] = None
    return list(found)[:MOST_STARTS]


def searched(
    problem: Problem,
    scorer: Scorer,
    starts: Sequence[Candidate],
    seed: int,
    scores: dict[str, Score],
) -> list[Trial]:
    """Trials of one search; scores are remembered."""
    controller, trials = Predictor(seed=seed), list[Trial]()
    while len(trials) < max(SEEN):
        number = len(trials)
        candidate = (
            starts[number] if number < len(starts) else controller.ask(problem, trials, 1)[0]
        )
        if candidate.key not in scores:
            scores[candidate.key] = scorer(candidate)
        trials.append(trial_of(problem, candidate, scores[candidate.key], number))
    return trials


if __name__ == "__main__":
    main()
