"""Networks as users write them, in plain PyTorch: what tests and benchmarks bring."""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional


class BasicBlock(nn.Module):
    """He et al. (2016), with in-place activations and additions."""

    def __init__(self, in_width: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_width, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or in_width != width:
            conv = nn.Conv2d(in_width, width, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    """Three stages of `depth` blocks each: of 3 it is ResNet-20, of 9 ResNet-56."""

    def __init__(self, depth: int = 3, width: int = 16, channels: int = 3, classes: int = 10):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        before = width
        for stage in range(3):
            own = width * 2**stage
            strides = [1 if stage == 0 else 2] + [1] * (depth - 1)
            blocks = [
                BasicBlock(before if i == 0 else own, own, stride)
                for i, stride in enumerate(strides)
            ]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
            before = own
        self.fc = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = functional.adaptive_avg_pool2d(x, 1)
        return self.fc(x.view(x.size(0), -1))


class SqueezeExcite(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(width, inner, 1)
        self.expand = nn.Conv2d(inner, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = functional.relu(self.reduce(x.mean((2, 3), keepdim=True)))
        return x * functional.hardsigmoid(self.expand(gate))


class InvertedResidual(nn.Module):
    """Sandler et al. (2018), with squeeze and excitation where asked for."""

    def __init__(self, in_width: int, width: int, stride: int, ratio: int, *, has_se: bool) -> None:
        super().__init__()
        hidden = in_width * ratio
        layers: list[nn.Module] = []
        if ratio != 1:
            layers += [nn.Conv2d(in_width, hidden, 1, bias=False), nn.BatchNorm2d(hidden)]
            layers.append(nn.ReLU6(inplace=True))
        layers.append(nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False))
        layers += [nn.BatchNorm2d(hidden), nn.ReLU6(inplace=True)]
        if has_se:
            layers.append(SqueezeExcite(hidden, 8))
        layers += [nn.Conv2d(hidden, width, 1, bias=False), nn.BatchNorm2d(width)]
        self.conv = nn.Sequential(*layers)
        self.is_residual = stride == 1 and in_width == width

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.is_residual else self.conv(x)


class MobileNet(nn.Module):
    """Like MobileNetV2, for small images."""

    def __init__(self, channels: int = 3, classes: int = 10, *, has_se: bool = True) -> None:
        super().__init__()
        rows = ((1, 16, 1, 1), (4, 24, 2, 2), (4, 32, 2, 2), (4, 64, 2, 1))
        stem = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
        layers: list[nn.Module] = [nn.Sequential(stem, nn.BatchNorm2d(16), nn.ReLU6(inplace=True))]
        before = 16
        for ratio, width, repeats, stride in rows:
            for i in range(repeats):
                step = stride if i == 0 else 1
                layers.append(InvertedResidual(before, width, step, ratio, has_se=has_se))
                before = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(before, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean([2, 3]))


class ConvNeXtBlock(nn.Module):
    """Liu et al. (2022): channels last inside, layer scale as a parameter."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.full((width,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        y = self.dwconv(x).permute(0, 2, 3, 1)
        y = self.gamma * self.pwconv2(self.act(self.pwconv1(self.norm(y))))
        return x + y.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    """Two stages."""

    def __init__(self, channels: int = 3, classes: int = 10, width: int = 24) -> None:
        super().__init__()
        last = 2 * width
        self.stem = nn.Conv2d(channels, width, 4, 4)
        self.stage1 = nn.Sequential(ConvNeXtBlock(width), ConvNeXtBlock(width))
        self.down = nn.Conv2d(width, last, 2, 2)
        self.stage2 = nn.Sequential(ConvNeXtBlock(last), ConvNeXtBlock(last))
        self.norm = nn.LayerNorm(last)
        self.head = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage2(self.down(self.stage1(self.stem(x))))
        return self.head(self.norm(x.mean([-2, -1])))


class EncoderBlock(nn.Module):
    """Dosovitskiy et al. (2021), queries, keys and values of one matrix."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(b, n, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        y = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.proj(y.transpose(1, 2).reshape(b, n, c))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """With a class token and learnt positions."""

    def __init__(self, channels: int = 3, classes: int = 10, side: int = 32, width: int = 64):
        super().__init__()
        self.patch = nn.Conv2d(channels, width, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, (side // 4) ** 2 + 1, width) * 0.02)
        self.blocks = nn.Sequential(*(EncoderBlock(width, 4) for _ in range(3)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


class TorchViT(nn.Module):
    """With torch's own encoder layer."""

    def __init__(self, channels: int = 3, classes: int = 10, width: int = 32) -> None:
        super().__init__()
        self.patch = nn.Conv2d(channels, width, 8, 8)
        layer = nn.TransformerEncoderLayer(width, 4, 64, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.patch(x).flatten(2).transpose(1, 2)).mean(1))


class MixerBlock(nn.Module):
    """Tolstikhin et al. (2021)."""

    def __init__(self, tokens: int, width: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.tokens = nn.Sequential(nn.Linear(tokens, 48), nn.GELU(), nn.Linear(48, tokens))
        self.norm2 = nn.LayerNorm(width)
        self.channels = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


class Mixer(nn.Module):
    def __init__(
        self,
        channels: int = 3,
        classes: int = 10,
        side: int = 32,
        width: int = 40,
        hidden: int = 128,
    ) -> None:
        super().__init__()
        tokens = (side // 4) ** 2
        self.patch = nn.Conv2d(channels, width, 4, 4)
        self.blocks = nn.Sequential(*(MixerBlock(tokens, width, hidden) for _ in range(2)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.blocks(x)).mean(dim=1))


class WindowAttention(nn.Module):
    """Liu et al., Swin (2021): windows, shifted, with a table of relative positions."""

    def __init__(self, width: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.heads, self.window, self.shift = heads, window, shift
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.table = nn.Parameter(torch.randn((2 * window - 1) ** 2, heads) * 0.02)
        at = torch.stack(torch.meshgrid(*[torch.arange(window)] * 2, indexing="ij")).flatten(1)
        apart = (at[:, :, None] - at[:, None]).permute(1, 2, 0) + window - 1
        self.register_buffer("index", apart[..., 0] * (2 * window - 1) + apart[..., 1])

    def forward(self, x: Tensor) -> Tensor:
        b, h, w, c = x.shape
        m = self.window
        y = self.norm(x)
        if self.shift:
            y = torch.roll(y, (-self.shift, -self.shift), (1, 2))
        y = y.view(b, h // m, m, w // m, m, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, m * m, c)
        qkv = self.qkv(y).reshape(-1, m * m, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        scores = (q * (c // self.heads) ** -0.5) @ k.transpose(-2, -1)
        bias = self.table[self.index.view(-1)].view(m * m, m * m, -1).permute(2, 0, 1)
        y = (scores + bias.contiguous().unsqueeze(0)).softmax(dim=-1) @ v
        y = self.proj(y.transpose(1, 2).reshape(-1, m * m, c))
        y = y.view(b, h // m, w // m, m, m, c).permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)
        if self.shift:
            y = torch.roll(y, (self.shift, self.shift), (1, 2))
        return x + y


class Swin(nn.Module):
    def __init__(self, channels: int = 3, classes: int = 10) -> None:
        super().__init__()
        self.patch = nn.Conv2d(channels, 32, 4, 4)
        self.layers = nn.Sequential(WindowAttention(32, 4, 4, 0), WindowAttention(32, 4, 4, 2))
        self.head = nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(self.patch(x).permute(0, 2, 3, 1)).mean((1, 2)))


class DenseNet(nn.Module):
    """Huang et al. (2017): every layer reads all before it."""

    def __init__(self, channels: int = 3, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 16, 3, 2, 1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(16 + 8 * i) for i in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(16 + 8 * i, 8, 3, 1, 1) for i in range(3))
        self.last = nn.BatchNorm2d(40)
        self.head = nn.Linear(40, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            x = torch.cat([x, conv(functional.relu(norm(x)))], 1)
        return self.head(functional.relu(self.last(x)).mean((2, 3)))


class Inception(nn.Module):
    """Branches side by side, and a flattened map before the last layers."""

    def __init__(self, channels: int = 3, classes: int = 10, side: int = 32) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 16, 3, 2, 1)
        self.one = nn.Conv2d(16, 8, 1)
        self.three = nn.Sequential(nn.Conv2d(16, 8, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1))
        self.pool = nn.MaxPool2d(4)
        self.fc1 = nn.Linear(40 * (side // 8) ** 2, 32)
        self.fc2 = nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem(x))
        x = torch.cat((self.one(x), self.three(x), x), dim=1)
        return self.fc2(functional.relu(self.fc1(torch.flatten(self.pool(x), 1))))


class Grouped(nn.Module):
    """Convolutions of groups, as ResNeXt has them, and shuffled halves, as ShuffleNet."""

    def __init__(self, channels: int = 3, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 32, 3, 2, 1)
        self.grouped = nn.Conv2d(32, 64, 3, 1, 1, groups=4)
        self.spread = nn.Conv2d(64, 128, 3, 1, 1, groups=64)
        self.project = nn.Conv2d(128, 32, 1)
        self.right = nn.Conv2d(16, 16, 3, 1, 1, groups=16)
        self.head = nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        x = x + self.project(self.spread(self.grouped(x).relu()))
        a, b = x.chunk(2, dim=1)
        x = torch.cat((a, self.right(b)), 1)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.head(x.mean((2, 3)))


class Odd(nn.Module):
    """With an operation that no rule knows."""

    def __init__(self, channels: int = 3, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 16, 3, 2, 1)
        self.mid = nn.Conv2d(16, 16, 3, 1, 1)
        self.head = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem(x))
        x = self.mid(x).cumsum(1)
        return self.head(x.mean((2, 3)))


class SimpleNet(nn.Module):
    """Hasanpour et al. (2016): 13 convolutions in a row and five pools, no shortcut."""

    def __init__(self, width: float = 1 / 8, channels: int = 3, classes: int = 10) -> None:
        super().__init__()
        rows = (
            *[(64, 3)],
            *[(128, 3)] * 5,
            *[(256, 3)] * 3,
            (512, 3),
            (2048, 1),
            (256, 1),
            (256, 3),
        )
        layers: list[nn.Module] = []
        for number, (wide, kernel_size) in enumerate(rows, start=1):
            own = round(wide * width)
            conv = nn.Conv2d(channels, own, kernel_size, 1, kernel_size // 2, bias=False)
            layers += [conv, nn.BatchNorm2d(own), nn.ReLU(inplace=True)]
            if number in (4, 7, 9, 10, 12):
                layers.append(nn.MaxPool2d(2))
            channels = own
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))  # of 32 px one position is left


MODELS: Sequence[type[nn.Module]] = (
    *(ResNet, MobileNet, ConvNeXt, ViT, TorchViT, Mixer, Swin, DenseNet, Inception, Grouped, Odd),
)


@cache
def trained(model: type[nn.Module]) -> nn.Module:
    """The network with statistics and norms as training leaves them: not 0 and 1."""
    torch.manual_seed(0)
    network = model().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.1, 0.1)
    return network
