"""What every task keeps to: its losses teach what its judge measures, and its metrics add up.

Networks are tables of free outputs here, which gradient descent fits. Shapes: N images, K outputs;
an output may be an image, or a map of the pixels of one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nas.testing._expect import require
from nas.testing._tensors import noise
from search_spaces import (
    IGNORED,
    AbstractClassTask,
    AbstractImageTask,
    AbstractMaskTask,
    AbstractTask,
    asked_task,
    task_of,
)
from search_spaces.tasks._images import WHITE
from supernets.tasks._base import LOSSES, AbstractLosses, losses_of

CLASSES, IMAGES = 5, 40
STEPS = 60
RATE, RATE_OF_IMAGES = 0.5, 0.05
"""Of gradient descent, at its beginning."""

SIDES = 8
"""Of images that are answers."""

SURE = 8.0
"""Of a teacher about every pixel, in logits."""

SMOOTHING = 0.1
FREQUENCIES = (16, 9, 7, 5, 3)
"""Images of each class where some are rare."""

NEAR = 0.05
"""How far gradient descent may stay from what is best."""


def check_it_is_declared_and_has_losses(name: str) -> None:
    """It has losses of its name, and at least one output where labels are classes."""
    require(name in LOSSES, f"no losses are registered as '{name}'")
    require(isinstance(task_of(name), AbstractTask), "it is no AbstractTask")
    require(isinstance(losses_of(name), AbstractLosses), "its losses are no AbstractLosses")
    task = task_of(name)
    has_none = isinstance(task, AbstractClassTask) and task.num_outputs(CLASSES) < 1
    require(not has_none, "it has no output")


def check_metrics_have_names_and_directions(name: str) -> None:
    """Loss and metric have names of their own; a loss is minimised, a share maximised."""
    task = task_of(name)
    require(task.loss.name != task.shown.name, f"both metrics are called '{task.loss.name}'")
    for metric in (task.loss, task.shown):
        require(metric.name.isidentifier(), f"'{metric.name}' is no name for a record")
        require(metric.title, f"metric '{metric.name}' has no title")
    require(task.loss.goal == "minimize", "its loss is to be maximised")
    require(not task.loss.is_share, "its loss is in percent")
    is_maximised = task.shown.goal == "maximize"
    require(is_maximised or not task.shown.is_share, "a share is minimised")


def check_every_image_is_judged_by_itself(name: str) -> None:
    """Images have finite metrics, the same ones alone, and a loss above 0; a share is 0 or 1."""
    task, drawn = task_of(name), _drawn(name)
    outputs_NK, labels_N = drawn.outputs_NK, drawn.labels_N
    losses_N, shown_N = task.judge(outputs_NK, labels_N)
    for metric, values_N in ((task.loss, losses_N), (task.shown, shown_N)):
        what = f"{metric.name} is {values_N.dtype} of shape {values_N.shape}"
        require(values_N.shape == (IMAGES,) and values_N.dtype == np.float64, what)
        require(np.isfinite(values_N).all(), f"{metric.name} is not finite")
    for i in range(IMAGES):
        alone = task.judge(outputs_NK[i : i + 1], labels_N[i : i + 1])
        together = losses_N[i], shown_N[i]
        require(np.allclose(np.ravel(alone), together), f"alone {alone}, with others {together}")
    require((losses_N > 0).all(), f"a loss is {losses_N.min()}")
    if task.shown.is_share:
        require(set(shown_N.tolist()) <= {0.0, 1.0}, "an image is neither right nor wrong")
    answers_N = task.answers(outputs_NK)
    require(answers_N.shape == (IMAGES,), f"answers have shape {answers_N.shape}")
    require(np.issubdtype(answers_N.dtype, np.integer), f"answers are {answers_N.dtype}")
    confidences_N = task.confidences(outputs_NK)
    if confidences_N is not None:
        require(confidences_N.shape == (IMAGES,), f"confidences have shape {confidences_N.shape}")
        require(
            bool(((confidences_N >= 0) & (confidences_N <= 1)).all()), "a confidence is no share"
        )


def check_huge_outputs_are_judged(name: str) -> None:
    """Outputs of 10,000 have a finite loss."""
    drawn = _drawn(name)
    losses_N, _ = task_of(name).judge(np.float32(1e4) * drawn.outputs_NK, drawn.labels_N)
    require(np.isfinite(losses_N).all(), "the loss of an image is not finite")


def check_its_loss_teaches_what_is_judged(name: str) -> None:
    """Gradient descent on its loss leads to better metrics than must be beaten, smoothed or not."""
    task, drawn = task_of(name), _drawn(name)
    labels = torch.from_numpy(drawn.labels_N)
    for smoothing in (0.0, SMOOTHING):

        def loss(outputs: Tensor, smoothing: float = smoothing) -> Tensor:
            return losses_of(name).label_loss(outputs, labels, smoothing=smoothing)

        fitted_NK = _fitted(torch.from_numpy(drawn.outputs_NK), loss, drawn.rate)
        found = task.metrics(fitted_NK, drawn.labels_N)
        for metric, guessed in zip((task.loss, task.shown), drawn.untaught, strict=True):
            value = found[metric.name]
            is_better = metric.signed(value) < metric.signed(guessed)
            require(
                is_better,
                f"{metric.name} is {value:.4g} after training, {task.untaught} has {guessed:.4g}",
            )


def check_guessing_is_the_best_single_answer(name: str) -> None:
    """Its metrics are those that gradient descent finds for the same outputs for all images.

    Where labels are classes.
    """
    task, labels_N = task_of(name), np.repeat(np.arange(CLASSES), FREQUENCIES)
    if not isinstance(task, AbstractClassTask):
        return
    labels, losses = torch.from_numpy(labels_N), losses_of(name)
    outputs = torch.zeros(1, task.num_outputs(CLASSES))

    def loss(outputs: Tensor) -> Tensor:
        return losses.label_loss(outputs.expand(len(labels), -1), labels, smoothing=0.0)

    fitted_NK = np.repeat(_fitted(outputs, loss, RATE), len(labels_N), axis=0)
    found = task.metrics(fitted_NK, labels_N)
    for metric, guessed in zip(
        (task.loss, task.shown), task.guessing(list(FREQUENCIES)), strict=True
    ):
        value = found[metric.name]
        is_near = abs(value - guessed) <= NEAR * guessed
        require(is_near, f"{metric.name} of guessing is {guessed:.4g}, {value:.4g} was found")


def check_weights_are_factors_of_losses(name: str) -> None:
    """Images of weight 2 beside as many of weight 0 have the loss of the former alone."""
    drawn = _drawn(name)
    outputs_NK, labels_N = map(torch.from_numpy, (drawn.outputs_NK, drawn.labels_N))
    weights_N = torch.tensor([2.0, 0.0]).repeat(IMAGES // 2)
    losses = losses_of(name)
    found = losses.label_loss(outputs_NK, labels_N, smoothing=SMOOTHING, weights_B=weights_N)
    alone = losses.label_loss(outputs_NK[::2], labels_N[::2], smoothing=SMOOTHING)
    same = torch.allclose(found, alone, rtol=1e-4)
    require(same, f"the weighted loss is {found:.5g}, that of the images {alone:.5g}")


def check_a_student_becomes_like_its_teacher(name: str) -> None:
    """Gradient descent on its distillation loss leads to the teacher's answers."""
    task, drawn, losses = task_of(name), _drawn(name), losses_of(name)
    teacher = torch.from_numpy(drawn.teacher_NK)
    outputs = torch.from_numpy(drawn.outputs_NK)
    student = _fitted(outputs, lambda x: losses.distillation_loss(x, teacher), drawn.rate)
    same = (task.answers(student) == task.answers(drawn.teacher_NK)).mean()
    require(same >= 0.9, f"{same:.0%} of the answers are the teacher's")


