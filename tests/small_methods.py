"""Small training methods that use all of the contract; they import as little as a worker needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from search_spaces import SearchSpace
from supernets.context import Context
from supernets.methods._base import AbstractMethod
from supernets.team import Losses, State

Gradients = Sequence[Tensor | None]


@final
@dataclass(frozen=True)
class Projected(AbstractMethod):
    """Two random members, neither of which undoes what the other learns (PCGrad).

    Yu et al., Gradient Surgery for Multi-Task Learning, 2020; both at once, in no random order.
    """

    space: SearchSpace

    def step(self, context: Context) -> Losses:
        losses, gradients = [], []
        for encoding in self.space.sample(context.rng, 2).tolist():
            loss = context.label_loss(
                context.logits(encoding, context.images_BCHW), context.labels_B
            )
            gradients.append(context.gradients(loss))
            losses.append(("random", float(loss.detach())))
        context.set_gradients(without_conflict(*gradients))
        return losses


def without_conflict(first: Gradients, second: Gradients) -> list[Tensor | None]:
    """The sum, after each has lost what points against the other."""
    agreement = inner(first, second)
    if agreement < 0:
        first, second = (
            plus(first, second, -agreement / inner(second, second)),
            plus(second, first, -agreement / inner(first, first)),
        )
    return plus(first, second, 1.0)


def inner(first: Gradients, second: Gradients) -> float:
    pairs = zip(first, second, strict=True)
    return sum(float((a * b).sum()) for a, b in pairs if a is not None and b is not None)


def plus(first: Gradients, second: Gradients, factor: float) -> list[Tensor | None]:
    found: list[Tensor | None] = []
    for a, b in zip(first, second, strict=True):
        found.append(a if b is None else factor * b if a is None else a + factor * b)
    return found


@final
@dataclass(frozen=True)
class Halves(AbstractMethod):
    """Two random members, each on its half of the batch."""

    space: SearchSpace

    def step(self, context: Context) -> Losses:
        half = len(context.labels_B) // 2
        losses = []
        for encoding, place in zip(
            self.space.sample(context.rng, 2).tolist(),
            (slice(None, half), slice(half, None)),
            strict=True,
        ):
            logits_BK = context.logits(encoding, context.images_BCHW[place])
            losses.append(context.label_loss(logits_BK, context.labels_B[place]) / 2)
        torch.stack(losses).sum().backward()
        return [("random", 2 * float(loss.detach())) for loss in losses]


@final
@dataclass(frozen=True)
class Balanced(AbstractMethod):
    """A member of one operator a batch: mostly of that whose loss has lately been the largest.

    Attributes:
        forgets: Share of a moving average that a new loss replaces.
        eagerness: How much rather the operator of a larger loss is drawn.
    """

    space: SearchSpace
    forgets: float = 0.3
    eagerness: float = 4.0

    def initial_state(self) -> State:
        operators = self.space.operators
        return {"loss": np.zeros(len(operators)), "seen": np.zeros(len(operators), dtype=np.int64)}

    def step(self, context: Context) -> Losses:
        operators = self.space.operators
        likely = np.exp(self.eagerness * context.state["loss"])
        operator = int(context.rng.choice(len(operators), p=likely / likely.sum()))
        encoding = self.space.sample(context.rng, 1)[0]
        for column, option in self.space.with_operator(operators[operator]).items():
            encoding[column] = option
        logits_BK = context.logits(encoding.tolist(), context.images_BCHW)
        loss = context.label_loss(logits_BK, context.labels_B)
        loss.backward()
        context.report.update(operator=operator, loss=float(loss.detach()))
        return [(operators[operator], float(loss.detach()))]

    def fold(self, state: State, reports: Sequence[State]) -> State:
        loss, seen = state["loss"].copy(), state["seen"].copy()
        for report in reports:
            operator = int(report["operator"])
            loss[operator] += self.forgets * (report["loss"] - loss[operator])
            seen[operator] += 1
        return {"loss": loss, "seen": seen}


@final
@dataclass(frozen=True)
class Attentive(AbstractMethod):
    """A random member learns from labels, and where another one looks at a noisy image.

    Zagoruyko and Komodakis, Paying More Attention to Attention, 2017: the squares of a slot's
    features, averaged over channels, so widths may differ.

    Attributes:
        slot: Whose features are compared.
        noise: Deviation of what is added to the teacher's images.
    """

    space: SearchSpace
    slot: str = "stage1.block1"
    noise: float = 0.1

    def step(self, context: Context) -> Losses:
        teacher, student = self.space.sample(context.rng, 2).tolist()
        shape = tuple(context.images_BCHW.shape)
        noise_BCHW = torch.from_numpy(context.rng.standard_normal(shape, dtype=np.float32))
        with torch.no_grad():
            noisy_BCHW = context.images_BCHW + self.noise * noise_BCHW
            target_BHW = attention(context.features(teacher, noisy_BCHW)[self.slot])
        features = context.features(student, context.images_BCHW)
        *_, logits_BK = features.values()
        loss = context.label_loss(logits_BK, context.labels_B)
        loss = loss + (attention(features[self.slot]) - target_BHW).square().mean()
        loss.backward()
        return [("student", float(loss.detach()))]


def attention(features_BCHW: Tensor) -> Tensor:
    """Where features are large, (B, H, W), of unit length."""
    means_BHW = features_BCHW.float().square().mean(1)
    return means_BHW / means_BHW.flatten(1).norm(dim=1)[:, None, None]


@final
@dataclass(frozen=True)
class Watched(AbstractMethod):
    """A random member a batch; keeps a weight, and its average, as batches of every step saw them.

    Attributes:
        steps: Of the training.
    """

    space: SearchSpace
    steps: int = 6

    @property
    def needs_average(self) -> bool:
        return True

    def initial_state(self) -> State:
        return {"seen": np.zeros((self.steps, 2)), "step": np.zeros(1, dtype=np.int64)}

    def step(self, context: Context) -> Losses:
        encoding = self.space.sample(context.rng, 1)[0].tolist()
        logits_BK = context.logits(encoding, context.images_BCHW)
        loss = context.label_loss(logits_BK, context.labels_B)
        loss.backward()
        assert context.average is not None
        networks = (context.supernet, context.average)
        context.report["seen"] = [
            float(next(n.parameters()).detach().flatten()[0]) for n in networks
        ]
        return [("random", float(loss.detach()))]

    def fold(self, state: State, reports: Sequence[State]) -> State:
        seen, step = state["seen"].copy(), state["step"]
        assert all(np.array_equal(report["seen"], reports[0]["seen"]) for report in reports)
        seen[step[0]] = reports[0]["seen"]
        return {"seen": seen, "step": step + 1}
