"""What every training method keeps to: a batch follows from its number and the state alone."""

import dataclasses
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from nas.system.typed import TYPE_NAMES
from nas.testing._by_name import by_name
from nas.testing._expect import refused, require
from nas.testing._tensors import noise
from search_spaces import SearchSpace, Signature, Slot, load_space
from supernets.checkpoint import read_tensors
from supernets.device import FP16
from supernets.images import Images
from supernets.loss_scale import initial_scale
from supernets.methods._base import GIVEN, METHODS, AbstractMethod, remaining_of
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import ElasticSlot, Supernet, weights_name
from supernets.train import CHECKPOINT_FILE, Progress, train, turns_of

PLAN = TrainPlan(steps=6, batch_size=8, shards=3, rank_at=0.5, channels_last=True, checkpoint_s=0.0)
"""Three batches a step: with two processes, one of them is alone in the second round."""

TURNS = range(0, PLAN.steps * PLAN.shards, 2)
"""Over the whole training, and as many as every method of ours needs to come round."""

SIDE, NUM_IMAGES, CLASSES = 16, 40, 10

Tensors = Mapping[str, Tensor]


class StoppedError(Exception):
    """Stands for kill -9."""


def check_members_are_of_the_space(method: AbstractMethod) -> None:
    """Members are of the space, and not pruned before channels are ranked."""
    assert dataclasses.is_dataclass(method)
    method = dataclasses.replace(method, sparse_from=TURNS[4])
    columns = method.space.columns("sparsity")
    pruned = []
    for turn in TURNS:
        with _trained_members() as members:
            _batch(method, turn)
        pruned.append(bool(np.array(members)[:, columns].any()))
    require(not any(pruned[:4]), "members of a batch before `sparse_from` are pruned")
    require(any(pruned[4:]), "no member is pruned from batch `sparse_from` on")


def check_phases_divide_the_training(method: AbstractMethod) -> None:
    """Phases follow each other from the beginning of the training."""
    begins = [*method.phases, 1.0]
    require(
        begins[0] == 0.0 and begins == sorted(begins),
        f"phases begin at {method.phases}; the first must begin at 0, and all before 1",
    )


def check_what_remains_is_part_of_its_space(method: AbstractMethod) -> None:
    """What it leaves to a search is part of its space, and has networks that are not pruned."""
    remaining_of(method, method.initial_state())


def check_further_fields_are_settings(method: AbstractMethod) -> None:
    """It is frozen, is given what all methods are, and its further fields are settings."""
    fields = {field.name: field for field in dataclasses.fields(method)}  # type: ignore[arg-type]
    missing = GIVEN - fields.keys()
    require(not missing, f"it has no fields {', '.join(sorted(missing))}, which training gives")
    for name in fields.keys() - GIVEN:
        known = ", ".join(kind.__name__ for kind in TYPE_NAMES)
        require(fields[name].type in TYPE_NAMES, f"field '{name}' is none of {known}")
        has_default = fields[name].default is not dataclasses.MISSING
        require(has_default, f"field '{name}' has no default")
    with refused("a changed seed", dataclasses.FrozenInstanceError):
        method.seed = 1  # type: ignore[attr-defined]


def check_batches_are_the_same_in_any_order(method: AbstractMethod) -> None:
    """A batch is the same whatever was trained before."""
    forwards = {turn: _batch(_fresh(method), turn) for turn in TURNS}
    used = _fresh(method)
    for turn in reversed(TURNS):
        wrong = _difference(_batch(used, turn), forwards[turn])
        require(not wrong, f"batch {turn} is trained otherwise after later ones: {wrong}")


