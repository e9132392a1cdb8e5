"""`nas fidelity`: do shared weights rank networks as training alone does?

Random networks within the limits, uncompressed, are each trained alone from fresh weights for the
same number of steps, and judged on the whole search split, as they are with the supernet's weights.
Kendall's tau-b of the two losses is the answer (as in Yu et al., Evaluating the Search Phase of
Neural Architecture Search, 2020), with a percentile bootstrap over networks. All that was measured
is kept in `fidelity/` of the run, so the same command continues.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from nas.prepare.plan import make_scorer, training_images
from nas.prepare.reopen import Trained, reopened
from nas.prepare.speed import with_batch
from nas.problem.feasible import fits_in_some_format
from nas.problem.problem import Problem
from nas.scoring.scorer import Scorer
from nas.standalone.beside import Job, num_beside, shown_by, train_beside
from nas.standalone.train import alone_plan, fresh_network, seconds_per_step, trained_alone
from nas.system.files import understood, write_json
from nas.system.reporter import Reporter
from search_spaces import Candidate, UserError
from supernets.images import Images
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan

FOLDER, RESULT = "fidelity", "fidelity.json"
SAMPLES, RESAMPLES = 10_000, 2000
TRAINING_SHARE = 0.95
"""Of the time; the rest is for speed tests and scores."""

MIN_SUBNETS, MIN_STEPS = 3, 10
KINDS = ("inherited", "alone")


def fidelity(path: Path, subnets: int, seconds: float, reporter: Reporter) -> dict[str, Any]:
    """Measure, or continue to; the answer is also fidelity/fidelity.json.

    Args:
        path: A finished run.
        subnets: How many networks to train alone.
        seconds: For all of them.
        reporter: Told how far it is.

    Raises:
        UserError: If the run is not finished, or this was begun with other numbers.
    """
    if subnets < MIN_SUBNETS:
        raise UserError(f"subnets is {subnets}. A rank correlation needs {MIN_SUBNETS} at least.")
    trained = reopened(path, reporter)
    whole = replace(trained.phases, images_per_score=len(trained.data.search))
    scorer = make_scorer(whole, trained.scorer.supernet, trained.data, device=trained.scorer.device)
    images = training_images(trained.data)
    asked = {"subnets": subnets, "seconds": seconds}
    candidates = chosen(trained.problem, subnets, trained.config.seed)
    if len(candidates) < subnets:
        raise UserError(
            f"run '{path}' has {len(candidates)} different networks within its limits, not "
            f"{subnets}. Ask for fewer --subnets."
        )
    reporter.phase("fidelity", f"training {subnets} networks, each alone")
    with trained.run.phase("fidelity"):
        fitting = _fitting(trained, candidates, images, asked)
        jobs = _trained(trained, candidates, images, fitting, reporter)
        rows = [
            _row(trained, scorer, candidate, job)
            for candidate, job in zip(candidates, jobs, strict=True)
        ]
        document = {
            "schema": 1,
            "subnets": subnets,
            **fitting,
            **agreement(rows, scorer.task.loss.name),
            "rows": rows,
        }
        write_json(path / FOLDER / RESULT, document)
    return document


def chosen(problem: Problem, n: int, seed: int) -> list[Candidate]:
    """Different random networks, unpruned, that are within the modelled limits in some format."""
    space = problem.space
    rows = space.sample(np.random.default_rng([seed, 14]), SAMPLES)
    rows[:, space.policy_columns] = 0
    rows = space.canonical_many(rows[fits_in_some_format(problem, rows)])
    _, first = np.unique(rows, axis=0, return_index=True)
    return [space.candidate(row) for row in rows[np.sort(first)[:n]].tolist()]


def agreement(rows: Sequence[dict[str, Any]], loss: str) -> dict[str, Any]:
    """Kendall's tau-b between inherited and stand-alone losses, and its 95 % interval."""
    losses_N2 = np.array([[r[kind][loss] for kind in KINDS] for r in rows])
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(rows), (RESAMPLES, len(rows)))
    taus = np.array([kendall_tau(losses_N2[draw]) for draw in draws])
    low, high = np.nanpercentile(taus, [2.5, 97.5])
    return {"kendall_tau": kendall_tau(losses_N2), "interval": [float(low), float(high)]}


