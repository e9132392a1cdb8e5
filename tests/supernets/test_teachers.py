"""Teachers that answer now, several as one, and answers that were stored."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import pytest
import torch
from torch import Tensor, nn

from search_spaces import UserError
from supernets.augmentations import MixedLabels
from supernets.images import Drawing, Images
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan
from supernets.score_maps import score_maps
from supernets.steps import AloneBatches, drawing_of
from supernets.supernet import Supernet
from supernets.teachers import (
    AbstractTeacher,
    Asked,
    Discriminator,
    EnsembleTeacher,
    LiveTeacher,
    Teaching,
)
from supernets.teachers.regions import RegionTeacher, maps_of, shares_shown
from supernets.teachers.stored import StoredTeacher, answers_to, group_of
from supernets.train import Progress, train
from tests.strategies import noise, slots_of

PLAN = TrainPlan(steps=100, batch_size=64, shards=1)
NUM_IMAGES, VARIANTS = 200, 2
FP16 = {"atol": 1e-2, "rtol": 2e-3}


@final
@dataclass
class Counting(AbstractTeacher):
    """How often it was asked, and what it knows."""

    network: nn.Module
    calls: int = 0

    def __call__(self, asked: Asked) -> Tensor:
        self.calls += 1
        return self.network(asked.images_BCHW)


@pytest.fixture(scope="module")
def images(digit_images: Images) -> Images:
    """Some of the digits, which may be flipped."""
    pixels = digit_images.images_NCHW
    assert isinstance(pixels, Tensor)
    return replace(
        digit_images,
        images_NCHW=pixels[:NUM_IMAGES],
        labels_N=digit_images.labels_N[:NUM_IMAGES],
        can_flip=True,
        crop_padding=2,
    )


@pytest.fixture(scope="module")
def network(random_supernet: Supernet) -> PlainNetwork:
    """With weights that tell images apart. Do not change it."""
    return random_supernet.extract(slots_of(random_supernet.space, operator="mbconv")).eval()


def stored(
    teacher: AbstractTeacher, images: Images, plan: TrainPlan = PLAN, *, top: int = 0
) -> StoredTeacher:
    """Answers to the variants of all images."""
    drawing = replace(drawing_of(images, plan), batch_size=group_of(plan.batch_size))
    variants = [
        answers_to(teacher, images, plan, drawing, variant=variant, top=top)
        for variant in range(VARIANTS)
    ]
    return StoredTeacher.of(drawing, 10, variants)


def asked_of(teacher: AbstractTeacher, images: Images, drawing: Drawing, turn: int) -> Asked:
    return Asked(teacher.batch(images, drawing, turn)[0], images, drawing, turn)


@pytest.mark.parametrize("augment", ["", "randaugment", "cutmix:share=0.5"])
def test_what_was_stored_is_said_of_the_very_same_images(
    images: Images, network: PlainNetwork, augment: str
) -> None:
    plan = replace(PLAN, augment=augment)
    teacher = stored(LiveTeacher(network), images, plan)
    drawing = drawing_of(images, plan)
    for turn in range(5):
        images_BCHW, labels = teacher.batch(images, drawing, turn)
        parts = [teacher.drawing.batch(images, group) for group in teacher.groups(drawing, turn)]
        assert torch.equal(images_BCHW, torch.cat([part for part, _ in parts]))
        assert len(images_BCHW) == plan.batch_size
        assert isinstance(labels, MixedLabels | Tensor)
        with torch.no_grad():
            expected = network(images_BCHW)
        found = teacher(Asked(images_BCHW, images, drawing, turn))
        torch.testing.assert_close(found, expected, **FP16)


def test_mixed_labels_of_some_groups_are_joined_with_those_of_others(
    images: Images, network: PlainNetwork
) -> None:
    plan = replace(PLAN, augment="cutmix:share=0.5", batch_size=192)
    teacher, drawing = stored(LiveTeacher(network), images, plan), drawing_of(images, plan)
    _, labels = teacher.batch(images, drawing, 0)
    assert isinstance(labels, MixedLabels)
    assert labels.share_B.any()
    assert not labels.share_B.all()
    assert all(len(tensor) == 192 for tensor in labels)


def test_a_training_by_stored_answers_never_asks(images: Images, network: PlainNetwork) -> None:
    teacher = Counting(network)
    found = stored(teacher, images)
    asked = teacher.calls
    assert asked == VARIANTS * (NUM_IMAGES // 32)
    student = PlainNetwork(network.arch).train()
    batches = AloneBatches(PLAN, Teaching(found, 1.0))
    assert batches.networks == ()
    for turn in range(4):
        batches(student, images, turn, {})
    assert teacher.calls == asked
    assert any(parameter.grad is not None for parameter in student.parameters())


def test_every_epoch_shows_the_groups_of_one_variant_each_once(
    images: Images, network: PlainNetwork
) -> None:
    teacher, per_epoch = stored(LiveTeacher(network), images), NUM_IMAGES // 32
    drawing = replace(drawing_of(images, PLAN), batch_size=32)
    epochs = [
        [teacher.groups(drawing, turn)[0] for turn in range(n * per_epoch, (n + 1) * per_epoch)]
        for n in range(2 * VARIANTS)
    ]
    for number, epoch in enumerate(epochs):
        first = number % VARIANTS * per_epoch
        assert sorted(epoch) == list(range(first, first + per_epoch))
    assert epochs[0] != epochs[VARIANTS], "in another order"


def test_of_the_largest_probabilities_the_rest_is_spread(
    images: Images, network: PlainNetwork
) -> None:
    whole, few = (stored(LiveTeacher(network), images, top=top) for top in (0, 3))
    drawing = drawing_of(images, PLAN)
    expected_BK, found_BK = (
        teacher(asked_of(teacher, images, drawing, 0)).softmax(1) for teacher in (whole, few)
    )
    torch.testing.assert_close(found_BK.sum(1), torch.ones(len(found_BK)))
    top_B3 = expected_BK.topk(3).indices
    torch.testing.assert_close(found_BK.gather(1, top_B3), expected_BK.gather(1, top_B3), **FP16)
    others = found_BK.scatter(1, top_B3, torch.nan)
    spread_B = others.nan_to_num(0).amax(1) - others.nan_to_num(1).amin(1)
    assert float(spread_B.abs().max()) < 1e-5
    assert few.values_GSk.nbytes < whole.values_GSk.nbytes


@pytest.mark.parametrize(("batch", "group"), [(32, 32), (256, 32), (24, 24), (48, 48)])
def test_batches_are_of_whole_groups(batch: int, group: int) -> None:
    assert group_of(batch) == group


def test_several_teachers_teach_the_mean_of_their_softmaxes(images: Images) -> None:
    answers = [noise(8, 10, seed=seed) for seed in range(3)]
    ensemble = EnsembleTeacher(
        tuple(LiveTeacher(lambda _, answer=answer: answer) for answer in answers)
    )
    drawing = drawing_of(images, replace(PLAN, batch_size=8))
    found = ensemble(asked_of(ensemble, images, drawing, 0))
    mean = torch.stack([answer.softmax(1) for answer in answers]).mean(0)
    torch.testing.assert_close(found.softmax(1), mean)
    torch.testing.assert_close(found.exp(), mean, msg="they are logarithms of it")


def test_without_a_share_labels_do_not_matter(images: Images, network: PlainNetwork) -> None:
    others = replace(images, labels_N=torch.zeros_like(images.labels_N))
    found = []
    for known in (images, others):
        student = PlainNetwork(network.arch).train()
        student.load_state_dict(network.state_dict())
        batches = AloneBatches(PLAN, Teaching(LiveTeacher(network), 1.0))
        found.append(batches(student, known, 0, {})[0])
    assert found[0] == found[1]


def test_the_mean_of_a_score_map_is_what_the_network_says(
    images: Images, network: PlainNetwork
) -> None:
    images_BCHW, _ = drawing_of(images, PLAN).batch(images, 0)
    with torch.no_grad():
        maps_BKhw, expected = score_maps(network, images_BCHW), network(images_BCHW)
    assert maps_BKhw.ndim == 4
    torch.testing.assert_close(maps_BKhw.mean((2, 3)), expected, atol=1e-4, rtol=1e-4)


def test_a_view_of_the_whole_image_has_its_soft_label(
    images: Images, network: PlainNetwork
) -> None:
    still = replace(images, crop_padding=0)
    teacher = RegionTeacher(maps_of(network, still, PLAN))
    drawing = drawing_of(still, PLAN)
    asked = asked_of(teacher, still, drawing, 3)
    places_B = torch.from_numpy(drawing.views(still, 3).places_B)
    assert isinstance(still.images_NCHW, Tensor)
    with torch.no_grad():
        expected = network(still.normalised(still.images_NCHW[places_B]))
    torch.testing.assert_close(teacher(asked), expected, **FP16)


def test_a_view_has_the_scores_of_what_it_shows(images: Images) -> None:
    maps = torch.zeros(NUM_IMAGES, 2, 4, 4)
    maps[:, 0, :, 0], maps[:, 1, 0] = 1.0, 1.0  # the left column and the upper row
    teacher, drawing = RegionTeacher(maps.half()), drawing_of(images, replace(PLAN, steps=10_000))
    asked = asked_of(teacher, images, drawing, 0)
    views, found = drawing.views(images, 0), teacher(asked)
    for row, (up, left) in enumerate(zip(views.rows_B, views.columns_B, strict=True)):
        # 16 pixels, 4 of them per place; what comes in at the border is mirrored
        shown = [sum(abs(pixel + by) < 4 for pixel in range(16)) / 16 for by in (left, up)]
        assert found[row].tolist() == pytest.approx(shown, abs=1e-3)


@pytest.mark.parametrize(("pixels", "places"), [(16, 4), (28, 7), (32, 3), (10, 4), (5, 5)])
def test_of_a_side_that_is_whole_all_places_are_shown_alike(pixels: int, places: int) -> None:
    shares = shares_shown(torch.tensor([0, 2, -2]).numpy(), pixels, places)
    torch.testing.assert_close(shares[0], torch.full((places,), 1 / places))
    torch.testing.assert_close(shares.sum(1), torch.ones(3))


def test_a_network_without_such_a_head_has_no_score_maps() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten())
    with pytest.raises(UserError, match="--set stored=variants"):
        score_maps(network, noise(2, 1, 8, 8))


def test_a_discriminator_learns_to_tell_and_the_student_to_mislead_it() -> None:
    discriminator = Discriminator(num_outputs=10, weight=2.0)
    teacher_BK, state = 3 * noise(64, 10), discriminator.initial_state()
    own_BK = noise(64, 10, seed=1).requires_grad_()
    first, after = discriminator(own_BK, teacher_BK, state)
    assert {name: array.shape for name, array in state.items()} == {
        name: tuple(tensor.shape) for name, tensor in after.items()
    }
    for _ in range(300):
        loss, after = discriminator(own_BK, teacher_BK, state)
        state = {name: tensor.numpy() for name, tensor in after.items()}
    assert float(loss.detach()) > 2 * float(first.detach()), "the student is told from the teacher"
    (slope_BK,) = torch.autograd.grad(loss, own_BK)
    misled, _ = discriminator(own_BK - 10 * slope_BK, teacher_BK, state)
    assert float(misled.detach()) < float(loss.detach())


def test_a_training_with_a_discriminator_continues_to_the_very_same_weights(
    images: Images, network: PlainNetwork, tmp_path: Path
) -> None:
    plan = replace(PLAN, steps=6, batch_size=8, checkpoint_s=0.0)
    teaching = Teaching(LiveTeacher(network), 1.0, discriminator=Discriminator(num_outputs=10))

    class KilledError(Exception):
        pass

    def killed(numbers: Progress) -> None:
        if numbers["step"] == 4:
            raise KilledError

    found = []
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        student = fresh_student(network)
        if name == "killed":
            with pytest.raises(KilledError):
                train(
                    *(student, images, plan, AloneBatches(plan, teaching)),
                    directory=tmp_path / name,
                    on_step=killed,
                )
            student = fresh_student(network)
        kept = train(student, images, plan, AloneBatches(plan, teaching), directory=tmp_path / name)
        found.append((student.state_dict(), kept))
    (whole, kept), (again, kept_again) = found
    assert all(torch.equal(again[name], whole[name]) for name in whole)
    assert kept
    assert all((kept_again[name] == kept[name]).all() for name in kept)


def fresh_student(network: PlainNetwork) -> PlainNetwork:
    torch.manual_seed(0)
    return PlainNetwork(network.arch)