def check_gradients_reach_what_was_trained(method: AbstractMethod) -> None:
    """Losses and gradients are finite, reach all that was run, and nothing else changes."""
    for turn in TURNS:
        supernet = Supernet(method.space).train()
        before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
        with _trained_operators() as used:
            losses, _, _ = _batch(method, turn, supernet)
        require(losses, f"batch {turn} says no loss")
        require(
            all(math.isfinite(loss) and isinstance(role, str) for role, loss in losses),
            f"losses of batch {turn} are {losses}",
        )
        require(used, f"batch {turn} runs no member with gradients")
        for operator in used:
            found = [p.grad for p in operator.parameters() if p.grad is not None]
            name = type(operator).__name__
            require(any(grad.any() for grad in found), f"batch {turn}: {name} has no gradient")
            require(
                all(grad.isfinite().all() for grad in found),
                f"batch {turn}: a gradient of {name} is not finite",
            )
        wrong = _unequal(supernet.state_dict(), before)
        require(not wrong, f"batch {turn} changes weights or buffers: {wrong}")


def check_gradients_are_true_where_they_are_scaled(method: AbstractMethod) -> None:
    """In fp16, where gradients are larger inside of the supernet, they are true outside of it."""
    state = {**method.initial_state(), **initial_scale(FP16)}
    for turn in TURNS[::4]:
        expected = _batch(_fresh(method), turn)[2]
        found = _batch(_fresh(method), turn, state=state)[2]
        require(expected.keys() == found.keys(), f"batch {turn}: in fp16 others have gradients")
        wrong = [n for n, t in expected.items() if not torch.allclose(t, found[n], rtol=1e-3)]
        require(
            not wrong,
            f"batch {turn}: in fp16 gradients of {', '.join(wrong):.200} are others. Ask the "
            "supernet by `context.logits`, `context.logits_of` or `context.features`",
        )


def check_the_state_stays_while_a_batch_is_trained(method: AbstractMethod) -> None:
    """The state stays as it is while a batch is trained."""
    state = method.initial_state()
    before = {name: np.array(array) for name, array in state.items()}
    _batch(method, 0, state=state)
    same = state.keys() == before.keys() and all(
        np.array_equal(state[name], array) for name, array in before.items()
    )
    require(same, "a batch changes the state; `fold` is to make the next one")


def check_a_stopped_training_continues_with_any_number_of_processes(method: AbstractMethod) -> None:
    """Two processes, one and two again end with the numbers of one that is not stopped."""
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        for processes, step in ((2, 2), (1, 5)):
            with suppress(StoppedError):
                _trained(method, Path(folder), processes=processes, stop_after=step)
        wrong = _unequal(_trained(method, Path(folder), processes=2), _whole(method))
    require(not wrong, f"stopped twice and continued by other processes it ends elsewhere: {wrong}")


OF_BATCHES: tuple[Callable[[AbstractMethod], None], ...] = (
    check_batches_are_the_same_in_any_order,
    check_gradients_reach_what_was_trained,
    check_gradients_are_true_where_they_are_scaled,
    check_the_state_stays_while_a_batch_is_trained,
    check_a_stopped_training_continues_with_any_number_of_processes,
)
"""Of methods, whoever makes them."""

OF_FIELDS: tuple[Callable[[AbstractMethod], None], ...] = (
    check_members_are_of_the_space,
    check_phases_divide_the_training,
    check_what_remains_is_part_of_its_space,
    check_further_fields_are_settings,
)
"""Of registered methods, which training makes from their name and `--set`."""


def example(name: str) -> AbstractMethod:
    """The method of that name on `small_space`, for the whole of `PLAN`."""
    sparse_from = turns_of(PLAN.rank_step, PLAN)[0]
    method = METHODS.get(name)(space=small_space(), sparse_from=sparse_from)
    assert isinstance(method, AbstractMethod)
    return method


def _examples(name: str) -> list[tuple[AbstractMethod]]:
    return [(example(name),)]


CHECKS: tuple[Callable[[str], None], ...] = tuple(
    by_name(check, _examples) for check in OF_FIELDS + OF_BATCHES
)


@cache
def small_space() -> SearchSpace:
    """Two operators with sparsity; a batch takes some 10 ms."""
    space = load_space("toy", resolution=SIDE, channels=1, num_classes=CLASSES)
    return space.with_policy(("fp32",), (0.0, 0.5)).restricted({"stage1.depth": (1,)})


