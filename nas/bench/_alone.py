"""Members of a space that are trained alone, for equal steps: what ranks are compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from nas.bench._asked import recorded
from nas.fidelity import equal_steps
from nas.prepare.placed import first_plan
from nas.prepare.plan import train_plan_of
from nas.run.config import Config
from nas.scoring.scorer import Scorer
from nas.standalone.beside import Job, num_beside, shown_by, train_beside
from nas.standalone.train import alone_plan, fresh_network, trained_alone
from nas.system.files import make_folder, read_json, understood, write_json
from nas.system.reporter import Reporter
from search_spaces import Candidate
from supernets.images import Images
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan

PLAN, SCORES = "plan.json", "scores.json"


def metrics_alone(
    members: Sequence[Candidate],
    scorer: Scorer,
    images: Images,
    config: Config,
    folder: Path,
    *,
    seconds: float,
    reporter: Reporter,
) -> dict[str, Mapping[str, float]]:
    """Metrics of every network, trained alone from fresh weights, by key; what is there is kept.

    Args:
        members: Of the scorer's space, unpruned.
        scorer: Judges them.
        images: To train on.
        config: Its seed and its settings of the plan of training.
        folder: Of the trainings.
        seconds: For all.
        reporter: Told how far it is.

    Raises:
        UserError: If a training diverges.
    """
    space, seed = scorer.supernet.space, config.seed
    networks = {one.key: fresh_network(space, one, seed) for one in members}
    plan = _plan(list(networks.values()), images, config, make_folder(folder) / PLAN, seconds)
    reporter.phase("alone", f"training {len(members)} networks alone, {plan.steps:,} steps each")
    jobs = {
        key: Job(key, network, images, make_folder(folder / key), plan)
        for key, network in networks.items()
    }
    train_beside(
        (job for job in jobs.values() if not job.is_finished),
        processes=num_beside(len(jobs)),
        on_progress=shown_by(reporter, list(jobs)),
    )
    for one in members:
        job = jobs[one.key]
        if not (job.folder / SCORES).exists():
            own = fresh_network(space, one, seed)
            trained_alone(own, images, job.folder, job.planned)
            found = scorer.quality_and_confidence(scorer.compressed(one, own).network)
            write_json(job.folder / SCORES, {"metrics": found})
    return {key: recorded(job.folder / SCORES, "metrics") for key, job in jobs.items()}


def _plan(
    networks: Sequence[PlainNetwork], images: Images, config: Config, file: Path, seconds: float
) -> TrainPlan:
    """Decided once, by a speed test."""
    if not file.exists():
        plan = equal_steps(
            networks,
            images,
            alone_plan(first_plan(config, **config.settings_of(TrainPlan)), steps=1),
            seconds,
            is_batch_fixed="batch_size" in config.set,
        )
        write_json(file, asdict(plan))
    with understood(f"'{file}'"):
        return train_plan_of(read_json(file))
