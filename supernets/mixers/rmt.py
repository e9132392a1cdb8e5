"""Manhattan self-attention.

Source: Fan et al., RMT (2024); declaration and departures in search_spaces/operators/rmt.py.
Shapes: B batch, H W space, I J positions, T all of them, N heads, D channels of a head, C channels.
"""

from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.rmt import EXTENT, FULL, LOCAL_KERNEL_SIZE
from supernets._elastic import Axes, Index
from supernets._heads import QKV_AXES, QKV_WITHOUT_GRADIENT, AbstractHeads
from supernets._modules import NORM_EPS
from supernets._positions import positions
from supernets.mixers._attention import AbstractElasticAttention
from supernets.mixers._base import MIXERS

FIRST, RANGE = 2.0, 4.0
"""Decays are 1 - 2 ** -e with exponents e from the first on, evenly over the heads."""


class PlainRMT(AbstractHeads):
    """Norm, attention with decays, convolution of the values beside it, projection."""

    decay_N: Tensor
    rows_11H: Tensor
    columns_11W: Tensor

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick, shape = signature.pick, signature.shape
        self.size, self.is_full = shape.size, pick[EXTENT] == FULL
        self.heads, self.head_dim = signature.kept.number("heads"), pick.number("head_dim")
        self.inner = self.heads * self.head_dim
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
        self.qkv = nn.Linear(shape.width, 3 * self.inner)
        reach = LOCAL_KERNEL_SIZE // 2
        self.local = nn.Conv2d(
            self.inner, self.inner, LOCAL_KERNEL_SIZE, padding=reach, groups=self.inner
        )
        self.project = nn.Linear(self.inner, shape.width)
        # Logarithms; a buffer of the state, because a head that is kept keeps its decay.
        self.register_buffer("decay_N", log_decays(self.heads))
        self.register_buffer("rows_11H", positions(self.size[0]), persistent=False)
        self.register_buffer("columns_11W", positions(self.size[1]), persistent=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        q, k, v = self.split_parts(self.qkv(self.norm(x_BHWC)), self.size, 3)
        q = q * self.head_dim**-0.5
        mixed_BNHWD = self._full(q, k, v) if self.is_full else self._axial(q, k, v)
        values_BCHW = v.permute(0, 1, 4, 2, 3).reshape(-1, self.inner, *self.size)
        local_BHWC = self.local(values_BCHW).permute(0, 2, 3, 1)
        mixed = mixed_BNHWD.permute(0, 2, 3, 1, 4).reshape(-1, *self.size, self.inner)
        return self.project(mixed + local_BHWC)

    def fading(self) -> tuple[Tensor, Tensor]:
        """What decays take off logits between rows, (N, H, H), and between columns, (N, W, W)."""
        decay_N11 = self.decay_N.reshape(-1, 1, 1)
        scaled_N1H, scaled_N1W = decay_N11 * self.rows_11H, decay_N11 * self.columns_11W
        return (
            (scaled_N1H - scaled_N1H.transpose(1, 2)).abs(),
            (scaled_N1W - scaled_N1W.transpose(1, 2)).abs(),
        )

    def full_fading(self) -> Tensor:
        """What they take off logits between all positions, (N, T, T)."""
        (height, width), tokens = self.size, self.size[0] * self.size[1]
        of_rows, of_columns = self.fading()
        of_rows = of_rows.reshape(-1, height, 1, height, 1)
        both = of_rows + of_columns.reshape(-1, 1, width, 1, width)
        return both.reshape(-1, tokens, tokens)

    def _axial(self, q_BNHWD: Tensor, k_BNHWD: Tensor, v_BNHWD: Tensor) -> Tensor:
        """Along every row, then along every column."""
        of_rows, of_columns = self.fading()
        logits_BNHWW = q_BNHWD @ k_BNHWD.transpose(-2, -1) - of_columns.unsqueeze(1)
        v_BNHWD = logits_BNHWW.softmax(-1) @ v_BNHWD
        q_BNWHD, k_BNWHD, v_BNWHD = (x.transpose(2, 3) for x in (q_BNHWD, k_BNHWD, v_BNHWD))
        logits_BNWHH = q_BNWHD @ k_BNWHD.transpose(-2, -1) - of_rows.unsqueeze(1)
        return (logits_BNWHH.softmax(-1) @ v_BNWHD).transpose(2, 3)

    def _full(self, q_BNHWD: Tensor, k_BNHWD: Tensor, v_BNHWD: Tensor) -> Tensor:
        """Over the map."""
        tokens = self.size[0] * self.size[1]
        q, k, v = (
            x.reshape(-1, self.heads, tokens, self.head_dim) for x in (q_BNHWD, k_BNHWD, v_BNHWD)
        )
        weights_BNTT = (q @ k.transpose(-2, -1) - self.full_fading()).softmax(-1)
        return (weights_BNTT @ v).reshape(-1, self.heads, *self.size, self.head_dim)


def log_decays(heads: int) -> Tensor:
    """Logarithm of the decay of every head, (N,)."""
    exponents_N = FIRST + RANGE * torch.arange(heads, dtype=torch.float32) / heads
    return torch.log(1 - 2**-exponents_N)


@final
@MIXERS.register
class ElasticRMT(AbstractElasticAttention):
    """Elastic width and heads, either form; whole heads can be pruned, with their decays."""

    plain: ClassVar[type[nn.Module]] = PlainRMT
    axes: ClassVar[Axes] = {
        **QKV_AXES,
        "local.weight": ("inner", None, None, None),
        "local.bias": ("inner",),
        "decay_N": ("heads",),
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = QKV_WITHOUT_GRADIENT

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows and columns of matrices, kernels and decays follow the heads."""
        return self.head_sizes(signature)
