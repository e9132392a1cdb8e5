"""What every training method keeps to: a batch follows from its number and the state alone.

The methods that are shipped, and small ones that use all of the contract.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.run.config import TYPE_NAMES
from search_spaces import SearchSpace, Slot
from supernets.checkpoint import read_tensors
from supernets.images import Images
from supernets.methods._base import GIVEN, METHODS, AbstractMethod
from supernets.steps import SupernetLessons
from supernets.supernet import ElasticSlot, Supernet, weights_name
from supernets.train import CHECKPOINT_FILE, Progress, TrainPlan, train, turns_of
from tests.small_methods import Attentive, Balanced, Halves, Projected, Sharp
from tests.strategies import mini_space, noise

PLAN = TrainPlan(steps=6, batch_size=8, shards=3, rank_at=0.5, channels_last=True, checkpoint_s=0.0)
"""Three batches a step: with two processes, one of them is alone in the second round."""

SMALL = {cls.__name__: cls for cls in (Attentive, Balanced, Halves, Projected, Sharp)}
TURNS = range(8)
"""As many batches as every shipped method needs to come round."""


class StoppedError(Exception):
    """Stands for kill -9."""


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    """Two operators with sparsity; a batch takes some 10 ms."""
    small = mini_space(operators=("mbconv", "window")).with_policy(("fp32",), (0, 0.5))
    return small.restricted({"stage1.depth": (1,)})


@pytest.fixture(scope="module")
def images() -> Images:
    return Images(
        images_NCHW=(50 * noise(40, 1, 16, 16).abs()).clamp(0, 255).to(torch.uint8),
        labels_N=torch.arange(40) % 10,
        mean=(0.3,),
        std=(0.2,),
        can_flip=True,
        crop_padding=1,
    )


@pytest.fixture(scope="module", params=[*METHODS.names(), *SMALL])
def method(request: pytest.FixtureRequest, space: SearchSpace) -> AbstractMethod:
    """Every method, for the whole of `PLAN`."""
    if request.param in SMALL:
        return SMALL[request.param](space)
    return shipped(request.param, space, sparse_from=turns_of(PLAN.rank_step, PLAN)[0])


@pytest.fixture(scope="module")
def whole(
    method: AbstractMethod, images: Images, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Tensor]:
    """The last checkpoint of one process, without an interruption."""
    return trained(method, images, tmp_path_factory.mktemp("whole"))


def test_a_stopped_training_continues_to_the_very_same_numbers(
    method: AbstractMethod, images: Images, whole: dict[str, Tensor], tmp_path: Path
) -> None:
    for step in (2, 5):
        with pytest.raises(StoppedError):
            trained(method, images, tmp_path, stop_after=step)
    assert_equal(trained(method, images, tmp_path), whole)


def test_two_processes_learn_what_one_learns(
    method: AbstractMethod, images: Images, whole: dict[str, Tensor], tmp_path: Path
) -> None:
    """And what one of them has begun, the other continues."""
    for processes, stop_after in ((2, 4), (1, 5)):
        with pytest.raises(StoppedError):
            trained(method, images, tmp_path, processes=processes, stop_after=stop_after)
    assert_equal(trained(method, images, tmp_path, processes=2), whole)


def test_batches_are_the_same_in_any_order(method: AbstractMethod, images: Images) -> None:
    forwards = {turn: batch(fresh(method), images, turn) for turn in TURNS}
    used = fresh(method)
    for turn in reversed(TURNS):
        losses, report, gradients = batch(used, images, turn)
        expected_losses, expected_report, expected = forwards[turn]
        assert losses == expected_losses
        assert report == expected_report
        assert_equal(gradients, expected)


def test_losses_are_finite_and_gradients_reach_what_was_trained(
    method: AbstractMethod, images: Images
) -> None:
    for turn in TURNS:
        supernet = Supernet(method.space).train()
        before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
        with trained_operators() as used:
            losses, _, _ = batch(method, images, turn, supernet)
        assert losses
        assert all(math.isfinite(loss) and isinstance(role, str) for role, loss in losses)
        assert used
        for operator in used:
            gradients = [p.grad for p in operator.parameters() if p.grad is not None]
            assert any(gradient.any() for gradient in gradients)
            assert all(gradient.isfinite().all() for gradient in gradients)
        assert_equal(supernet.state_dict(), before)


def test_the_state_stays_as_it_is_while_a_batch_is_trained(
    method: AbstractMethod, images: Images
) -> None:
    state = method.initial_state()
    before = {name: array.copy() for name, array in state.items()}
    batch(method, images, 0, state=state)
    assert state.keys() == before.keys()
    assert all(np.array_equal(state[name], array) for name, array in before.items())


@pytest.mark.parametrize("name", METHODS.names())
def test_its_further_fields_are_settings(name: str, space: SearchSpace) -> None:
    fields = {field.name: field for field in dataclasses.fields(METHODS.get(name))}
    assert fields.keys() >= GIVEN
    for setting in fields.keys() - GIVEN:
        assert fields[setting].type in TYPE_NAMES
        assert fields[setting].default is not dataclasses.MISSING
    method = shipped(name, space)
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.seed = 1


@pytest.mark.parametrize("name", METHODS.names())
def test_members_are_of_the_space_and_not_pruned_before_channels_are_ranked(
    name: str, space: SearchSpace, images: Images
) -> None:
    method = shipped(name, space, sparse_from=TURNS[4])
    columns = space.columns("sparsity")
    pruned = []
    for turn in TURNS:
        with trained_members() as members:
            batch(method, images, turn)
        for encoding in members:
            assert len(encoding) == len(space.choices)
            assert all(0 <= i < n for i, n in zip(encoding, space.cardinalities, strict=True))
        pruned.append(bool(np.array(members)[:, columns].any()))
    assert not any(pruned[:4])
    assert any(pruned[4:])


def shipped(name: str, space: SearchSpace, **given: Any) -> AbstractMethod:
    method = METHODS.get(name)(space=space, **given)
    assert isinstance(method, AbstractMethod)
    return method


def fresh(method: AbstractMethod) -> AbstractMethod:
    """The same method, without anything that an object may have remembered."""
    return dataclasses.replace(method)  # type: ignore[type-var]


def trained(
    method: AbstractMethod,
    images: Images,
    folder: Path,
    *,
    processes: int = 1,
    stop_after: int = 0,
) -> dict[str, Tensor]:
    """The tensors of the last checkpoint; every step is saved.

    Raises:
        StoppedError: Before that of step `stop_after` is saved.
    """
    supernet = Supernet(method.space)

    def on_step(numbers: Progress) -> None:
        if numbers["step"] == stop_after:
            raise StoppedError

    with patch("supernets.train.CHECKPOINT_SHARE", 1e12):
        train(
            supernet,
            images,
            PLAN,
            SupernetLessons(PLAN, fresh(method)),
            directory=folder,
            processes=processes,
            threads=1,
            before_step=lambda step: supernet.rank() if step == PLAN.rank_step else None,
            on_step=on_step,
        )
    return read_tensors(folder / CHECKPOINT_FILE)[0]


def batch(
    method: AbstractMethod,
    images: Images,
    turn: int,
    supernet: Supernet | None = None,
    state: dict[str, np.ndarray] | None = None,
) -> tuple[list[tuple[str, float]], dict[str, Any], dict[str, Tensor]]:
    """Losses, report and gradients of one batch of a fresh supernet."""
    supernet = supernet or Supernet(method.space).train()
    state = method.initial_state() if state is None else state
    losses, report = SupernetLessons(PLAN, method)(supernet, images, turn, state)
    gradients = {n: p.grad for n, p in supernet.named_parameters() if p.grad is not None}
    return losses, {name: array.tolist() for name, array in report.items()}, gradients


@contextmanager
def trained_operators() -> Iterator[list[nn.Module]]:
    """What is run with gradients in this context."""
    found: list[nn.Module] = []
    run = ElasticSlot.forward

    def spying(slot: ElasticSlot, x_BCHW: Tensor, signature: Any) -> Tensor:
        if torch.is_grad_enabled():
            found.append(slot.operators[weights_name(signature)])
        return run(slot, x_BCHW, signature)

    with patch.object(ElasticSlot, "forward", spying):
        yield found


@contextmanager
def trained_members() -> Iterator[list[Sequence[int]]]:
    """The encodings whose networks are run in this context."""
    found: list[Sequence[int]] = []
    resolve = SearchSpace.slots

    def spying(space: SearchSpace, encoding: Sequence[int]) -> tuple[Slot, ...]:
        found.append(encoding)
        return resolve(space, encoding)

    with patch.object(SearchSpace, "slots", spying):
        yield found


def assert_equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
