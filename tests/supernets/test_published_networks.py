"""Published networks, put together from our operators: their parameters and multiply-adds, exactly.

What the papers have and slots do not (patch embeddings, layer scale, position embeddings, class
tokens) stands here, so that every other number comes from `supernets` and `search_spaces`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from search_spaces import FULL_PRECISION, Option, Options, Shape, Signature, signature_cost
from search_spaces.channel_attentions.se import squeezed_channels
from supernets._modules import Add, ConvNorm
from supernets.channel_attentions.se import SELayer
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


class Bottleneck(nn.Module):
    """ResNet's block of three convolutions, with ResNet-D's shortcut and squeeze and excitation."""

    def __init__(self, in_width: int, inner: int, side: int, stride: int) -> None:
        super().__init__()
        width = 4 * inner
        self.branch = nn.Sequential(
            ConvNorm(in_width, inner, 1),
            ConvNorm(inner, inner, 3, stride=stride),
            ConvNorm(inner, width, 1, has_act=False),
            SELayer(width, squeezed_channels(width), (side, side)),
        )
        pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        shortcut = nn.Sequential(pool, ConvNorm(in_width, width, 1, has_act=False))
        self.shortcut = shortcut if in_width != width else nn.Identity()
        self.add = Add()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, 4 * inner, H / stride, W / stride)."""
        return self.add(self.shortcut(x_BCHW), self.branch(x_BCHW))


def stem(name: str, side: int, width: int, stride: int) -> nn.Module:
    shape = Shape.square(224, side, 3, width)
    pick = Options({"stride": stride})
    return plain_module(Signature(name, shape, pick, Options(), FULL_PRECISION))