def check_losses_of_half_precision_are_fp32(name: str) -> None:
    """Losses of bf16 outputs are fp32 scalars."""
    drawn = _drawn(name)
    outputs = torch.from_numpy(drawn.outputs_NK).bfloat16()
    own = losses_of(name)
    for loss in (
        own.label_loss(outputs, torch.from_numpy(drawn.labels_N), smoothing=SMOOTHING),
        own.distillation_loss(outputs, outputs),
    ):
        require(loss.dtype == torch.float32 and loss.ndim == 0, f"it is {loss.dtype}, {loss.shape}")


def check_masks_are_judged_pixel_by_pixel(name: str) -> None:
    """Where labels are masks: answers that are the mask have no loss to speak of and a metric of 1,
    whatever is answered at pixels that are ignored, and nothing is learnt of these.
    """
    task = task_of(name)
    if not isinstance(task, AbstractMaskTask):
        return
    labels = _drawn(name).labels_N.copy()
    outputs = 10 * SURE * _one_hot(labels)
    labels[:, :, :2] = IGNORED
    outputs[:, :, :2] = outputs[::-1, :, :2]
    losses_N, shown_N = task.judge(outputs, labels)
    require(losses_N.max() < 1e-6, f"the loss of a mask itself is {losses_N.max():.3g}")
    what = f"{task.shown.name} of a mask itself is {shown_N.min():.3g}"
    require(bool((shown_N == 1).all()), what)
    logits = torch.from_numpy(outputs).requires_grad_()
    losses_of(name).label_loss(logits, torch.from_numpy(labels), smoothing=SMOOTHING).backward()
    assert logits.grad is not None
    taught = logits.grad.abs().amax((0, 1, 3))
    require(bool((taught[:2] == 0).all()), "pixels that are ignored have gradients")
    require(bool((taught[2:] > 0).all()), "pixels of classes have no gradients")
    wanted = (IMAGES, CLASSES, SIDES, SIDES)
    found = task.output_shape(labels, task.num_outputs(CLASSES))
    require(found == wanted, f"outputs have shape {found}, not {wanted}")
    said = task.said_of(task.tally(outputs, labels))["pixels"]
    require(said["fraction"] == said["mean_iou"] == 1, f"of all pixels together it says {said}")


