"""What is trained in place of a network on grids, beside what is deployed."""

import torch
from torch import Tensor, nn

from compress.quantize._learnt import AbstractLearnt
from nas.testing._expect import require

MOST_STEPS, MOST_SHARE = 1.01, 0.01
MOST_APART = 0.15
"""Of the deviation of the outputs: random weights multiply what differs."""


@torch.no_grad()
def require_learnt_alike(trained: nn.Module, deployed: nn.Module, images: Tensor) -> None:
    """Every layer and quantizer answers alike if given the same, to a step of its grid.

    What differs is bias, which files round to units of the products.

    Args:
        trained: By `aware`.
        deployed: The same network by `compress`, with the grids that `trained` has.
        images: (B, C, H, W), normalised.
    """
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    twins = {n: m for n, m in trained.named_modules() if isinstance(m, AbstractLearnt)}
    hooks = [_recording(deployed.get_submodule(name), name, seen) for name in twins]
    expected = deployed(images)
    for hook in hooks:
        hook.remove()
    for name, (x, output) in seen.items():
        twin = twins[name]
        grid = getattr(twin, "output", twin)
        assert isinstance(grid, AbstractLearnt)
        steps = (twin(x) - output).abs() / grid.grid()["scale"]
        require(
            float(steps.max()) <= MOST_STEPS, f"'{name}' errs by {float(steps.max()):.2g} steps"
        )
        share = float((steps > 0.5).float().mean())
        require(share <= MOST_SHARE, f"'{name}' errs by a step in {share:.1%} of its values")
    apart = float((trained(images) - expected).square().mean().sqrt() / expected.std())
    require(apart <= MOST_APART, f"outputs differ by {apart:.2g} of their deviation")


def _recording(
    module: nn.Module, name: str, seen: dict[str, tuple[Tensor, Tensor]]
) -> torch.utils.hooks.RemovableHandle:
    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen[name] = inputs[0], output

    return module.register_forward_hook(record)
