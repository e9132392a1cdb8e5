"""Do members lose less in few bits if they were trained with noise, or with rounded weights?

    python benchmarks/few_bits.py --data digit-pairs --budget 3MFLOPs --steps 400 --seeds 3
    python benchmarks/few_bits.py --methods sortednet,quantization-noise:least_bits=3,fliqs

A method is named with its settings; all train as many steps of the same batches, so that what a
step takes is compared, too: rounding (`fliqs`) and noise are each one more pass over a member's
weights. Judged is a fixed sample of unpruned networks within the budget, the same for all methods
and seeds, with shared weights and weights in each format: log-loss on `--images` of the search
split after batch-norm recalibration. What a policy has given up is judged all the same.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

import numpy as np
import torch

from nas.cli.console import print_table
from nas.data import DataSet
from nas.fidelity import chosen
from nas.prepare.inputs import make_problem, prepare
from nas.prepare.plan import make_method, training_images
from nas.prepare.settings import check_settings
from nas.prepare.speed import shared_cores
from nas.prepare.train_supernet import ranking
from nas.prepare.trim import trim
from nas.problem.problem import Problem
from nas.run.config import Config, make_config
from nas.scoring.scorer import Scorer
from nas.system.text import setting, words
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.train import train

METHODS, FORMATS = "sortednet,quantization-noise,fliqs", "fp32,int8w,int4w"


def trained(config: Config, problem: Problem, data: DataSet) -> tuple[Supernet, float]:
    """A supernet, and seconds per step of its training."""
    plan = TrainPlan(seed=config.seed, **config.settings_of(TrainPlan))
    supernet = Supernet(problem.space, seed=config.seed)
    images = training_images(data)
    batches = SupernetBatches(plan, make_method(config, problem, plan))
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        train(
            supernet,
            images,
            plan,
            batches,
            directory=Path(folder),
            before_step=ranking(supernet, images, batches, problem),
            **shared_cores(plan),
        )
    return supernet, (time.perf_counter() - started) / plan.steps


def judged(
    supernet: Supernet, problem: Problem, data: DataSet, networks: int, num_images: int
) -> Mapping[str, float]:
    """Mean log-loss of members with shared weights, by format."""
    scorer, space = Scorer(supernet, data, num_images), problem.space
    rows_NC = np.array([member.encoding for member in chosen(problem, networks, seed=0)])
    found = {}
    for precision in space.precisions:
        members = map(space.candidate, space.in_precision(rows_NC, precision).tolist())
        losses = [scorer.quality(scorer.compressed(m).network)["log_loss"] for m in members]
        found[precision] = mean(losses)
    return found


def configured(asked: argparse.Namespace, text: str, seed: int) -> Config:
    """The configuration of "method:name=value:name=value"."""
    method, *own = text.split(":")
    named = {name: getattr(asked, name) for name in ("data", "data_dir", "space", "budget")}
    settings = {"steps": asked.steps, **dict(asked.set), **dict(map(setting, own))}
    config = make_config(
        {
            **named,
            "precision": asked.precision,
            "method": method,
            "seed": seed,
            "data_seed": 0,
            "set": settings,
        }
    )
    check_settings(config)
    return config


def row(text: str, results: Sequence[tuple[Mapping[str, float], float]]) -> list[str]:
    """One method: seconds per step, and by format the mean over seeds of the mean over members."""
    step_ms = 1e3 * mean(seconds for _, seconds in results)
    first = next(iter(results[0][0]))
    cells = [text, f"{step_ms:.1f}"]
    for precision in results[0][0]:
        losses = [found[precision] for found, _ in results]
        worse = mean(found[precision] - found[first] for found, _ in results)
        cells.append(f"{mean(losses):.3f} ({worse:+.3f})")
    return cells


def main() -> None:
    """Prints a row per training, then a row per method; seeds are interleaved."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", type=words, default=words(METHODS))
    parser.add_argument("--precision", type=words, default=words(FORMATS))
    parser.add_argument("--data", default="digit-pairs")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--space", default="mobile")
    parser.add_argument("--budget", type=words, default=("3MFLOPs",))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--networks", type=int, default=20)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], type=setting, metavar="NAME=VALUE")
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    data, space, limits = prepare(configured(asked, asked.methods[0], 0))
    problem = make_problem(trim(space, limits, None)[0], limits)
    results: dict[str, list[tuple[Mapping[str, float], float]]] = {m: [] for m in asked.methods}
    for seed in range(asked.seeds):
        for text in asked.methods:
            supernet, step_s = trained(configured(asked, text, seed), problem, data)
            found = judged(supernet, problem, data, asked.networks, asked.images)
            results[text].append((found, step_s))
            print(f"seed {seed}:", *row(text, [(found, step_s)]), sep="  ", flush=True)
    header = ["method", "ms per step", *(f"{p} (more than the first)" for p in asked.precision)]
    print_table(header, [row(text, found) for text, found in results.items()])


if __name__ == "__main__":
    main()
