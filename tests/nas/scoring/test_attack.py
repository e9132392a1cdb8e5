"""Images that are moved against networks: by how much, where to, and what is not claimed."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.data import DataSet
from nas.scoring.attack import robustness, uphill
from search_spaces import task_of


class Nearest(nn.Module):
    """Logits by distance from the mean image of each class."""

    def __init__(self, data: DataSet) -> None:
        super().__init__()
        images = torch.from_numpy(data.normalised(data.train.images_NCHW)).flatten(1)
        labels = torch.from_numpy(data.train.labels_N)
        means = [images[labels == k].mean(0) for k in range(len(data.classes))]
        self.register_buffer("means_KD", torch.stack(means))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        means_KD = self.get_buffer("means_KD")
        logits_BK: Tensor = x_BCHW.flatten(1) @ means_KD.T - means_KD.square().sum(1) / 2
        return logits_BK


class Deaf(nn.Module):
    """Gives gradients to nobody."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x_BCHW: Tensor) -> Tensor:
        answered: Tensor = self.inner(x_BCHW.detach()) + 0 * x_BCHW.flatten(1).sum(1, keepdim=True)
        return answered


def clean(network: nn.Module, data: DataSet, num_images: int) -> float:
    split = data.search.take(num_images)
    outputs_NK = network(torch.from_numpy(data.normalised(split.images_NCHW))).numpy()
    return float(task_of(data.task).judge(outputs_NK, split.labels_N)[1].mean())


def test_no_distance_is_clean_accuracy_and_more_is_no_better(digits: DataSet) -> None:
    network = Nearest(digits)
    found = robustness(network, digits, 150, (0.0, 1.0, 8.0, 32.0, 128.0))
    assert found.shown[0] == pytest.approx(clean(network, digits, 150))
    assert list(found.shown) == sorted(found.shown, reverse=True)
    assert found.shown[0] > 0.7 > 0.2 > found.shown[-1]
    assert found.without_gradient == 0.0


def test_a_masked_gradient_is_said_and_moves_nothing(digits: DataSet) -> None:
    network = Deaf(Nearest(digits))
    found = robustness(network, digits, 100, (0.0, 64.0))
    assert found.without_gradient == 1.0
    assert found.shown[0] == found.shown[1] == pytest.approx(clean(network, digits, 100))


def test_a_pixel_moves_by_the_distance_and_stays_what_a_pixel_can_be(digits: DataSet) -> None:
    seen: list[Tensor] = []

    class Watching(Nearest):
        def forward(self, x_BCHW: Tensor) -> Tensor:
            seen.append(x_BCHW.detach())
            return super().forward(x_BCHW)

    robustness(Watching(digits), digits, 20, (0.0, 2.0))
    plain, as_they_are, moved = seen
    assert torch.equal(plain, as_they_are)
    step = 2 / 255 / digits.std[0]
    assert float((moved - plain).abs().max()) == pytest.approx(step, rel=1e-4)
    black, white = digits.normalised(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1))
    assert float(moved.min()) == float(black.min())
    assert float(moved.max()) <= float(white.max())


def test_the_sign_is_uphill_for_the_loss(digits: DataSet) -> None:
    weight_KD = torch.tensor([[1.0, -2.0, 0.0, 3.0], [0.0, 0.0, 0.0, 0.0]])
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    network[1].weight.data.copy_(weight_KD)
    sign = uphill(network, torch.zeros(2, 1, 2, 2), torch.tensor([0, 1]), "classification")
    assert sign.flatten(1).tolist() == [[-1, 1, 0, -1], [1, -1, 0, 1]]