@cache
def small_images(*, is_augmented: bool = True) -> Images:
    """40 grey images of 16 px in 10 classes."""
    return Images(
        images_NCHW=(50 * noise(NUM_IMAGES, 1, SIDE, SIDE).abs()).clamp(0, 255).to(torch.uint8),
        labels_N=torch.arange(NUM_IMAGES) % CLASSES,
        mean=(0.3,),
        std=(0.2,),
        can_flip=is_augmented,
        crop_padding=int(is_augmented),
    )


@lru_cache(maxsize=32)
def _whole(method: AbstractMethod) -> Tensors:
    """The last checkpoint of one process, without an interruption."""
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        return _trained(method, Path(folder))


def _trained(
    method: AbstractMethod, folder: Path, *, processes: int = 1, stop_after: int = 0
) -> Tensors:
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
            small_images(),
            PLAN,
            SupernetBatches(PLAN, _fresh(method)),
            directory=folder,
            processes=processes,
            threads=1,
            before_step=lambda step: supernet.rank() if step == PLAN.rank_step else None,
            on_step=on_step,
        )
    return read_tensors(folder / CHECKPOINT_FILE)[0]


Batch = tuple[list[tuple[str, float]], dict[str, Any], Tensors]


def _batch(
    method: AbstractMethod,
    turn: int,
    supernet: Supernet | None = None,
    state: Mapping[str, np.ndarray] | None = None,
) -> Batch:
    """Losses, report and gradients of one batch of a fresh supernet."""
    supernet = supernet or Supernet(method.space).train()
    state = method.initial_state() if state is None else state
    batches = SupernetBatches(PLAN, method).averaging(supernet)
    losses, report = batches(supernet, small_images(), turn, state)
    gradients = {n: p.grad for n, p in supernet.named_parameters() if p.grad is not None}
    return losses, {name: np.asarray(array).tolist() for name, array in report.items()}, gradients


def _fresh(method: AbstractMethod) -> AbstractMethod:
    """The same method, without anything that an object may have remembered."""
    assert dataclasses.is_dataclass(method)
    return dataclasses.replace(method)


@contextmanager
def _trained_operators() -> Iterator[list[nn.Module]]:
    """What is run with gradients in this context."""
    found: list[nn.Module] = []
    run = ElasticSlot.forward

    def spying(slot: ElasticSlot, x_BCHW: Tensor, signature: Signature) -> Tensor:
        if torch.is_grad_enabled():
            found.append(slot.operators[weights_name(signature)])
        return run(slot, x_BCHW, signature)

    with patch.object(ElasticSlot, "forward", spying):
        yield found


@contextmanager
def _trained_members() -> Iterator[list[Sequence[int]]]:
    """The encodings whose networks are run in this context."""
    found: list[Sequence[int]] = []
    resolve = SearchSpace.slots

    def spying(space: SearchSpace, encoding: Sequence[int]) -> tuple[Slot, ...]:
        is_member = len(encoding) == len(space.choices) and all(
            0 <= i < n for i, n in zip(encoding, space.cardinalities, strict=True)
        )
        require(is_member, f"a batch trains {tuple(encoding)}, which is no encoding")
        found.append(encoding)
        return resolve(space, encoding)

    with patch.object(SearchSpace, "slots", spying):
        yield found


def _difference(first: Batch, second: Batch) -> str:
    if first[:2] != second[:2]:
        return "losses or reports differ"
    return _unequal(first[2], second[2])


def _unequal(first: Tensors, second: Tensors) -> str:
    """What of the tensors differs; "" if nothing does."""
    if first.keys() != second.keys():
        return f"there is {', '.join(sorted(first.keys() ^ second.keys())):.200}, or is not"
    return ", ".join(n for n, t in first.items() if not torch.equal(t, second[n]))[:200]