class CrossScale(nn.Module):
    """RaftMLP's downsampling: patches of several sides around one centre, and a linear layer."""

    def __init__(self, in_width: int, width: int, sides: tuple[int, ...]) -> None:
        super().__init__()
        self.stride = sides[0]
        self.patches = nn.ModuleList(
            nn.Unfold(side, stride=self.stride, padding=(side - self.stride) // 2) for side in sides
        )
        self.reduce = nn.Linear(in_width * sum(side**2 for side in sides), width)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H / stride, W / stride)."""
        size = x_BCHW.shape[2] // self.stride, x_BCHW.shape[3] // self.stride
        patches = torch.cat([patch(x_BCHW) for patch in self.patches], 1).transpose(1, 2)
        return self.reduce(patches).transpose(1, 2).unflatten(2, size)


def head(width: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES)]


def counts(modules: list[nn.Module]) -> tuple[int, int]:
    """Parameters and multiply-adds for one image of 224 px."""
    network = nn.Sequential(*modules).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        device = next(network.parameters()).device
        output = network(torch.zeros(1, 3, 224, 224, device=device))
    assert output.shape == (1, CLASSES)
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2


def stages(
    operator: str,
    widths: tuple[int, ...],
    depths: tuple[int, ...],
    head_dim: int,
    options: Sequence[Mapping[str, Option]],
    sizes: tuple[int, ...] = (56, 28, 14, 7),
) -> list[list[Signature]]:
    """Signatures of every block of every stage on maps of these sides."""
    found = []
    for size, width, depth, pick in zip(sizes, widths, depths, options, strict=False):
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


def test_transnext_micro() -> None:
    widths, heads, depths, ratios = (48, 96, 192, 384), (2, 4, 8, 16), (2, 2, 15, 2), (8, 4, 2, 1)
    picks = [
        {"num_heads": n, "sr_ratio": r, "expand_ratio": e, "channel_part": "convglu"}
        for n, r, e in zip(heads, ratios, (8, 8, 4, 4), strict=True)
    ]
    blocks = stages("transnext", widths, depths, 24, picks)
    with torch.device("meta"):
        modules: list[nn.Module] = [plain_module(block) for stage in blocks for block in stage]
        for before, width in zip((3, *widths), widths, strict=False):
            embedding = nn.Conv2d(before, width, 7 if before == 3 else 3)
            modules += [embedding, Norm(width), Norm(width)]
        modules += head(widths[-1])
    params = sum(p.numel() for module in modules for p in module.parameters())
    assert params == 12_809_304
    embeddings = 56**2 * 49 * 3 * 48 + 9 * sum(
        side**2 * a * b for side, (a, b) in zip((28, 14, 7), pairwise(widths), strict=True)
    )
    macs = sum(declared(stage)[1] for stage in blocks) + embeddings + 384 * CLASSES
    assert macs == 2_532_603_648  # 2.7 G in the paper, whose networks of position biases run


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


EMO_V2_1M = ((2, 32, 2.0, 8), (2, 48, 2.5, 8), (8, 80, 3.0, 20), (3, 180, 3.5, 20))
"""Blocks, width, expansion, channels of a head; the first expands twice as much."""


def test_emo_v2_1m() -> None:
    """By the authors' code 1,460,844 parameters and 279,936,484 multiply-adds without norms.

    Norms are elsewhere, so parameters differ by those of channels alone; attention comes before the
    expansion and is one where the map is one window, so multiply-adds are 27,563,480 fewer.
    """
    blocks, size, width, surplus = [], 112, 16, 0
    for stage, (depth, wide, ratio, head_dim) in enumerate(EMO_V2_1M):
        for block in range(depth):
            pick = {"kernel_size": 5, "expand_ratio": int(2 * ratio) if not block else 4}
            hidden = int(width * ratio * (1 if block else 2))
            if block:
                shape = Shape.square(size, size, wide, wide, block, head_dim)
                spec = signature("irmb", Options({**pick, "attention": int(stage > 1)}), shape)
            else:
                shape = Shape.square(size, size // 2, width, wide)
                spec = signature("mbconv", Options(pick), shape)
            blocks.append(replace(spec, kept=Options({"hidden": hidden})))
            surplus += hidden + wide - (0 if block and stage > 1 else 2 * width)
            size, width = shape.size[0], wide
    with torch.device("meta"):
        stem = [ConvNorm(3, 16, 3, stride=2), ConvNorm(16, 16, 3, groups=16)]
        stem += [nn.Conv2d(16, 16, 1, bias=False)]
        params, macs = counts([*stem, *map(plain_module, blocks), Norm(180), *head(180)])
    assert params - surplus == 1_460_844 - 16  # 1.4 million in the paper; a bias before a norm
    assert macs == 279_936_484 - 27_563_480


def test_uniformer_s() -> None:
    """By the authors' code 21,545,256 parameters; positions have a batch norm instead of a bias."""
    widths, depths = (64, 128, 320, 512), (3, 4, 8, 3)
    local, attends = {"kernel_size": 5, "expand_ratio": 4}, {"expand_ratio": 4}
    picks = [local, local, *({**attends, "num_heads": width // 64} for width in widths[2:])]
    blocks = [
        *stages("unilocal", widths[:2], depths[:2], 64, picks[:2]),
        *stages("uniglobal", widths[2:], depths[2:], 64, picks[2:], sizes=(14, 7)),
    ]
    with torch.device("meta"):
        modules: list[nn.Module] = []
        for i, stage in enumerate(blocks):
            in_width, side = (widths[i - 1], 2) if i else (3, 4)
            modules += [nn.Conv2d(in_width, widths[i], side, side), Norm(widths[i])]
            modules += [plain_module(block) for block in stage]
        params, macs = counts([*modules, Norm(512), *head(512)])
    surplus = sum(width * depth for width, depth in zip(widths, depths, strict=True))
    assert params - surplus == 21_545_256  # 22 million in the paper
    assert macs == 3_631_774_208  # 3.6 billion in the paper


class WithoutOthers(nn.Module):
    """A map that has nothing yet in the channels that a transformer block does not attend with."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H, W)."""
        return nn.functional.pad(x_BCHW, (0, 0, 0, 0, 0, self.width - x_BCHW.shape[1]))


def embedding(in_width: int, width: int, stride: int) -> list[nn.Module]:
    """Next-ViT's way to another map: pooling, then a 1x1 convolution."""
    if (in_width, stride) == (width, 1):
        return []
    return [*([nn.AvgPool2d(2)] if stride > 1 else []), ConvNorm(in_width, width, 1, has_act=False)]


NEXT_VIT_S = (
    (3 * [96], 8),
    (3 * [192] + [256], 4),
    (2 * [*4 * [384], 512], 2),
    ([768, 768, 1024], 1),
)
"""Widths of the blocks of each stage, whose transformer blocks are wider, and the reduction."""


def test_next_vit_s() -> None:
    """By the authors' code 31,763,368 parameters; projections of convolutions have a batch norm
    instead of a bias or of nothing, and keys and values one of their own."""
    stem = [ConvNorm(3, 64, 3, stride=2), ConvNorm(64, 32, 3), ConvNorm(32, 64, 3)]
    with torch.device("meta"):
        modules: list[nn.Module] = [*stem, ConvNorm(64, 64, 3, stride=2)]
        width, surplus = 64, 0
        for stage, (widths, ratio) in enumerate(NEXT_VIT_S):
            side = 56 >> stage
            for block, wide in enumerate(widths):
                shape = Shape.square(side, side, wide, wide, 0, 32)
                stride = 2 if stage and not block else 1
                if stage and wide > widths[0]:
                    pick = Options({"expand_ratio": 2, "sr_ratio": ratio})
                    modules += embedding(width, wide * 3 // 4, stride)
                    modules += [WithoutOthers(wide), plain_module(signature("ntb", pick, shape))]
                    surplus += 2 * (wide // 4) + wide * 3 // 4 * (0 if ratio > 1 else 2) + wide
                else:
                    pick = Options({"expand_ratio": 3})
                    modules += embedding(width, wide, stride)
                    modules.append(plain_module(signature("ncb", pick, shape)))
                    surplus += 3 * wide
                width = wide
        params, macs = counts([*(m.to("meta") for m in modules), nn.BatchNorm2d(1024), *head(1024)])
    assert params - surplus == 31_763_368  # 31.7 million in the paper
    assert macs == 5_794_420_224  # 5.8 billion in the paper


def test_vovnet_27_slim() -> None:
    """By the authors' code; the first modules of a stage have no shortcut, and it has one each."""
    with torch.device("meta"):
        modules: list[nn.Module] = [ConvNorm(3, 64, 3, stride=2), ConvNorm(64, 64, 3)]
        modules.append(ConvNorm(64, 128, 3, stride=2))
        width = 128
        for stage, (growth, wide) in enumerate(((64, 128), (80, 256), (96, 384), (112, 512))):
            side = 56 >> stage
            modules += [nn.MaxPool2d(3, 2, ceil_mode=True)] if stage else []
            pick = Options({"growth": growth, "num_convs": 5})
            modules.append(
                plain_module(signature("osa", pick, Shape.square(side, side, width, wide)))
            )
            width = wide
        params, macs = counts([*modules, *head(512)])
    assert (params, macs) == (3_525_736, 2_176_695_296)


def test_resnet_rs_50() -> None:
    with torch.device("meta"):
        modules, in_width = [stem("resnet-d", 56, 64, 4)], 64
        for inner, depth, side in ((64, 3, 56), (128, 4, 28), (256, 6, 14), (512, 3, 7)):
            for block in range(depth):
                stride = 2 if block == 0 and side < 56 else 1
                modules.append(Bottleneck(in_width, inner, side, stride))
                in_width = 4 * inner
        params, _ = counts([*modules, *head(in_width)])
    # ResNet-50's 25,557,032, its first convolution by four, and 10,078,656 of the gates.
    assert params == 25_557_032 - 9536 + 65_760 + 10_078_656
    assert round(params / 1e6) == 36


def test_t2t_vit_14() -> None:
    """With attention as it is between soft splits; the paper also has one of linear cost."""
    pick = Options({"num_heads": 6, "expand_ratio": 3, "sr_ratio": 1})
    block = signature("sra", pick, Shape.square(14, 14, 384, 384, 0, 64))
    with torch.device("meta"):
        modules = [stem("t2t", 14, 384, 16), Embedding(1, 384)]
        modules += [plain_module(block) for _ in range(14)]
        params, macs = counts([*modules, Norm(384), *head(384)])
    assert round(params / 1e6, 1) == 21.5
    assert round(macs / 1e9, 1) == 6.1


def test_raftmlp_s() -> None:
    widths, sides = (64, 128, 256, 512), ((4, 8), (2, 4), (2, 4), (2,))
    modules: list[nn.Module] = []
    for i, blocks in enumerate(stages("raft", widths, (2, 2, 6, 2), 32, 4 * [{"expand_ratio": 4}])):
        modules.append(CrossScale(widths[i - 1] if i else 3, widths[i], sides[i]))
        modules += [plain_module(block) for block in blocks]
    params, macs = counts([*modules, Norm(512), *head(512)])
    assert params == 9_868_768  # 9.9 M in the paper
    assert round(macs / 1e9, 1) == 2.1


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
