"""Training: exact resume, what it refuses, its schedule, its images, and a theorem."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from search_spaces import SearchSpace, UserError
from supernets import train as training
from supernets.checkpoint import read_tensors, write_tensors
from supernets.images import Images
from supernets.methods._lessons import LARGEST, AbstractLessons, Lesson
from supernets.methods.sandwich import Sandwich
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan
from supernets.steps import AloneBatches, SupernetBatches
from supernets.supernet import Supernet
from supernets.tasks._base import losses_of
from supernets.teachers import LiveTeacher, Teaching
from supernets.train import CHECKPOINT_FILE, Progress, learning_rate, train, turns_of
from tests.small_methods import Balanced
from tests.strategies import mini_space, noise

PLAN = TrainPlan(steps=7, batch_size=8, checkpoint_s=0)


class KilledError(Exception):
    """Stands for kill -9."""


class Plain(AbstractLessons):
    """Ordinary training of one member."""

    def __init__(self, encoding: tuple[int, ...], *, weight: float = 1.0) -> None:
        self.encoding, self.weight = encoding, weight

    def plan(self, turn: int, rng: np.random.Generator) -> list[Lesson]:
        return [Lesson(LARGEST, self.encoding, weight=self.weight)]


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    """Two operators with sparsity; a step takes some 20 ms."""
    small = mini_space(operators=("mbconv", "window")).with_policy(("fp32",), (0, 0.5))
    return small.restricted({"stage1.depth": (1,)})


@pytest.fixture
def images() -> Images:
    """Noise whose brightness is its class: learnt in a few steps."""
    labels = torch.arange(64) % 10
    pixels = 12 * labels[:, None, None, None] + 60 * torch.rand(
        64, 1, 16, 16, generator=torch.Generator().manual_seed(0)
    )
    return Images(
        images_NCHW=pixels.to(torch.uint8),
        labels_N=labels,
        mean=(0.3,),
        std=(0.2,),
        can_flip=False,
        crop_padding=1,
    )


@pytest.fixture
def every_step_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SHARE", 1e12)


def sandwich(space: SearchSpace, plan: TrainPlan) -> Sandwich:
    return Sandwich(space=space, sparse_from=turns_of(plan.rank_step, plan)[0])


def trained(space: SearchSpace, images: Images, folder: Path, **options) -> Supernet:
    plan = options.pop("plan", PLAN)
    method = options.pop("method", None) or sandwich(space, plan)
    supernet = Supernet(space)
    train(
        supernet, images, plan, SupernetBatches(plan, method), directory=folder,
        before_step=lambda step: supernet.rank() if step == plan.rank_step else None, **options,
    )  # fmt: skip
    return supernet


def kill_after(step: int) -> Callable[[Progress], None]:
    def on_step(numbers: Progress) -> None:
        if numbers["step"] == step:
            raise KilledError

    return on_step


def assert_equal(first: torch.nn.Module, second: torch.nn.Module) -> None:
    states = first.state_dict(), second.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name


@pytest.mark.usefixtures("every_step_is_saved")
@pytest.mark.parametrize(("precision", "channels_last"), [("fp32", False), ("bf16", True)])
def test_a_killed_run_continues_to_the_very_same_weights(
    space: SearchSpace, images: Images, tmp_path: Path, precision: str, channels_last: bool
) -> None:
    plan = replace(PLAN, precision=precision, channels_last=channels_last)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    expected = trained(space, images, whole, plan=plan)
    # Before the first checkpoint; right after it; as channels are ranked; and after it.
    for step in (1, 2, plan.rank_step + 1, 6):
        with pytest.raises(KilledError):
            trained(space, images, parts, plan=plan, on_step=kill_after(step))
    seen: list[float] = []
    found = trained(
        space, images, parts, plan=plan, on_step=lambda numbers: seen.append(numbers["step"])
    )
    assert seen == [6, 7], "five steps were kept"
    assert_equal(found, expected)


def test_a_finished_run_is_read_back_without_a_step(
    space: SearchSpace, images: Images, tmp_path: Path
) -> None:
    expected = trained(space, images, tmp_path)
    again = trained(space, images, tmp_path, on_step=kill_after(1))
    assert_equal(again, expected)


def test_checkpoints_are_seldom_when_writing_is_slow(
    space: SearchSpace, images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SHARE", 1e-9)
    written: list[int] = []
    monkeypatch.setattr(training.TrainState, "save", lambda self, path: written.append(self.step))
    trained(space, images, tmp_path)
    assert written == [1, 7]


def test_a_loss_that_is_no_number_names_the_setting_to_change(
    space: SearchSpace, images: Images, tmp_path: Path
) -> None:
    plan = replace(PLAN, learning_rate=1e30, warmup=0.0)
    with pytest.raises(UserError, match=r"diverged in step \d.*--set learning_rate=3e\+29"):
        trained(space, images, tmp_path, plan=plan)


def test_a_checkpoint_of_another_space_is_refused(
    space: SearchSpace, images: Images, tmp_path: Path
) -> None:
    trained(space, images, tmp_path, plan=replace(PLAN, steps=1))
    other = space.restricted({"stage1.width": (8,)})
    with pytest.raises(UserError, match="belongs to another network.*Delete it"):
        trained(other, images, tmp_path)


def test_a_checkpoint_of_another_method_is_refused(
    space: SearchSpace, images: Images, tmp_path: Path
) -> None:
    plan = replace(PLAN, steps=1)
    trained(space, images, tmp_path, plan=plan, method=Balanced(space))
    before = (tmp_path / CHECKPOINT_FILE).read_bytes()
    with pytest.raises(
        UserError,
        match=r"another training method: it keeps loss float64 \(2,\), "
        r"seen int64 \(2,\), and this one keeps nothing. Delete it",
    ):
        trained(space, images, tmp_path)
    assert (tmp_path / CHECKPOINT_FILE).read_bytes() == before
    more = mini_space(operators=("mbconv", "window", "raft"))
    state = training.fresh_state(Supernet(space), plan, Balanced(more).initial_state())
    with pytest.raises(UserError, match=r"keeps loss float64 \(3,\)"):
        state.load(tmp_path / CHECKPOINT_FILE)


def test_a_checkpoint_without_a_state_continues_only_without_one(
    space: SearchSpace, images: Images, tmp_path: Path
) -> None:
    """As do all that were written before methods had states."""
    trained(space, images, tmp_path, plan=replace(PLAN, steps=1))
    tensors, document = read_tensors(tmp_path / CHECKPOINT_FILE)
    assert not [name for name in tensors if name.startswith("method.")]
    assert document == {"step": 1}
    with pytest.raises(UserError, match="it keeps nothing, and this one keeps loss"):
        trained(space, images, tmp_path, method=Balanced(space))


def test_a_state_that_no_checkpoint_could_continue_is_refused(space: SearchSpace) -> None:
    state = training.fresh_state(Supernet(space), PLAN, {"loss": np.zeros(2)})
    state.keep({"loss": np.ones(2)})
    for other in ({}, {"loss": np.ones(3)}, {"loss": np.ones(2, int)}, {"lost": np.ones(2)}):
        with pytest.raises(UserError, match=r"before it loss float64 \(2,\). Its `fold` must"):
            state.keep(other)
    assert state.kept["loss"].tolist() == [1, 1]


@pytest.mark.parametrize("content", [b"", b"garbage" * 9])
def test_a_damaged_checkpoint_is_refused(
    space: SearchSpace, images: Images, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / CHECKPOINT_FILE).write_bytes(content)
    with pytest.raises(UserError, match="not a weights file"):
        trained(space, images, tmp_path)


def test_a_weights_file_of_another_kind_is_refused(
    space: SearchSpace, images: Images, tmp_path: Path
) -> None:
    write_tensors(tmp_path / CHECKPOINT_FILE, {"weight": torch.zeros(3)}, {"schema": 1})
    with pytest.raises(UserError, match="belongs to another network"):
        trained(space, images, tmp_path)


def test_without_anything_elastic_the_sandwich_is_plain_training(
    space: SearchSpace, images: Images, tmp_path: Path
) -> None:
    """All its members are one network; their gradients add up, and steps do not depend on size."""
    rigid = space.restricted({choice.name: choice.options[-1:] for choice in space.choices})
    plan = replace(PLAN, clip_norm=1e9)
    losses: dict[str, list[float]] = {}
    for name, method in (
        ("sandwich", Sandwich(space=rigid, teacher_share=0.0)),
        ("plain", Plain((0,) * len(rigid.choices))),
    ):
        folder = tmp_path / name
        folder.mkdir()
        seen = losses.setdefault(name, [])
        trained(
            rigid, images, folder, plan=plan, method=method,
            on_step=lambda numbers, seen=seen: seen.append(numbers["loss_largest"]),
        )  # fmt: skip
    assert len(set(losses["plain"])) == plan.steps
    assert losses["sandwich"] == pytest.approx(losses["plain"], rel=1e-3)


def test_the_first_loss_is_the_label_loss_of_the_extracted_member(
    space: SearchSpace, images: Images
) -> None:
    supernet = Supernet(space).train()
    batch = images.batch(0, 8, 0)
    encoding = space.sample(np.random.default_rng(0), 1)[0].tolist()
    losses, _ = SupernetBatches(PLAN, Plain(tuple(encoding)))(supernet, images, 0, {})
    network = supernet.extract(space.slots(encoding)).train()
    expected = losses_of(images.task).label_loss(
        network(batch[0]), batch[1], smoothing=PLAN.label_smoothing
    )
    assert losses == [(LARGEST, pytest.approx(expected.item(), rel=1e-5))]


def test_a_network_alone_learns_from_labels_and_from_its_teacher(
    space: SearchSpace, images: Images, tmp_path: Path
) -> None:
    supernet = Supernet(space)
    encoding = space.sample(np.random.default_rng(0), 1)[0].tolist()
    batch = images.batch(0, 8, 0)
    logits = torch.randn(8, 10)
    found = {}
    for share in (0.0, 0.5, 1.0):
        network = supernet.extract(space.slots(encoding)).train()
        teaching = Teaching(LiveTeacher(lambda _: logits), share)
        lessons = AloneBatches(PLAN, teaching)
        [(_, found[share])], _ = lessons(network, images, 0, {})
    network = supernet.extract(space.slots(encoding)).train()
    answers = network(batch[0])
    losses = losses_of(images.task)
    labels = losses.label_loss(answers, batch[1], smoothing=PLAN.label_smoothing).item()
    assert found[0.0] == pytest.approx(labels, rel=1e-5)
    assert found[1.0] == pytest.approx(losses.distillation_loss(answers, logits).item(), rel=1e-5)
    assert found[0.5] == pytest.approx((found[0.0] + found[1.0]) / 2, rel=1e-5)


@pytest.mark.usefixtures("every_step_is_saved")
def test_a_network_alone_continues_to_the_very_same_weights(
    space: SearchSpace, images: Images, tmp_path: Path
) -> None:
    encoding = space.sample(np.random.default_rng(0), 1)[0].tolist()
    ends = []
    for kills in ((), (1, 4)):
        folder = tmp_path / str(len(kills))
        folder.mkdir()
        for stop in (*kills, None):
            network = Supernet(space).extract(space.slots(encoding))
            on_step = kill_after(stop) if stop else lambda numbers: None
            with pytest.raises(KilledError) if stop else nullcontext():
                train(
                    network, images, PLAN, AloneBatches(PLAN), directory=folder, on_step=on_step
                )  # fmt: skip
        ends.append(network)
    assert_equal(*ends)


def test_the_weight_of_a_lesson_is_a_factor_of_its_gradient(
    space: SearchSpace, images: Images
) -> None:
    encoding = tuple(space.sample(np.random.default_rng(0), 1)[0].tolist())
    gradients = []
    for weight in (1.0, 0.25):
        supernet = Supernet(space).train()
        SupernetBatches(PLAN, Plain(encoding, weight=weight))(supernet, images, 0, {})
        gradients.append(supernet.get_parameter("slots.stem.operators.stem.full.layer.conv.weight"))
    assert gradients[0].grad.abs().max() > 0
    torch.testing.assert_close(gradients[1].grad, 0.25 * gradients[0].grad)


def test_training_lowers_the_loss(space: SearchSpace, images: Images, tmp_path: Path) -> None:
    seen: list[float] = []
    trained(
        space, replace(images, crop_padding=0), tmp_path,
        plan=TrainPlan(steps=30, batch_size=16),
        on_step=lambda numbers: seen.append(numbers["loss_largest"]),
    )  # fmt: skip
    assert min(seen[-5:]) < 0.8 * seen[0]


def test_without_forgetting_the_average_is_the_last_weights(
    space: SearchSpace, images: Images, tmp_path: Path
) -> None:
    found = trained(space, images, tmp_path, plan=replace(PLAN, ema_decay=0.0))
    current = Supernet(space)
    state = training.fresh_state(current, PLAN)
    state.load(tmp_path / CHECKPOINT_FILE)
    assert_equal(found, current)


def test_the_average_lags_behind_the_weights(
    space: SearchSpace, images: Images, tmp_path: Path
) -> None:
    found = trained(space, images, tmp_path)
    current = Supernet(space)
    training.fresh_state(current, PLAN).load(tmp_path / CHECKPOINT_FILE)
    assert not torch.equal(
        found.slots["stem"].operators["stem"].full.layer.conv.weight,
        current.slots["stem"].operators["stem"].full.layer.conv.weight,
    )


def test_the_rate_rises_to_its_peak_once_and_falls_to_nothing() -> None:
    plan = TrainPlan(steps=100, learning_rate=0.01)
    rates = [learning_rate(step, plan) for step in range(plan.steps)]
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(0.01)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert 0 < rates[-1] < 1e-5


def test_only_matrices_and_kernels_decay(space: SearchSpace) -> None:
    supernet = Supernet(space)
    optimizers = training.fresh_state(supernet, PLAN).optimizers
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    assert {group["weight_decay"] for group in groups} == {PLAN.weight_decay, 0.0}
    for group in groups:
        assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])
    assert sum(len(group["params"]) for group in groups) == len(list(supernet.parameters()))


def test_channels_last_trains_the_same_function(
    space: SearchSpace, images: Images, tmp_path: Path
) -> None:
    losses: dict[bool, list[float]] = {}
    for channels_last in (False, True):
        folder = tmp_path / str(channels_last)
        folder.mkdir()
        seen = losses.setdefault(channels_last, [])
        trained(
            space, images, folder, plan=replace(PLAN, steps=3, channels_last=channels_last),
            on_step=lambda numbers, seen=seen: seen.append(numbers["loss"]),
        )  # fmt: skip
    assert losses[True] == pytest.approx(losses[False], rel=1e-3)


def test_each_epoch_shows_every_image_once(images: Images) -> None:
    counted = replace(images, labels_N=torch.arange(64))
    for epoch in (0, 1):
        steps = range(4 * epoch, 4 * epoch + 4)
        seen = torch.cat([counted.batch(step, 16, 0)[1] for step in steps])
        assert seen.sort().values.tolist() == list(range(64))
    assert not torch.equal(counted.batch(0, 64, 0)[1], counted.batch(1, 64, 0)[1])


def test_a_batch_is_a_pure_function_of_step_and_seed(images: Images) -> None:
    first, again = images.batch(3, 8, 0), images.batch(3, 8, 0)
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], images.batch(4, 8, 0)[0])
    assert not torch.equal(first[0], images.batch(3, 8, 1)[0])


def coloured(**options: object) -> Images:
    """Two channels of noise, without normalisation."""
    return Images(
        images_NCHW=(200 * noise(6, 2, 9, 9).abs()).clamp(1, 255).to(torch.uint8),
        labels_N=torch.arange(6),
        mean=(0.0, 0.0),
        std=(1.0, 1.0),
        **{"can_flip": False, "crop_padding": 0, **options},
    )


@pytest.mark.parametrize("crop_padding", [2, 3, 4])
def test_crops_are_shifts_of_the_mirrored_image_by_at_most_two_pixels(crop_padding: int) -> None:
    images = coloured(crop_padding=crop_padding)
    padded = torch.nn.functional.pad(images.images_NCHW, (2, 2, 2, 2), mode="reflect").float() / 255
    found: set[tuple[int, int]] = set()
    for step in range(12):
        crops, labels = images.batch(step, 6, 0, is_shift_halved=crop_padding > 2)
        for crop, label in zip(crops, labels, strict=True):
            shifts = [
                (y, x)
                for y in range(5)
                for x in range(5)
                if torch.equal(padded[label, :, y : y + 9, x : x + 9], crop)
            ]
            assert len(shifts) == 1
            found.update(shifts)
    assert {y for y, _ in found} == {x for _, x in found} == set(range(5))


class Asked(Images):
    """Remembers how its batches are asked for."""

    def batch(self, *arguments: Any, **options: Any) -> tuple[Tensor, Any]:
        halved.append(options["is_shift_halved"])
        return super().batch(*arguments, **options)


halved: list[bool] = []


@pytest.mark.parametrize(
    ("steps", "alone", "shared"), [(1, True, True), (160, False, True), (640, False, False)]
)
def test_images_that_are_seen_often_are_shifted_as_far_as_they_may_be(
    space: SearchSpace, images: Images, steps: int, alone: bool, shared: bool
) -> None:
    """64 images in batches of 8: 160 steps are 20 passes over them."""
    asked = Asked(**vars(images))
    halved.clear()
    plan = replace(PLAN, steps=steps, shards=1)
    encoding = (0,) * len(space.choices)
    AloneBatches(plan)(PlainNetwork(space.slots(encoding)), asked, 0, {})
    SupernetBatches(plan, Plain(encoding))(Supernet(space), asked, 0, {})
    assert halved == [alone, shared]


@pytest.mark.parametrize("can_flip", [False, True])
def test_images_are_mirrored_only_where_that_keeps_the_label(can_flip: bool) -> None:
    images = coloured(can_flip=can_flip)
    original = images.images_NCHW.float() / 255
    flips = []
    for step in range(10):
        batch, labels = images.batch(step, 6, 0)
        for image, label in zip(batch, labels, strict=True):
            is_flipped = torch.equal(image, original[label].flip(-1))
            assert is_flipped or torch.equal(image, original[label])
            flips.append(is_flipped)
    # 60 fair coins: 30 heads, standard deviation 3.9; the seed is fixed.
    assert (15 < sum(flips) < 45) if can_flip else not any(flips)


def test_normalised_images_have_the_stated_mean_and_deviation() -> None:
    images = replace(coloured(), mean=(0.5, 0.25), std=(0.5, 2.0))
    x = images.normalised(
        torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 2, 1, 1)
    )
    assert x[:, 0].flatten().tolist() == [-1.0, 1.0]
    assert x[:, 1].flatten().tolist() == [-0.125, 0.375]


def test_a_rate_may_fall_in_steps() -> None:
    plan = TrainPlan(steps=100, learning_rate=1.0, warmup=0.1, schedule="steps")
    rates = {step: learning_rate(step, plan) for step in (0, 9, 10, 49, 50, 74, 75, 99)}
    expected = {0: 0.1, 9: 1.0, 10: 1.0, 49: 1.0, 50: 0.1, 74: 0.1, 75: 0.01, 99: 0.01}
    assert rates == pytest.approx(expected)
