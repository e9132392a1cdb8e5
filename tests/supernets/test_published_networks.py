"""Published networks, put together from our operators: their parameters and multiply-adds, exactly.

What the papers have and slots do not (patch embeddings, layer scale, position embeddings, class
tokens) stands here, so that every other number comes from `supernets` and `search_spaces`.
"""

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from search_spaces import Options, Shape, Signature, signature_cost
from supernets._modules import ConvNorm
from supernets.network import plain_module
from tests.strategies import signature

CLASSES = 1000
MOBILENET = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, width, blocks, stride of the first: Sandler et al. (2018), table 2."""


class Norm(nn.LayerNorm):
    """Layer norm over the channels of a map."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        return super().forward(x_BCHW.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class PatchMerging(nn.Module):
    """Swin's downsampling: four neighbours side by side, norm, linear layer without bias."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = Norm(4 * width)
        self.reduce = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, 2 * width, H / 2, W / 2)."""
        x = self.norm(nn.functional.pixel_unshuffle(x_BCHW, 2)).permute(0, 2, 3, 1)
        return self.reduce(x).permute(0, 3, 1, 2)


class LayerScale(nn.Module):
    """One factor per channel; for its parameters, since it costs no multiply-adds that count."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(width, 1, 1))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        return x_BCHW * self.factor


class Embedding(nn.Module):
    """Learnt values added to a map's positions, and tokens beside the map; holds, adds nothing."""

    def __init__(self, positions: int, width: int) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.zeros(positions, width))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The input."""
        return x_BCHW


def head(width: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES)]


def counts(modules: list[nn.Module]) -> tuple[int, int]:
    """Parameters and multiply-adds for one image of 224 px."""
    network = nn.Sequential(*modules).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        output = network(torch.zeros(1, 3, 224, 224))
    assert output.shape == (1, CLASSES)
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2


def stages(
    operator: str,
    widths: tuple[int, ...],
    depths: tuple[int, ...],
    head_dim: int,
    options: list[dict[str, int]] | list[dict[str, int | str]],
) -> list[list[Signature]]:
    """Signatures of every block of every stage on maps of 56, 28, 14 and 7 px."""
    found = []
    for size, width, depth, pick in zip((56, 28, 14, 7), widths, depths, options, strict=True):
        shapes = [
            Shape.square(size, size, width, width, index % 2, head_dim) for index in range(depth)
        ]
        found.append([signature(operator, Options(pick), shape) for shape in shapes])
    return found


def declared(blocks: list[Signature]) -> tuple[int, int]:
    costs = [signature_cost(block) for block in blocks]
    return sum(cost.params for cost in costs), sum(cost.macs for cost in costs)


def test_mobilenet_v2() -> None:
    blocks, size, width = [], 112, 32
    for expand_ratio, out_width, depth, stride in MOBILENET:
        for block in range(depth):
            out_size = size // stride if block == 0 else size
            pick = Options({"kernel_size": 3, "expand_ratio": expand_ratio, "eca": 0})
            blocks.append(signature("mbconv", pick, Shape.square(size, out_size, width, out_width)))
            size, width = out_size, out_width
    outside = [ConvNorm(3, 32, 3, stride=2), ConvNorm(320, 1280, 1), *head(1280)]
    inside = [plain_module(block) for block in blocks]
    params, macs = counts([outside[0], *inside, *outside[1:]])
    assert (params, macs) == (3_504_872, 300_774_272)
    rest = 864 + 64 + 409_600 + 2560 + 1_281_000, 112**2 * 864 + 49 * 409_600 + 1_280_000
    assert declared(blocks) == (params - rest[0], macs - rest[1])


def test_convnext_t() -> None:
    pick = {"kernel_size": 7, "expand_ratio": 4}
    widths = (96, 192, 384, 768)
    modules: list[nn.Module] = [nn.Conv2d(3, 96, 4, 4), Norm(96)]
    for i, blocks in enumerate(stages("convnext", widths, (3, 3, 9, 3), 32, 4 * [pick])):
        if i:
            modules += [Norm(widths[i - 1]), nn.Conv2d(widths[i - 1], widths[i], 2, 2)]
        for block in blocks:
            modules += [plain_module(block), LayerScale(widths[i])]
    modules += [nn.AdaptiveAvgPool2d(1), Norm(768), nn.Flatten(), nn.Linear(768, CLASSES)]
    params, macs = counts(modules)
    assert params == 28_589_128
    assert round(macs / 1e9, 2) == 4.46  # 4.47 in the paper, which counts norms


def test_swin_t() -> None:
    widths, heads = (96, 192, 384, 768), (3, 6, 12, 24)
    picks = [{"num_heads": n, "expand_ratio": 4} for n in heads]
    modules: list[nn.Module] = [nn.Conv2d(3, 96, 4, 4), Norm(96)]
    for i, blocks in enumerate(stages("window", widths, (2, 2, 6, 2), 32, picks)):
        modules += [PatchMerging(widths[i - 1])] if i else []
        modules += [plain_module(block) for block in blocks]
    params, macs = counts([*modules, Norm(768), *head(768)])
    assert params == 28_288_354
    assert round(macs / 1e9, 3) == 4.491


def test_pvt_small() -> None:
    widths, heads = (64, 128, 320, 512), (1, 2, 5, 8)
    ratios, expansions, positions = (8, 4, 2, 1), (8, 8, 4, 4), (3136, 784, 196, 50)
    picks = [
        {"num_heads": n, "expand_ratio": e, "sr_ratio": r}
        for n, e, r in zip(heads, expansions, ratios, strict=True)
    ]
    modules: list[nn.Module] = []
    for i, blocks in enumerate(stages("sra", widths, (3, 4, 6, 3), 64, picks)):
        in_width, side = (widths[i - 1], 2) if i else (3, 4)
        modules += [nn.Conv2d(in_width, widths[i], side, side), Norm(widths[i])]
        modules += [Embedding(positions[i], widths[i])]
        modules += [plain_module(block) for block in blocks]
    modules += [Embedding(1, 512), Norm(512), *head(512)]
    params, macs = counts(modules)
    assert round(params / 1e6, 1) == 24.5
    assert round(macs / 1e9, 1) == 3.8


def test_deit_s() -> None:
    pick = Options({"num_heads": 6, "expand_ratio": 4, "sr_ratio": 1})
    block = signature("sra", pick, Shape.square(14, 14, 384, 384, 0, 64))
    modules: list[nn.Module] = [nn.Conv2d(3, 384, 16, 16), Embedding(197 + 1, 384)]
    modules += [plain_module(block) for _ in range(12)]
    params, macs = counts([*modules, Norm(384), *head(384)])
    assert params == 22_050_664
    assert round(macs / 1e9, 2) == 4.57  # 4.6 in the paper, with the class token's 197th row


def test_vig_s() -> None:
    """27 % of DeiT-B's 86.6 million parameters, of rounded millions, as its abstract says."""
    pick = Options({"num_heads": 6, "expand_ratio": 4})
    block = signature("vig", pick, Shape.square(14, 14, 384, 384, 0, 64))
    stem = [nn.Conv2d(3, 192, 9, 8, 1), Norm(192), nn.Conv2d(192, 384, 3, 2, 1), Norm(384)]
    outside = nn.Sequential(*stem, Embedding(196, 384), Norm(384), *head(384))
    params = declared(12 * [block])[0] + sum(p.numel() for p in outside.parameters())
    assert round(params / 1e6) == 23
    assert round(100 * 23 / 86.6) == 27


def test_msvmamba_t() -> None:
    widths, depths = (96, 192, 384, 768), (1, 2, 9, 2)
    pick = {"expand_ratio": 2, "channel_part": "convffn"}
    blocks = stages("msvmamba", widths, depths, 32, 4 * [pick])
    outside: list[nn.Module] = [nn.Conv2d(3, 96, 4, 4), Norm(96)]
    outside += [PatchMerging(width) for width in widths[:-1]]
    params, macs = declared([block for stage in blocks for block in stage])
    network = nn.Sequential(*outside, Norm(768), *head(768))
    params += sum(p.numel() for p in network.parameters())
    macs += 56**2 * 48 * 96 + sum(28**2 * 8 * 96**2 for _ in range(3)) + 768 * CLASSES
    assert round(params / 1e6) == 33
    assert round(macs / 1e9, 1) == 4.6
