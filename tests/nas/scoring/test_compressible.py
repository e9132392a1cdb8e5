"""What is measured of a network's parts before its policies are chosen."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from compress.bring.bring import bring, give_weights, space_of
from nas.allocations import Compressible
from nas.allocations._sensitivity import Change, Sensitivity
from nas.data import DataSet, load_data
from nas.prepare.inputs import make_problem
from nas.prepare.starts import policy_columns
from nas.problem.feasible import largest_member
from nas.scoring.compressible import Probe, changes_to_measure, with_importance, with_weights
from nas.scoring.scorer import Scorer
from search_spaces import load_space
from supernets.saliency import synaptic_flow
from supernets.supernet import Supernet
from tests.compress.bring.models import MobileNet, ResNet, ViT
from tests.small_brought import SIDE, compressible, decided, supernet


@pytest.fixture(scope="module")
def data() -> DataSet:
    return load_data("digits", resolution=SIDE)


def test_a_change_is_what_the_scorer_makes_of_it(data: DataSet) -> None:
    scorer = Scorer(supernet(), data, 64)
    network = compressible()
    probe = Probe(scorer, data, network.base)
    (options, *_) = changes_to_measure(supernet().space, network.base, network.columns)
    change = probe(options)
    outputs = [
        scorer.calibration_outputs(scorer.compressed(candidate).network)
        for candidate in (
            supernet().space.candidate(network.base),
            supernet().space.candidate(supernet().space.encode(options)),
        )
    ]
    expected = np.square(outputs[0] - outputs[1]).sum(axis=1).mean()
    assert change.distortion == pytest.approx(float(expected), rel=1e-4)
    assert change.loss > 0.0
    assert replace(probe(options), seconds=change.seconds) == change
    assert probe({}).distortion == 0.0


def test_largest_sparsities_come_first_and_formats_last() -> None:
    network, space = compressible(), supernet().space
    changes = changes_to_measure(space, network.base, network.columns)
    number = len(network.sparsities)
    sparse = [next(iter(change.values())) for change in changes[: 3 * number]]
    assert sparse == [0.75] * number + [0.25] * number + [0.5] * number
    joint = changes[3 * number : 3 * number + 3]
    assert [set(change.values()) for change in joint] == [{0.75}, {0.25}, {0.5}]
    assert all(len(change) == number for change in joint)
    assert {tuple(change.values()) for change in changes[3 * number + 3 :]} == {("int8",)}
    assert len({tuple(change.items()) for change in changes}) == len(changes)


@pytest.mark.parametrize("model", [ResNet, ViT], ids=lambda model: model.__name__)
def test_every_choice_has_members_and_weights(model: type[nn.Module]) -> None:
    network = with_importance(compressible(model), supernet(model))
    network = with_weights(network, supernet(model))
    for column in network.sparsities:
        assert len(network.importance[column]) > 1
        assert (network.importance[column] >= 0.0).all()
        mine = [weight for weight in network.weights if column in weight.columns]
        assert mine
        assert all(weight.num_axes in (1, 2) for weight in mine)
    for weight in network.weights:
        assert len(weight.scores) == np.prod(weight.shape)
        assert np.isfinite(weight.scores).all()
    assert sum(weight.scores.sum() for weight in network.weights) > 0.0


def test_synaptic_flow_passes_activations_that_saturate() -> None:
    network = MobileNet(channels=1, has_se=False).eval()
    brought = bring("mobile", network, channels=1, resolution=SIDE)
    found = Supernet(space_of(brought))
    give_weights(found, brought)
    slots = found.space.slots((0,) * len(found.space.choices))
    flow = synaptic_flow(found.extract(slots), (1, SIDE, SIDE))
    assert all((scores.sum() > 0.0) and scores.isfinite().all() for scores in flow.values())


def test_synaptic_flow_is_conserved_from_layer_to_layer() -> None:
    """Without biases, each layer's scores have one sum, the network's output."""

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Conv2d(1, 8, 3, 2, 1, bias=False)
            self.two = nn.Conv2d(8, 8, 3, 2, 1, bias=False)
            self.head = nn.Linear(8, 4, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.two(self.one(x).relu()).relu().mean((2, 3)))

    brought = bring("plain", Plain().eval(), channels=1, resolution=SIDE)
    found = Supernet(space_of(brought))
    give_weights(found, brought)
    slots = found.space.slots((0,) * len(found.space.choices))
    flow = synaptic_flow(found.extract(slots), (1, SIDE, SIDE))
    sums = [float(scores.sum()) for scores in flow.values()]
    assert len(sums) == 3
    assert sums == pytest.approx([sums[0]] * 3)
    assert sums[0] > 0.0


def test_options_that_make_the_same_network_are_measured_once_and_alike() -> None:
    eighths = tuple(i / 8 for i in range(8))
    space = supernet().space.with_policy(("fp32",), eighths)
    base = (0,) * len(space.choices)
    column = decided(space)[0]
    changes = changes_to_measure(space, base, [column])
    rows = [tuple(o if c == column else 0 for c in range(len(base))) for o in range(8)]
    assert len(changes) == len({space.canonical(row) for row in rows}) - 1 < 7
    measured = [
        Change(change, float(10 * i), 0.0, 0.1) for i, change in enumerate(reversed(changes), 1)
    ]
    curve = Sensitivity(space, base, measured).distortions([column])[column]
    same = [space.canonical(row)[column] for row in rows]
    assert curve.tolist() == curve[same].tolist()
    assert set(curve[same].tolist()) == {0.0, *(change.distortion for change in measured)}


def test_networks_of_spaces_with_architectures_are_known_likewise() -> None:
    space = load_space("toy", resolution=SIDE, channels=1, num_classes=10)
    space = space.with_policy(("fp32", "int8"), (0.0, 0.5))
    found = Supernet(space)
    found.rank()
    problem = make_problem(space, ())
    base = largest_member(problem).encoding
    network = Compressible(problem=problem, base=base, columns=policy_columns(problem, base))
    network = with_weights(with_importance(network, found.eval()), found)
    assert network.sparsities.keys() == network.importance.keys()
    assert {column for weight in network.weights for column in weight.columns} == set(
        network.sparsities
    )
    assert all(len(scores_N) > 1 for scores_N in network.importance.values())
