"""What every space's supernet keeps to: one member run with shared weights is that member alone."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

from search_spaces import SPACES, Candidate, SearchSpace, Slot, load_space
from supernets.network import PlainNetwork, module_name
from supernets.supernet import Supernet
from tests.strategies import covering, noise, randomise_

pytestmark = pytest.mark.parametrize("space_name", SPACES.names())

SIDES = 32, 40
TOLERANCE = 1e-5
OPERATION = "operation"
"""Last part of the names of choices that cells have."""


@functools.cache
def space_of(name: str) -> SearchSpace:
    """The space's narrow half, at a size where windows are shifted in some stages and not in all,
    and along one side alone in others."""
    space = load_space(name, resolution=SIDES, channels=2, num_classes=10)
    widths = (space.choices[column] for column in space.columns("width"))
    space = space.restricted({w.name: w.options[: max(2, len(w.options) // 2)] for w in widths})
    # So narrow a layer of a cell or of these stages is as wide without a quarter of its channels.
    is_narrow = space.columns(OPERATION) or space.columns("weight_set")
    sparsities = (0, 0.5) if is_narrow else (0, 0.25, 0.5)
    return space.with_policy(("fp32", "int8"), sparsities)


@functools.cache
def cover(name: str) -> list[Candidate]:
    """Every option of every choice."""
    return covering(space_of(name))


@functools.cache
def members(name: str) -> list[tuple[Slot, ...]]:
    """Every option of every choice, behind every stem, and of cells and columns as many as can be."""
    space = space_of(name)
    rows = np.array([candidate.encoding for candidate in cover(name)])
    counts = [*space.columns("depth"), *space.columns("columns")]
    for column in counts if space.columns(OPERATION) else ():
        deep = rows.copy()
        deep[:, column] = space.cardinalities[column] - 1
        rows = np.concatenate([rows, deep])
    for column in space.columns("stride"):
        parts = []
        for option in range(space.cardinalities[column]):
            parts.append(rows.copy())
            parts[-1][:, column] = option
        rows = np.concatenate(parts)
    return [space.slots(row) for row in rows.tolist()]


@functools.cache
def random_supernet(name: str) -> Supernet:
    """With random statistics and importances. Do not change it."""
    supernet = Supernet(space_of(name))
    randomise_(supernet, seed=1)
    supernet.rank()
    return supernet


def images(*, batch: int = 2, seed: int = 0) -> torch.Tensor:
    return noise(batch, 2, *SIDES, seed=seed)


def loss_of(logits_BK: torch.Tensor) -> torch.Tensor:
    return (logits_BK * noise(*logits_BK.shape, seed=7)).sum()


def test_members_cover_every_option_of_every_choice(space_name: str) -> None:
    space = space_of(space_name)
    covered: dict[str, set[object]] = {}
    for candidate in cover(space_name):
        for name, option in {**candidate.arch, **candidate.policy}.items():
            covered.setdefault(name, set()).add(option)
    assert covered == {choice.name: set(choice.options) for choice in space.choices}


@torch.no_grad()
def test_a_member_equals_its_extraction(space_name: str) -> None:
    """In evaluation, and in training."""
    supernet = random_supernet(space_name)
    networks = [supernet.extract(slots) for slots in members(space_name)]
    for is_training in (False, True):
        supernet.train(is_training)
        for slots, network in zip(members(space_name), networks, strict=True):
            difference = supernet(images(), slots) - network.train(is_training)(images())
            assert difference.abs().max() <= TOLERANCE, f"training: {is_training}"


def test_gradients_of_shared_weights_are_those_of_the_extraction_put_in_place(
    space_name: str,
) -> None:
    supernet = random_supernet(space_name).train()
    for slots in members(space_name)[:4]:
        network = supernet.extract(slots).train()
        supernet.zero_grad()
        loss_of(supernet(images(), slots)).backward()
        shared = {n: p.grad for n, p in supernet.named_parameters() if p.grad is not None}
        loss_of(network(images())).backward()
        supernet.zero_grad()
        put_in_place(supernet, network, slots)
        for name, parameter in supernet.named_parameters():
            if parameter.grad is None:
                assert name not in shared
            else:
                largest = max(1.0, float(parameter.grad.abs().max()))
                torch.testing.assert_close(
                    shared[name], parameter.grad, rtol=1e-4, atol=1e-5 * largest
                )


def put_in_place(supernet: Supernet, network: PlainNetwork, slots: tuple[Slot, ...]) -> None:
    """Adds the plain network's gradients to the shared weights that it was copied from."""
    for slot in slots:
        plain = network.get_submodule(module_name(slot.name))
        weights = supernet.slots[module_name(slot.name)].weights(slot.signature)
        if not (own := dict(plain.named_parameters())):
            continue
        torch.stack([(weights[n] * p.grad).sum() for n, p in own.items()]).sum().backward()


def test_training_a_member_leaves_all_buffers_alone(space_name: str) -> None:
    supernet = random_supernet(space_name).train()
    before = {name: buffer.clone() for name, buffer in supernet.named_buffers()}
    for slots in members(space_name)[:4]:
        loss_of(supernet(images(), slots)).backward()
    after = dict(supernet.named_buffers())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_every_weight_of_the_supernet_belongs_to_some_member(space_name: str) -> None:
    supernet = random_supernet(space_name).eval()
    supernet.zero_grad()
    unused = dict(supernet.named_parameters())
    for slots in members(space_name):
        loss_of(supernet(images(), slots)).backward()
        unused = {name: p for name, p in unused.items() if p.grad is None}
        if not unused:
            break
    assert not unused


def test_an_extraction_shares_no_memory_with_the_supernet(space_name: str) -> None:
    supernet = random_supernet(space_name).eval()
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    network = supernet.extract(members(space_name)[0])
    with torch.no_grad():
        for tensor in [*network.parameters(), *network.buffers()]:
            tensor.zero_()
    assert all(torch.equal(before[n], t) for n, t in supernet.state_dict().items())


@torch.no_grad()
def test_blocks_of_a_fresh_supernet_change_nothing(space_name: str) -> None:
    supernet = Supernet(space_of(space_name))
    for slots in members(space_name)[:4]:
        network = supernet.extract(slots)
        for slot in slots:
            if "block" in slot.name:
                module, shape = network.get_submodule(module_name(slot.name)), slot.signature.shape
                x = noise(2, shape.width, *shape.size)
                assert torch.equal(module(x), x), slot.name


def test_equal_seeds_give_equal_supernets_and_different_ones_differ(space_name: str) -> None:
    first, again, other = (Supernet(space_of(space_name), seed=s) for s in (3, 3, 4))
    one = first.state_dict()
    assert all(torch.equal(one[n], t) for n, t in again.state_dict().items())
    weights = [n for n, m in first.named_modules() if isinstance(m, nn.Conv2d)]
    assert not torch.equal(
        first.get_submodule(weights[0]).weight, other.get_submodule(weights[0]).weight
    )
