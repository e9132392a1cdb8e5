"""Slots that use their weights several times: numbers, order, reach, files and grids."""

from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from compress.apply import Learnt, compress
from compress.aware import aware, grids_of
from compress.placement import further_uses
from nas.testing._exported import compress_for_here, export
from nas.testing._learnt import require_learnt_alike
from nas.testing._spaces import random_supernet
from nas.testing.formats import require_declared_bytes
from search_spaces import Options, SearchSpace, Shape, Signature, Staged, signature_cost
from search_spaces.operators._repeated import between_cost
from supernets.calibrate import recalibrated
from supernets.network import plain_module
from supernets.supernet import ElasticSlot, Supernet, largest_of
from tests.strategies import mini_space, noise, randomise_, signature, slots_of, uniform

PLACE = Shape.square(8, 8, 16, 16, head_dim=8)
PICK = Options({"num_heads": 2, "kernel_size": 5, "expand_ratio": 2})
MIXERS = ("convnext", "window", "sret")


def of_passes(operator: str, repeats: int) -> Signature:
    return signature(operator, Options({**PICK, "repeats": repeats}), PLACE)


@pytest.mark.parametrize("operator", MIXERS)
def test_parameters_grow_by_projections_and_multiply_adds_with_passes(operator: str) -> None:
    one, three = (signature_cost(of_passes(operator, repeats)) for repeats in (1, 3))
    between = between_cost(PLACE.pixels, PLACE.width, 3)
    assert three.params - between.params == one.params
    assert three.weights - between.weights == one.weights
    assert three.macs - between.macs == 3 * one.macs


def test_a_single_pass_is_what_it_was() -> None:
    assert "repeats" not in of_passes("window", 1).pick


@torch.no_grad()
def test_a_pass_reads_what_a_projection_makes_of_the_one_before() -> None:
    twice = plain_module(of_passes("convnext", 2)).eval()
    randomise_(twice, seed=1)
    once = plain_module(of_passes("convnext", 1)).eval()
    once.load_state_dict({n: t for n, t in twice.state_dict().items() if "between" not in n})
    x_BCHW = noise(2, 16, 8, 8, seed=2)
    between = twice.get_submodule("between")(once(x_BCHW).permute(0, 2, 3, 1), 1)
    torch.testing.assert_close(twice(x_BCHW), once(between.permute(0, 3, 1, 2)))


def test_members_of_fewer_passes_use_the_first_projections_and_all_other_weights() -> None:
    three, two = of_passes("sret", 3), of_passes("sret", 2)
    slot = ElasticSlot(largest_of([three, two, of_passes("sret", 1)]))
    names = {name.partition(".")[0] for name, _ in slot.named_children()}
    assert "between" in names
    used = slot.weights(two)
    assert "between.projections.0.project.weight" in used
    assert "between.projections.1.project.weight" not in used
    assert {n for n in used if "between" not in n} == slot.weights(of_passes("sret", 1)).keys()


@torch.no_grad()
def test_a_fresh_slot_is_the_identity_however_often_it_recurs() -> None:
    space = recurrent_space(("window",))
    slots = {slot.name: slot for slot in slots_of(space, repeats=2, sparsity=0)}
    signature_of_block = slots["stage1.block1"].signature
    width = signature_of_block.shape.width
    x_BCHW = noise(2, width, *signature_of_block.shape.size, seed=3)
    fresh = Supernet(space).eval().slots["stage1_block1"]
    assert isinstance(fresh, ElasticSlot)
    torch.testing.assert_close(fresh(x_BCHW, signature_of_block), x_BCHW)


@torch.no_grad()
@pytest.mark.parametrize(("repeats", "share"), [(1, 1 / 4), (2, 1.0)])
def test_two_passes_reach_from_every_token_to_every_other(repeats: int, share: float) -> None:
    pick = Options({"num_heads": 2, "num_groups": 4, "expand_ratio": 1, "repeats": repeats})
    block = plain_module(signature("sret", pick, PLACE)).eval()
    randomise_(block, seed=1)
    x_BCHW = noise(1, 16, 8, 8, seed=2)
    changed = x_BCHW.clone()
    changed[:, 0, 0, 0] += 1.0
    differs = (block(changed) - block(x_BCHW)).abs().amax(1) > 1e-7
    assert differs.float().mean() == share


def test_groups_are_lowered_until_they_divide_the_map() -> None:
    pick = Options({"num_heads": 1, "num_groups": 5, "expand_ratio": 1})
    found = signature("sret", pick, replace(PLACE, in_size=(4, 6), size=(4, 6)))
    assert found.pick["num_groups"] == 4


def recurrent_space(operators: tuple[str, ...]) -> SearchSpace:
    network = mini_space(operators=operators, resolution=32).network
    assert isinstance(network, Staged)
    stages = tuple(
        replace(stage, options=(*stage.options, ("repeats", (1, 2)))) for stage in network.stages
    )
    space = SearchSpace.of_network("recurrent", replace(network, stages=stages))
    return space.with_policy(("fp32", "int8", "int8w", "int4w", "int8-dynamic"), (0.0, 0.5))


@pytest.fixture(scope="module")
def recurrent() -> Supernet:
    return random_supernet(recurrent_space(("sret", "convnext")))


@pytest.mark.parametrize("precision", ["fp32", "int8", "int8w"])
def test_a_file_has_the_bytes_that_are_declared(recurrent: Supernet, precision: str) -> None:
    encoding = uniform(recurrent.space, operator="sret", precision=precision, sparsity=0)
    require_declared_bytes(recurrent, encoding)


@torch.no_grad()
def test_a_file_of_integers_has_a_weight_once_and_a_grid_for_every_pass(
    recurrent: Supernet, tmp_path: Path
) -> None:
    slots = slots_of(recurrent.space, operator="sret", depth=1, precision="int8", sparsity=0)
    found = compress_for_here(recurrent.extract(slots), slots, [noise(32, 1, 32, 32)])
    mixer = "stage1_block1.mixer.qkv"
    (again,) = further_uses(found.network, mixer)
    first, second = (found.network.get_submodule(name) for name in (mixer, again))
    assert torch.equal(first.get_buffer("weight"), second.get_buffer("weight"))
    scales = [layer.get_buffer("output.scale") for layer in (first, second)]
    assert scales[0] != scales[1]
    file = export(found.network, recurrent.space, tmp_path / "a.onnx")
    shape = list(first.get_buffer("weight").shape)
    tensors = [t for t in onnx.load(file).graph.initializer if list(t.dims) in (shape, shape[::-1])]
    of_slot = [t for t in tensors if t.name.startswith("s1b1.")]
    assert len(of_slot) == 1


def test_training_with_integers_trains_one_weight_on_one_grid(recurrent: Supernet) -> None:
    slots = slots_of(recurrent.space, operator="sret", depth=1, precision="int8", sparsity=0)
    network, calibration = recurrent.extract(slots), [noise(32, 1, 32, 32)]
    recalibrated(network, calibration)
    trained = aware(network, slots, calibration)
    own = {id(parameter) for parameter in network.parameters()}
    assert own >= {id(p) for p in trained.parameters() if p.ndim > 1}
    mixer = "stage1_block1.mixer.qkv"
    (again,) = further_uses(trained, mixer)
    layers: list[nn.Module] = [trained.get_submodule(name) for name in (mixer, again)]
    assert layers[0].log_scale_C is layers[1].log_scale_C
    grids = grids_of(trained)
    deployed = compress(network, slots, calibration, learnt=Learnt(grids)).network
    require_learnt_alike(trained, deployed, noise(8, 1, 32, 32, seed=5))