def check_what_is_seen_of_images_can_be_answered(name: str) -> None:
    """Where labels are images: both are images of the declared sizes, and images of one colour need
    no learning.
    """
    if not isinstance(task_of(name), AbstractImageTask):
        return
    task = asked_task(name)
    images = np.arange(2 * 3 * 13 * 18).reshape(2, 3, 13, 18).astype(np.uint8)
    for channels in (1, 3):
        seen, answers = task.question(images[:, :channels])
        require(seen.dtype == answers.dtype == np.uint8, "what is seen or answered is no uint8")
        wanted = (2, channels, *(task.scale * side for side in seen.shape[2:]))
        require(answers.shape == wanted, f"answers are {answers.shape}, not {wanted}")
        require(task.output_shape(answers, 1) == wanted, "outputs have another shape than answers")
    for level in (0, 100, WHITE):
        seen, answers = task.question(np.full((1, 1, 16, 16), level, np.uint8))
        losses_N, _ = task.untaught_metrics(seen, answers)
        require(losses_N[0] < 1e-5, f"of one colour the error is {losses_N[0]:.3g}")


CHECKS: tuple[Callable[[str], None], ...] = (
    check_it_is_declared_and_has_losses,
    check_metrics_have_names_and_directions,
    check_every_image_is_judged_by_itself,
    check_huge_outputs_are_judged,
    check_its_loss_teaches_what_is_judged,
    check_guessing_is_the_best_single_answer,
    check_weights_are_factors_of_losses,
    check_a_student_becomes_like_its_teacher,
    check_losses_of_half_precision_are_fp32,
    check_masks_are_judged_pixel_by_pixel,
    check_what_is_seen_of_images_can_be_answered,
)


@dataclass(frozen=True)
class _Drawn:
    """Outputs and labels of some images, outputs of a teacher, what must be beaten; and a rate."""

    outputs_NK: np.ndarray
    labels_N: np.ndarray
    teacher_NK: np.ndarray
    untaught: tuple[float, float]
    rate: float


def _drawn(name: str) -> _Drawn:
    task = task_of(name)
    if isinstance(task, AbstractImageTask):
        levels = 127.5 + 80 * noise(IMAGES, 1, SIDES, SIDES)
        images = levels.clamp(0, WHITE).numpy().astype(np.uint8)
        seen, labels = asked_task(name).question(images)
        losses_N, shown_N = task.untaught_metrics(seen, labels)
        outputs, teacher = (0.5 + 0.2 * noise(*labels.shape, seed=n).numpy() for n in (1, 2))
        untaught = float(losses_N.mean()), float(shown_N.mean())
        return _Drawn(outputs, labels, teacher, untaught, RATE_OF_IMAGES)
    if isinstance(task, AbstractMaskTask):
        labels, surely = (
            noise(IMAGES, CLASSES, SIDES, SIDES, seed=n).numpy().argmax(1)[:, None].astype(np.uint8)
            for n in (1, 2)
        )
        labels[::4, :, :2] = IGNORED
        losses_N, shown_N = task.untaught_metrics(labels, labels)
        untaught = float(losses_N.mean()), float(shown_N.mean())
        outputs = noise(IMAGES, CLASSES, SIDES, SIDES).numpy()
        return _Drawn(outputs, labels, SURE * _one_hot(surely), untaught, RATE)
    assert isinstance(task, AbstractClassTask)
    outputs = noise(IMAGES, task.num_outputs(CLASSES)).numpy()
    teacher = 3 * noise(*outputs.shape, seed=1).numpy()
    labels = np.arange(IMAGES) % CLASSES
    untaught = task.guessing(np.bincount(labels).tolist())
    return _Drawn(outputs, labels, teacher, untaught, RATE)


def _one_hot(masks: np.ndarray) -> np.ndarray:
    """Maps of 1 where a mask (N, 1, H, W) has a class, and 0 elsewhere: (N, K, H, W)."""
    classes = np.arange(CLASSES)[None, :, None, None]
    found: np.ndarray = (masks == classes).astype(np.float32)
    return found


def _fitted(outputs: Tensor, loss: Callable[[Tensor], Tensor], rate: float) -> np.ndarray:
    """The outputs after gradient descent, in smaller and smaller steps."""
    outputs = outputs.clone().requires_grad_()
    optimizer = torch.optim.Adam([outputs], lr=rate)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 1 / STEPS, total_iters=STEPS)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(outputs).backward()
        optimizer.step()
        decay.step()
    return outputs.detach().numpy()
