"""A run whose supernet is trained: what the search and the commands after it work with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from nas.data import DataSet
from nas.executors import Scoring
from nas.latency import LatencyModel
from nas.prepare.inputs import keep_data_facts, make_problem, prepare
from nas.prepare.phases import PhasePlan
from nas.prepare.placed import placed
from nas.prepare.plan import (
    judged,
    loss_of,
    make_scorer,
    phase_plan_of,
    search_settings,
    train_plan_of,
)
from nas.prepare.sizes import sizes_of
from nas.problem.problem import Problem
from nas.run.config import Config
from nas.run.directory import (
    WEIGHTS,
    Run,
    check_is_run,
    read_config_of,
    read_space,
    read_trained_space,
)
from nas.run.growth import has_front
from nas.run.own_files import keep_own_files, with_kept_files
from nas.scoring.scorer import Scorer
from nas.system.files import read_json, understood
from nas.system.reporter import Reporter
from search_spaces import UserError, load_plugins
from supernets.checkpoint import read_tensors, same_shapes
from supernets.plan import TrainPlan
from supernets.supernet import Supernet


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A run with a trained supernet.

    Attributes:
        run: Its directory.
        config: What it was told.
        data: All splits.
        problem: Space after trimming, objectives, limits, what is known.
        train_plan: How the supernet was trained.
        phases: Sizes of what follows.
        scorer: Holds the supernet, and judges its members.
    """

    run: Run
    config: Config
    data: DataSet
    problem: Problem
    train_plan: TrainPlan
    phases: PhasePlan
    scorer: Scorer

    @property
    def scoring(self) -> Scoring:
        """What executors are given."""
        return Scoring(scorer=self.scorer, data=self.data)


def reopened(
    path: Path,
    reporter: Reporter,
    *,
    needs_front: bool = True,
    plugins: Sequence[str | Path] = (),
    device: str = "",
) -> Trained:
    """A finished run, locked for this process.

    Args:
        path: The run.
        reporter: Told how far reading is.
        needs_front: Whether it must be searched to the end, and not only have a trained supernet.
        plugins: Further files that register, which the run keeps from now on.
        device: Where networks are trained and scored; "" for the run's own if it is here, or else
            the CPU.

    Raises:
        UserError: If it is no run, not finished, damaged, or its data has gone.
    """
    check_is_run(path)
    if needs_front and not has_front(path):
        raise UserError(f"run '{path}' is not finished. Continue it with its `nas search` first.")
    if not (path / WEIGHTS).is_file():
        raise UserError(
            f"run '{path}' has no {WEIGHTS}: its training is not finished. Continue it with the "
            "command that began it."
        )
    config = read_config_of(path)
    with_kept = with_kept_files(path, config)
    with_kept = replace(with_kept, plugins=(*with_kept.plugins, *map(str, plugins)))
    load_plugins(with_kept.plugins)
    data, _, limits = prepare(with_kept, reporter, is_trained=True)
    torch.set_num_threads(config.threads or torch.get_num_threads())
    run = Run.open(path, config)
    keep_data_facts(run, data)
    keep_own_files(path, with_kept)
    space = read_space(path)
    with understood(f"'{path}/profile/profile.json'"):
        model = LatencyModel.from_json(read_json(path / "profile/profile.json"), space)
    problem = make_problem(space, sizes_of(path).limits(limits), model, task=data.task)
    with understood(f"'{path}/plan.json'"):
        planned = train_plan_of(read_json(path / "plan.json"))
    train_plan = placed(planned, device)
    if needs_front or (path / "search_plan.json").exists():
        with understood(f"'{path}/search_plan.json'"):
            document = read_json(path / "search_plan.json")
            phases, data = phase_plan_of(document), judged(data, document)
    else:
        phases, data = search_settings(config), judged(data, loss_of(train_plan))
    whole = Supernet(read_trained_space(path), seed=config.seed)
    supernet = read_supernet(path / WEIGHTS, whole).offering(space)
    return Trained(
        run=run,
        config=config,
        data=data,
        problem=problem,
        train_plan=train_plan,
        phases=phases,
        scorer=make_scorer(phases, supernet, data, device=train_plan.device),
    )


def read_supernet(path: Path, supernet: Supernet) -> Supernet:
    """The supernet with the weights in a file, in evaluation mode.

    Raises:
        UserError: If they are another supernet's.
    """
    tensors, _ = read_tensors(path)
    if not same_shapes(tensors, supernet):
        raise UserError(
            f"supernet '{path}' was trained for another space, resolution or budget, or by "
            "another version of this program. Leave out --supernet to train one, or use the "
            "options and the version of that run."
        )
    supernet.load_state_dict(tensors)
    return supernet.eval()
