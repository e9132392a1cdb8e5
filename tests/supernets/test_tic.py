"""TiC's attention in place of a convolution: what it computes, how far it reaches, what it costs."""

import pytest
import torch

from search_spaces import Options, Shape, Signature, declaration
from search_spaces.operators._base import AbstractMixer
from search_spaces.operators.tic import shifted_widths
from supernets.mixers.tic import PlainTiC
from tests.strategies import noise, randomise_, signature

HEADS, DIM, WIDTH = 2, 4, 10


def of(height: int, width: int, kernel_size: int = 3, dilation: int = 1) -> Signature:
    pick = {"num_heads": HEADS, "kernel_size": kernel_size, "dilation": dilation}
    size = (height, width)
    return signature(
        "tic", Options({**pick, "expand_ratio": 2}), Shape(size, size, WIDTH, WIDTH, 0, DIM)
    )


def mixer(spec: Signature) -> PlainTiC:
    module = PlainTiC(spec)
    randomise_(module, seed=1)
    return module.eval()


@pytest.mark.parametrize(("kernel_size", "dilation"), [(3, 1), (3, 2), (5, 1)])
@torch.no_grad()
def test_a_position_attends_to_what_a_kernel_sees(kernel_size: int, dilation: int) -> None:
    size = (6, 5)
    module = mixer(of(*size, kernel_size, dilation))
    x_BHWC = noise(1, *size, WIDTH)
    found, x_HWC = module(x_BHWC)[0], module.norm(x_BHWC)
    k, v = module.kv(module.extended(x_HWC))[0].split(HEADS * DIM, dim=-1)
    q = module.q(x_HWC)[0]
    for y, x in ((0, 0), (2, 2), (5, 1)):
        heads = []
        for head in range(HEADS):
            part, logits, values = slice(head * DIM, (head + 1) * DIM), [], []
            for tap in range(kernel_size**2):
                row, column = divmod(tap, kernel_size)
                at = (
                    y + dilation * (row - kernel_size // 2),
                    x + dilation * (column - kernel_size // 2),
                )
                if 0 <= at[0] < size[0] and 0 <= at[1] < size[1]:
                    logit = q[y, x, part] @ k[at][part] / DIM**0.5
                    logits.append(logit + module.bias[row, column, head])
                    values.append(v[at][part])
            heads.append(torch.stack(logits).softmax(0) @ torch.stack(values))
        expected = module.project(torch.cat(heads))
        torch.testing.assert_close(found[y, x], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_keys_read_quarters_from_four_sides_and_an_average() -> None:
    module = mixer(of(6, 5))
    x_BHWC = noise(1, 6, 5, WIDTH)
    found = module.extended(x_BHWC)[0]
    assert shifted_widths(WIDTH) == [3, 3, 2, 2]
    x = x_BHWC[0]
    around = x[2:5, 1:4].mean((0, 1))
    sides = torch.cat((x[2, 2, :3], x[4, 2, 3:6], x[3, 1, 6:8], x[3, 3, 8:]))
    torch.testing.assert_close(found[3, 2], sides + around)
    corner = torch.cat((x[5, 0, :3], x[1, 0, 3:6], x[0, 4, 6:8], x[0, 1, 8:]))
    torch.testing.assert_close(found[0, 0], corner + x[:2, :2].mean((0, 1)))


@torch.no_grad()
def test_weights_serve_maps_of_any_sides_and_the_cost_is_linear_in_pixels() -> None:
    rule = declaration("tic")
    assert isinstance(rule, AbstractMixer)
    small, large = of(28, 28), of(32, 32)
    module, other = mixer(small), PlainTiC(large)
    other.load_state_dict(module.state_dict())
    assert other(noise(1, 32, 32, WIDTH)).shape == (1, 32, 32, WIDTH)
    per_pixel = [rule.mixer_cost(spec).macs / spec.shape.pixels for spec in (small, large)]
    assert per_pixel[0] == per_pixel[1] == HEADS * DIM * (4 * WIDTH + 2 * 9)


def test_a_dilation_keeps_taps_on_the_map() -> None:
    dilations = [of(6, 9, 5, dilation).pick["dilation"] for dilation in (1, 2, 3, 4)]
    assert dilations == [1, 2, 2, 2]
