"""Whether what plug-ins do with networks runs on an accelerator, checked without one.

Every tensor must be where those are that it is combined with, and a step of training must not wait
for the device but where `READ_BY_THE_HOST` says why. `CHECKS` are functions of a plug-in's name, as
elsewhere in `nas/testing`, by the kind of plug-in; `FLOWS` are of parts that are no plug-ins. They
leave traces in torch, so `failures` runs them in a process of its own:

    from nas.testing.placement import failures
    from search_spaces import load_plugins

    load_plugins(["stride.py"])
    print(failures([("operator", "stride")]))

That takes some ten seconds. Nothing has values there: what is computed is not checked.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from compress.apply import compress
from compress.aware import aware
from compress.bring.bring import bring, give_weights, space_of
from compress.calibration._base import CALIBRATIONS
from compress.sparse import kept_sparse
from nas.data import load_data
from nas.scoring.scorer import Scorer
from nas.testing._drawn import draw_family, seeded
from nas.testing._expect import require
from nas.testing._spaces import mini_space, random_supernet, slots_of
from nas.testing._tensors import noise
from nas.testing.channel_parts import MIXER
from nas.testing.fake_device import DEVICE, FakeDevice, fake_device
from nas.testing.methods import PLAN, example, small_images, small_space
from nas.testing.trunk import signatures_of
from search_spaces import (
    DEFAULT_CALIBRATION,
    FORMATS,
    PATTERNS,
    TASKS,
    Signature,
    Slot,
    loaded_plugins,
    task_of,
)
from search_spaces.channel_attentions import CHANNEL_ATTENTIONS
from search_spaces.channel_parts import CHANNEL_PARTS
from search_spaces.norms import NORMS
from search_spaces.operators import OPERATORS
from search_spaces.trunk._base import TRUNK
from supernets._search_path import search_path
from supernets.criteria._base import CRITERIA
from supernets.device import at_work, moved
from supernets.gradients import label_gradients
from supernets.images import Images
from supernets.likenesses import Affinity, Granularity
from supernets.methods._base import METHODS, AbstractMethod
from supernets.methods.sandwich import Sandwich
from supernets.optimizers import OPTIMIZERS
from supernets.plan import BALANCED, TrainPlan
from supernets.steps import AloneBatches, SupernetBatches
from supernets.supernet import ElasticSlot, Supernet, largest_of
from supernets.tasks._base import losses_of
from supernets.teachers import LiveTeacher, Teaching
from supernets.team import AbstractBatches, Team
from supernets.train import advance, fresh_state, lay_out, turns_of

DRAWS, SIDE, CHANNELS = 4, 16, 1
BLOCKS = ("window", "mbconv")
"""Of networks that are compressed: linear layers and attention, convolutions."""

PLACED = replace(PLAN, shards=1, device=DEVICE, class_weights=BALANCED)
SHAPES = {
    "classes": ((6, 5), (6,), torch.int64),
    "images": ((6, 1, 4, 4), (6, 1, 4, 4), torch.uint8),
    "masks": ((6, 5, 4, 4), (6, 1, 4, 4), torch.uint8),
}
"""Of outputs and labels, and type of the latter, by what a task asks for."""

FIRST, LAST = 0, PLAN.steps - 1
"""Steps before and after channels are ranked."""


def check_an_operator(name: str) -> None:
    """Members of its shared weights are trained, and asked."""
    _train_slots(seeded(name, draw_family, DRAWS))


def check_a_channel_part(name: str) -> None:
    """It is trained behind a mixer."""
    _train_slots(seeded(MIXER, partial(draw_family, channel_part=name), DRAWS))


def check_a_channel_attention(name: str) -> None:
    """It is trained in a block."""
    _train_slots(seeded("mbconv", partial(draw_family, channel_attention=name), DRAWS))


def check_a_norm(name: str) -> None:
    """It is trained behind convolutions."""
    _train_slots(seeded("mbconv", partial(draw_family, norm=name), DRAWS))


def check_a_stem_downsampling_or_head(name: str) -> None:
    """It is trained at every size that it can have."""
    _train_slots((signature, signature) for signature in signatures_of(name))


def check_a_method(name: str) -> None:
    """It trains the first and the last batches, from and to what it keeps."""
    _train_members(example(name), PLACED, steps=(FIRST, LAST))


def check_an_optimizer(name: str) -> None:
    """It steps."""
    _train_members(example("sandwich"), replace(PLACED, optimizer=name))


def check_a_criterion(name: str) -> None:
    """It ranks a supernet while that is trained."""
    method = Sandwich(space=small_space())
    supernet, images = Supernet(method.space), _images()
    batches = SupernetBatches(PLACED, method)
    with fake_device(), at_work(DEVICE, supernet):
        lay_out(supernet, PLACED)
        gradients = label_gradients(supernet, images, batches, count=2)
        supernet.rank(name, gradients=gradients)


def check_a_task(name: str) -> None:
    """Its losses are of outputs, labels and weights of images on the device."""
    with fake_device() as device, device.training():
        shape, of_labels, kind = SHAPES[task_of(name).asks]
        outputs_BK, teacher_BK = (torch.zeros(shape, device=DEVICE) for _ in range(2))
        labels_B = torch.zeros(of_labels, dtype=kind, device=DEVICE)
        outputs_BK.requires_grad_()
        losses = losses_of(name)
        for weights_B in (None, torch.ones(6, device=DEVICE)):
            losses.label_loss(outputs_BK, labels_B, smoothing=0.1, weights_B=weights_B).backward()
        losses.distillation_loss(outputs_BK, teacher_BK).backward()


def check_a_format(name: str) -> None:
    """Networks are compressed to it, asked, and trained with its grids."""
    supernet = _supernet(name)
    for operator in BLOCKS:
        slots = slots_of(supernet.space, operator=operator, precision=name)
        _compress(supernet, slots)
    network = supernet.extract(slots)
    _train_alone(aware(network, slots, _calibration()), AloneBatches(PLACED))


def check_a_calibration(name: str) -> None:
    """Networks are calibrated by it."""
    supernet = _supernet("int8")
    _compress(supernet, slots_of(supernet.space, operator="mbconv"), calibrated_by=name)


def check_a_pattern(name: str) -> None:
    """A network that keeps to it is trained, and learns from a teacher."""
    space = mini_space(BLOCKS, resolution=SIDE).with_policy(("fp32",), (0.0,), patterns=(name,))
    supernet = random_supernet(space)
    slots = slots_of(space, operator="window", pattern=name)
    network, teacher = supernet.extract(slots), supernet.extract(slots)
    compared = (Affinity(teacher), Granularity(guide=teacher, image=1, region=1, pixel=1))
    batches = AloneBatches(PLACED, Teaching(LiveTeacher(teacher), likenesses=compared))
    _train_alone(kept_sparse(lambda module: module, slots)(network), batches)


def check_scores(_: str) -> None:
    """Candidates are cut out, pruned, compressed and judged."""
    supernet, data = _supernet("int8"), load_data("digits", resolution=SIDE)
    scorer = Scorer(supernet, data, 32, device=DEVICE)
    with fake_device():
        score = scorer(supernet.space.candidate([n - 1 for n in supernet.space.cardinalities]))
    require(not score.failure, str(score.failure))


def check_networks_that_are_brought(_: str) -> None:
    """Members of a traced network are trained, pruned ones among them."""
    network = nn.Sequential(
        *(nn.Conv2d(CHANNELS, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)),
    ).eval()
    brought = bring("network", network, channels=CHANNELS, resolution=SIDE)
    space = space_of(brought).with_policy(("fp32",), (0.0, 0.5))
    supernet = Supernet(space)
    give_weights(supernet, brought)
    _train_members(Sandwich(space=space), PLACED, supernet)


CHECKED = (
    (OPERATORS, check_an_operator),
    (CHANNEL_PARTS, check_a_channel_part),
    (CHANNEL_ATTENTIONS, check_a_channel_attention),
    (NORMS, check_a_norm),
    (TRUNK, check_a_stem_downsampling_or_head),
    (METHODS, check_a_method),
    (OPTIMIZERS, check_an_optimizer),
    (CRITERIA, check_a_criterion),
    (TASKS, check_a_task),
    (FORMATS, check_a_format),
    (CALIBRATIONS, check_a_calibration),
    (PATTERNS, check_a_pattern),
)

CHECKS: Mapping[str, Callable[[str], None]] = {registry.kind: check for registry, check in CHECKED}
"""By the kind of plug-in."""

FLOWS: Mapping[str, Callable[[str], None]] = {
    "scores": check_scores,
    "networks that are brought": check_networks_that_are_brought,
}


def everything() -> list[tuple[str, str]]:
    """Kind and name of all that can be checked; flows are a kind of their own."""
    found = [(registry.kind, name) for registry, _ in CHECKED for name in registry.names()]
    return found + [("flow", name) for name in FLOWS]


def failures(wanted: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What does not run on an accelerator, and why: by "kind 'name'", in a process of its own.

    Args:
        wanted: Kinds and names; plug-ins that are loaded here are loaded there.
    """
    done = subprocess.run(
        [sys.executable, "-m", "nas.testing._placement_worker"],
        env={**os.environ, **search_path()},
        input=json.dumps({"wanted": list(wanted), "plugins": loaded_plugins()}),
        capture_output=True,
        text=True,
    )
    require(done.returncode == 0, f"a fresh process fails: {done.stderr.strip()}")
    found: dict[str, str] = json.loads(done.stdout)
    return found


