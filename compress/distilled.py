"""Images made from a network alone: those on which its batch norms see what they saw in training.

For calibrating integer grids where there are no images. Source: Cai et al., ZeroQ (2020), section
3.1: noise is optimised until the mean and the deviation of what every batch norm reads are the
stored ones. Departures: each norm's error is taken relative to its own variance, so that all count
alike, and the rate falls along a cosine instead of when the loss stalls. And each image is of a
class, as in Yin et al., Dreaming to Distill (2020), section 3.1: else the network is sure of none,
and the last layer's range is too narrow.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces import UserError

NUM_IMAGES = 32
STEPS = 100
RATE = 0.2
"""Of Adam, in deviations of a pixel."""

CLASS_SHARE = 0.01
"""Of the loss of classes, relative to that of statistics."""


@dataclass(frozen=True)
class Distilled:
    """Images, and how near they came.

    Attributes:
        images_BCHW: Normalised.
        first_loss: Of noise: how far its statistics are from those that are stored.
        loss: Of the images.
    """

    images_BCHW: Tensor
    first_loss: float
    loss: float


def distilled(
    network: nn.Module,
    *,
    shape: tuple[int, int, int],
    seed: int = 0,
    num_images: int = NUM_IMAGES,
    steps: int = STEPS,
) -> Distilled:
    """Images on which the batch norms of a network see the statistics that they store.

    Args:
        network: Trained, with the statistics of training; not changed.
        shape: Of one image: channels, height and width in pixels.
        seed: Of the noise that they begin with.
        num_images: How many.
        steps: Of the optimizer.

    Raises:
        UserError: If the network has no batch norm that stores statistics.
    """
    norms = [
        module
        for module in network.modules()
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None
    ]
    if not norms:
        raise UserError(
            "images for calibration can be made from a network with batch norm, whose statistics "
            "say what it has seen, and this one has none. Give images of its kind."
        )
    generator = torch.Generator().manual_seed(seed)
    noise_BCHW = torch.randn(num_images, *shape, generator=generator)
    images_BCHW = noise_BCHW.to(next(network.buffers()).device).requires_grad_()
    optimizer = torch.optim.Adam([images_BCHW], lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses = []
    with torch.enable_grad(), _read_by(network, norms) as inputs:
        for _ in range(steps):
            inputs.clear()
            logits_BK = network(images_BCHW)
            labels_B = torch.arange(num_images, device=logits_BK.device) % logits_BK.shape[1]
            loss = _loss(images_BCHW, norms, inputs)
            losses.append(float(loss.detach()))
            loss = loss + CLASS_SHARE * nn.functional.cross_entropy(logits_BK, labels_B)
            (images_BCHW.grad,) = torch.autograd.grad(loss, [images_BCHW])
            optimizer.step()
            schedule.step()
        inputs.clear()
        network(images_BCHW)
        losses.append(float(_loss(images_BCHW, norms, inputs).detach()))
    return Distilled(images_BCHW.detach(), losses[0], losses[-1])


def _loss(
    images_BCHW: Tensor, norms: list[nn.BatchNorm2d], inputs: dict[nn.Module, Tensor]
) -> Tensor:
    """Mean over the norms, and the images themselves, of how far statistics are from the stored."""
    zeros_C = images_BCHW.new_zeros(images_BCHW.shape[1])
    errors = [_apart(images_BCHW, zeros_C, zeros_C + 1)]
    for norm in norms:
        if norm in inputs:
            assert norm.running_mean is not None
            assert norm.running_var is not None
            errors.append(_apart(inputs[norm], norm.running_mean, norm.running_var))
    return torch.stack(errors).mean()


def _apart(x_BCHW: Tensor, mean_C: Tensor, variance_C: Tensor) -> Tensor:
    """Squared errors of mean and deviation, in units of the mean variance."""
    found_C, deviation_C = x_BCHW.mean((0, 2, 3)), x_BCHW.var((0, 2, 3)).clamp_min(1e-12).sqrt()
    errors_C = (found_C - mean_C).square() + (deviation_C - variance_C.sqrt()).square()
    return errors_C.mean() / variance_C.mean().clamp_min(1e-12)


@contextmanager
def _read_by(network: nn.Module, norms: list[nn.BatchNorm2d]) -> Iterator[dict[nn.Module, Tensor]]:
    """In this context the network's weights need no gradient, and what norms read is recorded."""
    inputs: dict[nn.Module, Tensor] = {}

    def record(norm: nn.Module, read: tuple[Tensor, ...]) -> None:
        inputs[norm] = read[0]

    trained = [weight for weight in network.parameters() if weight.requires_grad]
    hooks = [norm.register_forward_pre_hook(record) for norm in norms]
    for weight in trained:
        weight.requires_grad_(False)
    try:
        yield inputs
    finally:
        for weight in trained:
            weight.requires_grad_(True)
        for hook in hooks:
            hook.remove()
