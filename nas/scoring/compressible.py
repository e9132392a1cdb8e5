"""What is known of the parts of a trained network: for allocations.

Sensitivity is measured as candidates are scored: cut out, pruned, batch norm recalibrated,
quantized, on one thread.
"""

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nas.allocations import Compressible, Weight
from nas.allocations._sensitivity import Change
from nas.data._base import DataSet
from nas.scoring.scorer import CALIBRATION_IMAGES, Scorer
from search_spaces import CandidateError, Option, SearchSpace, Slot
from supernets.saliency import importance_of, shapes_of, synaptic_flow
from supernets.supernet import Supernet

DIGITS = 6
"""Significant ones of what is recorded."""


class Probe:
    """Measures what changes of a network do to its outputs on calibration images.

    Args:
        scorer: Compresses as candidates are.
        data: Has the labels of these images.
        base: The network as it is, an encoding.
    """

    def __init__(self, scorer: Scorer, data: DataSet, base: Sequence[int]) -> None:
        self._scorer, self._base = scorer, tuple(base)
        self._labels_N = data.calibration.take(CALIBRATION_IMAGES).labels_N
        self._is_balanced = data.is_balanced
        self._outputs_NK = self._outputs(self._base)

    def __call__(self, options: dict[str, Option]) -> Change:
        """What these options do in place of the network's own."""
        started = time.perf_counter()
        space = self._scorer.supernet.space
        encoding = list(self._base)
        for name, option in options.items():
            column = space.index(name)
            encoding[column] = space.choices[column].options.index(option)
        try:
            outputs_NK = self._outputs(encoding)
        except CandidateError:
            return Change(options, math.nan, math.nan, _rounded(time.perf_counter() - started))
        task = self._scorer.task
        found = task.metrics(outputs_NK, self._labels_N, is_balanced=self._is_balanced)
        apart_NK = np.square(outputs_NK.astype(float) - self._outputs_NK)
        distortion = apart_NK.sum() / len(apart_NK)
        seconds = time.perf_counter() - started
        return Change(options, *map(_rounded, (distortion, found[task.loss.name], seconds)))

    def _outputs(self, encoding: Sequence[int]) -> np.ndarray:
        candidate = self._scorer.supernet.space.candidate(encoding)
        return self._scorer.calibration_outputs(self._scorer.compressed(candidate).network)


def changes_to_measure(
    space: SearchSpace, base: Sequence[int], columns: Sequence[int]
) -> list[dict[str, Option]]:
    """Changes of single choices, those first that say most.

    Of each sparsity the largest first, which others are interpolated from. Then every sparsity of
    all parts together, which says whether single ones add up; then formats, which seldom decide.
    Of options that make the same network, the first one; those that change nothing are left out.
    """
    sparse = [c for c in columns if not isinstance(space.choices[c].options[0], str)]
    pruned = _single_changes(space, base, sparse)
    joint: dict[Option, dict[str, Option]] = {}
    for change in pruned:
        for name, option in change.items():
            joint.setdefault(option, {})[name] = option
    together = [change for change in joint.values() if len(change) > 1]
    formats = _single_changes(space, base, [c for c in columns if c not in sparse])
    return [*pruned, *together, *formats]


def _single_changes(
    space: SearchSpace, base: Sequence[int], columns: Sequence[int]
) -> list[dict[str, Option]]:
    """All that change a network, one of every choice in turn, each network once."""
    own = space.canonical(base)
    found: list[dict[str, Option]] = []
    orders = [_widest_first(space.cardinalities[column]) for column in columns]
    for options in itertools.zip_longest(*orders):
        for column, option in zip(columns, options, strict=True):
            if option is None:
                continue
            changed = list(base)
            changed[column] = option
            choice, same = space.choices[column], space.canonical(changed)[column]
            change = {choice.name: choice.options[same]}
            if same != own[column] and change not in found:
                found.append(change)
    return found


def _widest_first(number: int) -> list[int]:
    """Places of so many options: the last one, then always the middle of the widest gap."""
    found, gaps = [number - 1], [(0, number - 1)]
    while gaps:
        gaps.sort(key=lambda gap: gap[0] - gap[1])
        low, high = gaps.pop(0)
        if high - low > 1:
            middle = (low + high) // 2
            found.append(middle)
            gaps += [(low, middle), (middle, high)]
    return [*found, 0]


def with_importance(network: Compressible, supernet: Supernet) -> Compressible:
    """The network with the importance of members, as the supernet was ranked."""
    space = network.problem.space
    assert space.network is not None
    names = space.network.shared_groups()
    before = space.slots(network.base)
    found: dict[int, np.ndarray] = {}
    for column in network.sparsities:
        of_group: dict[str, np.ndarray] = {}
        for slot, after in zip(before, _slots_without(network, [column]), strict=True):
            for group, size in slot.signature.kept.items():
                if size != after.signature.kept[group]:
                    scores = importance_of(supernet, slot, group)[: int(size)].numpy()
                    of_group[names.get((slot.name, group), f"{slot.name}.{group}")] = scores
        found[column] = np.concatenate([*of_group.values(), np.zeros(0)])
    return replace(network, importance=found)


def with_weights(network: Compressible, supernet: Supernet | None = None) -> Compressible:
    """The network with the shapes of its weights; given its supernet, with their scores, too."""
    space = network.problem.space
    assert space.network is not None
    whole = shapes_of(space.slots(network.base))
    least = shapes_of(_slots_without(network, list(network.sparsities)))
    columns: dict[str, list[int]] = {name: [] for name in whole}
    for column in network.sparsities:
        for name, shape in shapes_of(_slots_without(network, [column])).items():
            if shape != whole[name]:
                columns[name].append(column)
    scores = {}
    if supernet is not None:
        input_CHW = (space.network.channels, *space.network.sides)
        flow = synaptic_flow(supernet.extract(space.slots(network.base)), input_CHW)
        scores = {name: tensor.numpy().ravel() for name, tensor in flow.items()}
    weights = [
        Weight(
            shape,
            tuple(columns[name]),
            sum(a != b for a, b in zip(shape, least[name], strict=True)),
            scores.get(name, np.zeros(0)),
        )
        for name, shape in whole.items()
        if columns[name]
    ]
    return replace(network, weights=tuple(weights))


def _slots_without(network: Compressible, columns: Sequence[int]) -> tuple[Slot, ...]:
    """Slots of the network if these sparsities remove as much as they can."""
    encoding = list(network.base)
    for column in columns:
        encoding[column] = int(network.sparsities[column].argmax())
    return network.problem.space.slots(encoding)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