def failure(kind: str, name: str) -> str:
    """Why one does not run, in this process, which has traces of it afterwards; "" if it does."""
    check = FLOWS[name] if kind == "flow" else CHECKS[kind]
    try:
        check(name)
    except Exception as error:  # of any layer of torch
        first, *_ = str(error).strip().splitlines() or [""]
        return f"{type(error).__name__}: {first}"
    return ""


def _train_slots(families: Iterable[tuple[Signature, Signature]]) -> None:
    """Forward and backward, then forward alone.

    Args:
        families: The largest signature of shared weights, and one that is trained.
    """
    slots = [(ElasticSlot(largest_of([largest])), small) for largest, small in families]
    for slot, small in slots:
        with fake_device() as device, at_work(DEVICE, slot):
            shape = small.shape
            x_BCHW = torch.zeros(4, shape.in_width, *shape.in_size, device=DEVICE)
            x_BCHW.requires_grad_()  # pooling has no weights
            with device.training():
                slot.train()(x_BCHW, small).sum().backward()
            with torch.no_grad():
                slot.eval()(x_BCHW, small)


def _train_members(
    method: AbstractMethod,
    plan: TrainPlan,
    supernet: Supernet | None = None,
    *,
    steps: Sequence[int] = (LAST,),
) -> None:
    supernet, images = supernet or Supernet(method.space), _images()
    with fake_device() as device, at_work(DEVICE, supernet):
        batches = SupernetBatches(plan, method)
        for _ in _steps(device, supernet, images, batches, plan, steps=steps):
            supernet.rank()


