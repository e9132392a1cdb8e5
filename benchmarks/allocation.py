"""Which allocation prunes a trained network best, and what it is worth as the start of a search.

    PYTHONPATH=. python benchmarks/allocation.py --model ResNet --minutes 2.4 --seeds 0,1
    PYTHONPATH=. python benchmarks/allocation.py --what trials --allocations none,distortion

Networks of tests/compress/bring/models.py are trained on fashion-mnist at 28 px for a third of
`--minutes`, in plain PyTorch, and brought; each seed is another training. By itself (`policies`):
for 75, 50 and 25 % of the multiply-adds, the accuracy on 1,000 images of the search split of what
every allocation gives, with batch norm recalibrated, and after equal further training
(`--finetune-steps`, 64 images each, of the pruned network alone). Sparsities are eighths. "random"
is the mean of the two of 200 random policies that use most of the limit. `additivity` is the sum of
single distortions over the joint one, of all parts at one sparsity each.

In a search (`trials`): one supernet per seed, trained for the time that a search of `--minutes`
gives it, and the same search with the starts of every allocation and with none. Judged is the
hypervolume of loss and latency of fp32 networks within half of the multiply-adds, after some
trials, as a share of the largest that any of the searches ended with.
"""

import argparse
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from compress.bring.bring import bring, give_weights, space_of
from nas.allocations import ALLOCATIONS, Compressible
from nas.allocations._base import NO_ALLOCATION
from nas.allocations._sensitivity import Sensitivity
from nas.cli.console import print_table
from nas.data import DataSet, load_data
from nas.executors import make_executor
from nas.prepare.inputs import make_problem
from nas.prepare.phases import PhasePlan
from nas.prepare.plan import make_scorer, training_images
from nas.prepare.reopen import Trained
from nas.prepare.starts import informed, policy_columns, starts_of
from nas.prepare.train_supernet import begin
from nas.problem.feasible import sample_within
from nas.problem.pareto import hypervolume
from nas.problem.problem import Limit
from nas.run.config import Config
from nas.run.directory import Run
from nas.scoring.compressible import Probe, changes_to_measure
from nas.scoring.scorer import Scorer
from nas.search_flow import score_candidates
from nas.system.reporter import Silent
from supernets.images import Images
from supernets.supernet import Supernet
from tests.compress.bring import models

MODELS: dict[str, dict[str, int]] = {
    "ResNet": {"depth": 2, "width": 8, "channels": 1},
    "MobileNet": {"channels": 1, "has_se": False},
}
SHARES = (0.75, 0.5, 0.25)
SPARSITIES = tuple(i / 8 for i in range(8))
TRAIN_SHARE, BATCH, RATE, JUDGED = 1 / 3, 64, 3e-3, 1000
DRAWN = 200
AFTER = (8, 16, 32, 64)
SOURCE = "from tests.compress.bring import models\n\n\ndef made():\n    return models.{}(**{})\n"


def made(model: str) -> nn.Module:
    """The network with fresh weights."""
    network: nn.Module = getattr(models, model)(**MODELS[model])
    return network