def kendall_tau(losses_N2: np.ndarray) -> float:
    """Kendall's tau-b of two columns; NaN if one of them is constant."""
    return float(kendalltau(losses_N2[:, 0], losses_N2[:, 1]).statistic)


def _fitting(
    trained: Trained, candidates: Sequence[Candidate], images: Images, asked: Mapping[str, Any]
) -> dict[str, int]:
    """Steps and batches that every network gets, so that all together take the time asked for.

    Raises:
        UserError: If it was begun with other numbers.
    """
    file = f"{FOLDER}/plan.json"
    plan = trained.run.decided(
        file,
        lambda: {"schema": 1, **asked, **_fitting_now(trained, candidates, images, asked)},
    )
    with understood(f"'{trained.run.path}/{file}'"):
        begun = {name: plan[name] for name in asked}
        fitting = {name: int(plan.get(name, 1)) for name in ("steps", "batch_size", "shards")}
    if begun != asked:
        raise UserError(
            f"run '{trained.run.path}': fidelity was begun with {begun['subnets']} subnets and "
            f"{begun['seconds']:g} s. Give the same, or delete '{trained.run.path}/{FOLDER}'."
        )
    return fitting


def _fitting_now(
    trained: Trained, candidates: Sequence[Candidate], images: Images, asked: Mapping[str, Any]
) -> dict[str, int]:
    """By a short speed test."""
    space, seed = trained.problem.space, trained.config.seed
    networks = [fresh_network(space, candidate, seed) for candidate in candidates]
    plan = equal_steps(
        networks,
        images,
        alone_plan(trained.train_plan, steps=1),
        asked["seconds"],
        is_batch_fixed="batch_size" in trained.config.set,
    )
    return {name: getattr(plan, name) for name in ("steps", "batch_size", "shards")}


def equal_steps(
    networks: Sequence[PlainNetwork],
    images: Images,
    plan: TrainPlan,
    seconds: float,
    *,
    is_batch_fixed: bool,
) -> TrainPlan:
    """The plan with the steps, and the batch, in which all networks are trained in this time.

    Args:
        networks: To be trained beside each other, each for as many steps; not changed.
        images: To train on.
        plan: For one step.
        seconds: For all.
        is_batch_fixed: Whether the batch is that of the plan.
    """
    available_s = TRAINING_SHARE * seconds * num_beside(len(networks))
    plan, step_s = with_batch(
        plan,
        available_s,
        lambda one: sum(seconds_per_step(network, images, one) for network in networks),
        num_images=len(images.labels_N),
        is_fixed=is_batch_fixed,
    )
    return replace(plan, steps=max(MIN_STEPS, int(available_s / step_s)))


def _trained(
    trained: Trained,
    candidates: Sequence[Candidate],
    images: Images,
    fitting: Mapping[str, int],
    reporter: Reporter,
) -> list[Job]:
    """Every network's training, finished."""
    space, seed = trained.problem.space, trained.config.seed
    jobs = [
        Job(
            candidate.key,
            fresh_network(space, candidate, seed),
            images,
            trained.run.folder(f"{FOLDER}/{candidate.key}"),
            alone_plan(trained.train_plan, **fitting),
        )
        for candidate in candidates
    ]
    train_beside(
        (job for job in jobs if not job.is_finished),
        processes=num_beside(len(jobs)),
        on_progress=shown_by(reporter, [job.name for job in jobs]),
    )
    return jobs


def _row(trained: Trained, scorer: Scorer, candidate: Candidate, job: Job) -> dict[str, Any]:
    """Both scores of one network.

    Raises:
        UserError: If its training diverged.
    """
    network = fresh_network(trained.problem.space, candidate, trained.config.seed)
    trained_alone(network, job.images, job.folder, job.planned)
    scores = trained.run.decided(
        f"{FOLDER}/{candidate.key}/scores.json",
        lambda: {
            kind: scorer.quality(scorer.compressed(candidate, own).network)
            for kind, own in zip(KINDS, (None, network), strict=True)
        },
    )
    costs = trained.problem.space.costs
    assert costs is not None
    macs = int(costs.of("macs", np.array([candidate.encoding]))[0])
    with understood(f"'{job.folder}/scores.json'"):
        return {"key": candidate.key, "macs": macs} | {k: scores[k] for k in KINDS}
