"""`nas report RUN --filters`: statistics of the trained kernels of networks, layer by layer.

Kept as filters.json of the run; see `compress/filters.py`. Where the run has measured what pruning
each part does to outputs (`sensitivity.jsonl`), it also says how far parts with degenerate kernels
are those that lose least: Kendall's tau over parts, of the network that was measured.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import mean
from typing import Any

import numpy as np
from torch import nn

from compress.filters import FilterStatistics, filter_statistics
from compress.store import load_network
from nas.allocations._sensitivity import Change
from nas.fidelity import kendall_tau
from nas.front.checkpoints import checkpoints
from nas.prepare.reopen import Trained
from nas.prepare.starts import SENSITIVITY
from nas.problem.feasible import largest_member
from nas.system.files import read_lines, write_json
from nas.system.reporter import Reporter
from search_spaces import Slot
from supernets.network import module_name

FILE = "filters.json"
LEAST_PARTS = 3
"""That can be ranked."""

DEGENERATE = ("near_zero", "repetition")
"""What is compared with distortion: the share of kernels near zero, and 1 less the entropy."""


def diagnose_filters(trained: Trained, reporter: Reporter) -> dict[str, Any]:
    """Look at the kernels of every network of the front and the references, before quantization.

    Args:
        trained: A finished run.
        reporter: Told how far it is.
    """
    reporter.phase("filters", "looking at trained kernels")
    networks = []
    with trained.run.phase("filters"):
        for key, files in checkpoints(trained.run):
            found = list(filter_statistics(load_network(files[-1])))
            networks.append({"key": key, "layers": [asdict(one) for one in found]})
        distortion = _with_distortion(trained)
    document = {"schema": 1, "networks": networks, "distortion": distortion}
    write_json(trained.run.path / FILE, document)
    return document


def _with_distortion(trained: Trained) -> dict[str, Any] | None:
    """How far degenerate parts are those that pruning distorts least; None if that is not known."""
    changes = read_lines(trained.run.path / SENSITIVITY, Change.from_json)
    if not changes:
        return None
    base = largest_member(trained.problem)
    network = trained.scorer.compressed(base).fp32
    return agreement(changes, of_slots(network, trained.problem.space.slots(base.encoding)))


def of_slots(network: nn.Module, slots: Sequence[Slot]) -> dict[str, list[FilterStatistics]]:
    """Statistics of a network's layers by the slot that they are in."""
    found: dict[str, list[FilterStatistics]] = {}
    names = {module_name(slot.name): slot.name for slot in slots}
    for one in filter_statistics(network):
        slot = names.get(one.layer.partition(".")[0])
        if slot is not None:
            found.setdefault(slot, []).append(one)
    return found


def agreement(
    changes: Sequence[Change], statistics: Mapping[str, Sequence[FilterStatistics]]
) -> dict[str, Any] | None:
    """Kendall's tau, over parts, of degenerate kernels with the distortion by pruning.

    Args:
        changes: What was measured.
        statistics: Those of the layers of each slot of the network that was measured.

    Returns:
        By name out of `DEGENERATE` a tau, and how many `parts` there were: a negative tau says that
        degenerate parts lose less. None for fewer than three parts.
    """
    rows = []
    for part, distortion in _by_part(changes).items():
        layers = [one for slot in _slots_of(part, statistics) for one in statistics[slot]]
        if layers and np.isfinite(distortion):
            degenerate = (mean(x.near_zero for x in layers), mean(1 - x.entropy for x in layers))
            rows.append((*degenerate, distortion))
    if len(rows) < LEAST_PARTS:
        return None
    table = np.array(rows)
    taus = {name: kendall_tau(table[:, [i, 2]]) for i, name in enumerate(DEGENERATE)}
    known = {name: tau if np.isfinite(tau) else None for name, tau in taus.items()}
    return {**known, "parts": len(rows)}


def _slots_of(part: str, slots: Iterable[str]) -> list[str]:
    """The slots of a part; of one that is only a piece of a slot, as of a block, that slot."""
    own = [slot for slot in slots if f"{slot}.".startswith(f"{part}.")]
    around = [slot for slot in slots if part.startswith(f"{slot}.")]
    return own or sorted(around, key=len)[-1:]


def _by_part(changes: Sequence[Change]) -> dict[str, float]:
    """What pruning does to outputs, by part: the largest sparsity of each that was measured."""
    found: dict[str, tuple[float, float]] = {}
    for change in changes:
        if len(change.options) != 1:
            continue
        ((name, option),) = change.options.items()
        part, _, dimension = name.rpartition(".")
        if dimension == "sparsity" and float(option) > found.get(part, (0.0, 0.0))[0]:
            found[part] = float(option), change.distortion
    return {part: distortion for part, (_, distortion) in found.items()}