def train_(
    network: nn.Module, images: Images, seed: int, *, rate: float, seconds: float, steps: int = 0
) -> int:
    """Trains a network for some seconds, or so many steps; returns the number of steps."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.05)
    network.train()
    started, step, done = time.perf_counter(), 0, 0.0
    while done < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 20) * (1.0 - done)
        images_BCHW, labels_B = images.batch(step, BATCH, seed)
        loss = functional.cross_entropy(network(images_BCHW), labels_B)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        done = step / steps if steps else (time.perf_counter() - started) / seconds
    network.eval()
    return step


def policies(model: str, data: DataSet, seed: int, seconds: float, finetune_steps: int) -> None:
    """Prints what every allocation gives, and what remains of the accuracy."""
    torch.manual_seed(seed)
    network, images = made(model), training_images(data)
    steps = train_(network, images, seed, rate=RATE, seconds=TRAIN_SHARE * seconds)
    brought = bring(model, network, channels=data.channels, resolution=data.resolution)
    supernet = Supernet(space_of(brought).with_policy(("fp32",), SPARSITIES))
    give_weights(supernet, brought)
    supernet.rank()
    scorer = Scorer(supernet.eval(), data, JUDGED)
    known, additivity, spent_s = measured(scorer, data)
    whole = accuracy(scorer, known.base)
    ratios = ", ".join(f"{sparsity:g}: {ratio:.2f}" for sparsity, ratio in additivity.items())
    print(f"{len(known.columns)} choices measured in {spent_s:.1f} s; additivity {ratios}")
    rows = []
    macs = float(known.problem.model.of("macs", np.array([known.base]))[0])
    print(f"{model}, seed {seed}: {steps} steps, {macs:.4g} multiply-adds, {whole:.1%}")
    for share in SHARES:
        problem = replace(known.problem, limits=(Limit("macs", share * macs),))
        part = replace(known, problem=problem)
        found = {n: [ALLOCATIONS.get(n)().allocate(part)] for n in ALLOCATIONS.names()}
        drawn_NC = sample_within(problem, DRAWN, np.random.default_rng(seed))
        drawn_NC = drawn_NC[np.argsort(-problem.model.of("macs", drawn_NC))[:2]]
        found["random"] = [problem.space.canonical(row) for row in drawn_NC.tolist()]
        for name, encodings in found.items():
            kept = [encoding for encoding in encodings if encoding is not None]
            used = problem.model.of("macs", np.array(kept)) / macs
            before = [accuracy(scorer, encoding) for encoding in kept]
            after = [finetuned(scorer, encoding, images, seed, finetune_steps) for encoding in kept]
            numbers = (f"{x:.1%}" for x in (mean(used), mean(before), mean(after)))
            rows.append([f"{share:.0%}", name, *numbers])
    print_table(["limit", "allocation", "MACs", "before", "after"], rows)


def measured(scorer: Scorer, data: DataSet) -> tuple[Compressible, dict[object, float], float]:
    """All that allocations need to know, sums over joint distortions by sparsity, and seconds."""
    problem = make_problem(scorer.supernet.space, ())
    base = (0,) * len(problem.space.choices)
    network = Compressible(problem=problem, base=base, columns=policy_columns(problem, base))
    probe, started = Probe(scorer, data, base), time.perf_counter()
    wanted = changes_to_measure(problem.space, base, network.columns)
    found = Sensitivity(problem.space, base, [probe(options) for options in wanted])
    spent_s = time.perf_counter() - started
    network = replace(network, distortions=found.distortions(network.columns))
    additivity = {
        next(iter(change.options.values())): total / change.distortion
        for change, total in found.joint()
    }
    needs = frozenset({"importance", "scores"})
    return informed(network, needs, scorer), dict(sorted(additivity.items())), spent_s


def accuracy(scorer: Scorer, encoding: Sequence[int], trained: nn.Module | None = None) -> float:
    """Of a policy, with shared weights or its own."""
    candidate = scorer.supernet.space.candidate(encoding)
    compressed = scorer.compressed(candidate, trained)  # type: ignore[arg-type]
    return scorer.quality(compressed.network)["accuracy"]


def finetuned(
    scorer: Scorer, encoding: Sequence[int], images: Images, seed: int, steps: int
) -> float:
    """Accuracy of a policy whose network is trained further by itself."""
    network = scorer.supernet.extract(scorer.supernet.space.slots(encoding))
    train_(network, images, seed + 1, rate=RATE / 3, seconds=math.inf, steps=steps)
    return accuracy(scorer, encoding, network)


def trials(
    model: str,
    data: DataSet,
    seed: int,
    seconds: float,
    number: int,
    controller: str,
    names: Sequence[str],
) -> None:
    """Prints the hypervolume of searches with the starts of every allocation."""
    torch.manual_seed(seed)
    network = made(model)
    train_(network, training_images(data), seed, rate=RATE, seconds=TRAIN_SHARE * seconds)
    with tempfile.TemporaryDirectory() as folder:
        source, weights = Path(folder) / "brought.py", Path(folder) / "brought.safetensors"
        source.write_text(SOURCE.format(model, MODELS[model]))
        save_file(network.state_dict(), weights)
        config = Config(
            model=f"{source}:made", weights=str(weights), data="fashion-mnist", seed=seed,
            budget=("50%MACs",), precision=("fp32",), sparsity=SPARSITIES[:-1], threads=1,
            time=f"{(1 - TRAIN_SHARE) * seconds:.0f}s", executor="inline", controller=controller,
        )  # fmt: skip
        begun = begin(config, Path(folder) / "run", Silent())
        losses, spent = {}, {}
        for name in names:
            phases = PhasePlan(
                trials=number, lag=make_executor(config).lag, allocation=name, sensitivity_s=20.0
            )
            trained = Trained(
                run=Run.open(Path(folder) / name, config), config=config, data=data,
                problem=begun.problem, train_plan=begun.train_plan, phases=phases,
                scorer=make_scorer(phases, begun.supernet, data),
            )  # fmt: skip
            started = time.perf_counter()
            starts = starts_of(trained, Silent())
            spent[name] = f"{len(starts)} in {time.perf_counter() - started:.1f} s"
            scored = score_candidates(trained, Silent(), starts)
            losses[name] = begun.problem.losses(scored)[:, :2]
    every_NM = np.concatenate(list(losses.values()))
    worst_M, best_M = np.nanmax(every_NM, axis=0), np.nanmin(every_NM, axis=0)
    worst_M = np.minimum(worst_M, best_M + 1.5 * (np.nanmedian(every_NM, axis=0) - best_M))
    shares = {
        name: [hypervolume(rows_NM[:n], worst_M) for n in (*AFTER, number) if n <= number]
        for name, rows_NM in losses.items()
    }
    most = max(row[-1] for row in shares.values())
    print(f"{model}, seed {seed}: {begun.train_plan.steps} supernet steps, '{controller}'")
    print_table(
        ["starts of", "starts", *(f"after {n}" for n in (*AFTER, number) if n <= number)],
        [[n, spent[n], *(f"{x / most:.3f}" for x in row)] for n, row in shares.items()],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", choices=MODELS, default="ResNet")
    parser.add_argument("--minutes", type=float, default=2.4, help="per seed")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--what", choices=("policies", "trials"), default="policies")
    parser.add_argument("--finetune-steps", type=int, default=40)
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--controller", default="predictor")
    parser.add_argument("--allocations", default=",".join([NO_ALLOCATION, *ALLOCATIONS.names()]))
    arguments = parser.parse_args()
    for seed in map(int, arguments.seeds.split(",")):
        data, seconds = load_data("fashion-mnist", seed=seed), 60 * arguments.minutes
        if arguments.what == "policies":
            policies(arguments.model, data, seed, seconds, arguments.finetune_steps)
        else:
            number, controller = arguments.trials, arguments.controller
            names = arguments.allocations.split(",")
            trials(arguments.model, data, seed, seconds, number, controller, names)


if __name__ == "__main__":
    main()
