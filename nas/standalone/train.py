"""One network trained by itself, outside of the supernet, in a folder of its own.

    plan.json              what was decided: a `TrainPlan`
    train_log.jsonl        as the run's own
    train_state/           checkpoint; gone when training is finished
    network.safetensors    the trained weights, before batch-norm recalibration unless the
                           statistics were frozen, and grids that were learnt as "grids.<name>"

A kill loses no more than in a supernet's training, and ends with the same weights.
"""

import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compress.apply import Learnt
from compress.aware import grids_of
from compress.sparse import Making
from nas.run.directory import log_step
from nas.system.files import read_json, understood, write_json
from nas.system.typed import from_document
from search_spaces import Candidate, SearchSpace, UserError
from supernets._modules import initialise, seeded
from supernets.checkpoint import read_tensors, same_shapes, write_tensors
from supernets.compiled import ALWAYS, compiling
from supernets.device import chosen_device
from supernets.images import Images
from supernets.low_rank import LowRank
from supernets.network import PlainNetwork
from supernets.pace import fastest, paces
from supernets.plan import TrainPlan
from supernets.steps import AloneBatches
from supernets.teachers import LABELS_ONLY, Teaching
from supernets.train import Progress, train

NETWORK, PLAN, LOG = "network.safetensors", "plan.json", "train_log.jsonl"
SPEED_STEPS = 3

GRIDS, STATISTICS, FROZEN = "grids.", "statistics", "frozen"


def as_it_is(network: nn.Module) -> nn.Module:
    """The network itself, in training mode."""
    return network


def trained_alone(
    network: nn.Module,
    images: Images,
    folder: Path,
    decide: Callable[[], TrainPlan],
    *,
    teaching: Teaching = LABELS_ONLY,
    make: Making = as_it_is,
    on_step: Callable[[Progress, int], None] = lambda numbers, steps: None,
) -> TrainPlan:
    """Train a network in place, or continue, or read back what is finished.

    Args:
        network: Not folded; the same one when continuing. Ends in evaluation mode.
        images: To train on.
        folder: Where its files are; must exist.
        decide: Makes the plan; called once, and its answer is kept.
        teaching: What it learns from.
        make: Of the network what is trained; another module than itself has its statistics.
        on_step: Told the numbers of every step, and of how many steps it is one.

    Returns:
        The plan that was followed.

    Raises:
        UserError: If training diverges, a file of the folder is damaged, or the device of the plan
            is not here.
    """
    weights, state, log = folder / NETWORK, folder / "train_state", folder / LOG
    if weights.exists() and not (folder / PLAN).exists():
        raise UserError(
            f"'{folder}' has {NETWORK} but no {PLAN}, which says how it was trained. "
            "Restore it from a copy, or delete the folder to train again."
        )
    if not (folder / PLAN).exists():
        shutil.rmtree(state, ignore_errors=True)  # of another plan
    plan = _decided(folder / PLAN, decide)
    if weights.exists():
        shutil.rmtree(state, ignore_errors=True)
        give_trained(network, weights)
        return plan
    chosen_device(plan.device)
    state.mkdir(exist_ok=True)

    def logged(numbers: Progress) -> None:
        log_step(log, numbers, plan.steps)
        on_step(numbers, plan.steps)

    module, batches = make(network), AloneBatches(plan, teaching)
    is_compiled = plan.compile == ALWAYS and module is network and is_plain(module)
    with compiling(module, device=plan.device) if is_compiled else nullcontext():
        train(module, images, plan, batches, directory=state, on_step=logged)
    if isinstance(module, LowRank):
        module.merge_()
    network.eval()
    grids = {f"{GRIDS}{name}": tensor for name, tensor in grids_of(module).items()}
    document = {} if module is network else {STATISTICS: FROZEN}
    write_tensors(weights, network.state_dict() | grids, document)
    shutil.rmtree(state)
    return plan


def give_trained(network: nn.Module, path: Path) -> Learnt | None:
    """Gives a network the weights that training left in a file; it ends in evaluation mode.

    Returns:
        What training has decided besides, as `compress` takes it.

    Raises:
        UserError: If the file is damaged or belongs to another network.
    """
    tensors, document = read_tensors(path)
    weights = {name: t for name, t in tensors.items() if not name.startswith(GRIDS)}
    if not same_shapes(weights, network):
        raise UserError(f"'{path}' belongs to another network. Delete its folder.")
    network.load_state_dict(weights)
    network.eval()
    if document.get(STATISTICS) != FROZEN:
        return None
    return Learnt({n.removeprefix(GRIDS): t for n, t in tensors.items() if n not in weights})


def fresh_network(space: SearchSpace, candidate: Candidate, seed: int) -> PlainNetwork:
    """The candidate's network with fresh weights."""
    with seeded(seed):
        network = PlainNetwork(space.slots(candidate.encoding))
    initialise(network, torch.Generator().manual_seed(seed))
    return network


def seconds_per_step(
    network: nn.Module, images: Images, plan: TrainPlan, teaching: Teaching = LABELS_ONLY
) -> float:
    """Seconds per step of a network's own training on one thread; the network ends as it was."""
    return fastest_plan(network, images, [plan], teaching)[1]


def fastest_plan(
    network: nn.Module,
    images: Images,
    plans: Sequence[TrainPlan],
    teaching: Teaching = LABELS_ONLY,
) -> tuple[TrainPlan, float]:
    """The plan whose steps of a network's own training cost least, and seconds per step with it.

    On one thread; the network ends as it was, also if memory does not suffice.
    """
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    ways = [(plan, AloneBatches(plan, teaching)) for plan in plans]
    try:
        found = paces(network, images, ways, steps=SPEED_STEPS, threads=1)
    finally:
        network.load_state_dict(before)
    number = fastest([[pace.cost_s for pace in of_plan] for of_plan in found])
    return plans[number], statistics.median(pace.seconds for pace in found[number])


def alone_plan(of_supernet: TrainPlan, *, steps: int, **changes: Any) -> TrainPlan:
    """The supernet's plan for one network: one batch a step, unless `changes` say otherwise."""
    return replace(of_supernet, **{"steps": steps, "shards": 1, **changes})


def is_plain(network: nn.Module) -> bool:
    """Whether nothing happens before its forward pass, which a compiled one would leave out."""
    return isinstance(network, PlainNetwork) and not network._forward_pre_hooks


def in_words(plan: Mapping[str, Any]) -> str:
    """How steps of a plan.json are computed, such as "bf16, compiled".

    Plans of earlier versions do not say whether they are compiled: they are not.
    """
    parts = "" if plan["shards"] == 1 else f", batches in {plan['shards']} parts"
    is_compiled = plan.get("compile") == ALWAYS
    return f"{plan['precision']}{', compiled' if is_compiled else ''}{parts}"


def _decided(path: Path, decide: Callable[[], TrainPlan]) -> TrainPlan:
    if not path.exists():
        write_json(path, asdict(decide()))
    document = read_json(path)
    with understood(f"'{path}'"):
        return from_document(TrainPlan, document)