def _train_alone(module: nn.Module, batches: AloneBatches) -> None:
    images = _images()
    with fake_device() as device, at_work(DEVICE, module, *batches.networks):
        list(_steps(device, module, images, batches, batches.plan, steps=(LAST,)))


def _steps(
    device: FakeDevice,
    network: nn.Module,
    images: Images,
    batches: AbstractBatches,
    plan: TrainPlan,
    *,
    steps: Sequence[int],
) -> Iterator[None]:
    """Steps of a training as `supernets.train` takes them, whose reads are watched."""
    lay_out(network, plan)
    batches = batches.averaging(network)
    state = fresh_state(network, plan, batches.initial_state(), batches.average)
    with Team(network, images, batches) as team:
        for step in steps:
            with device.training():
                losses, kept = team.add_gradients(turns_of(step, plan), state.kept)
                advance(state, plan, step, losses)
            state.keep(kept)
            yield


def _images() -> Images:
    images = small_images(is_augmented=False)
    assert len(images.balancing_K)  # worked out on the CPU, from values
    return images


def _supernet(precision: str) -> Supernet:
    space = mini_space(BLOCKS, resolution=SIDE).with_policy((precision,), (0.0, 0.5))
    return random_supernet(space)


def _calibration() -> list[Tensor]:
    return [noise(8, CHANNELS, SIDE, SIDE, seed=seed) for seed in range(2)]


def _compress(
    supernet: Supernet, slots: Sequence[Slot], calibrated_by: str = DEFAULT_CALIBRATION
) -> None:
    network, calibration = supernet.extract(slots), _calibration()
    with fake_device(), at_work(DEVICE, network):
        batches = [moved(images, DEVICE) for images in calibration]
        found = compress(network, slots, batches, calibrated_by=calibrated_by)
        with torch.no_grad():
            found.network(batches[0])
