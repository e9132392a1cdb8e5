"""Scans: states that are carried from token to token, worked out for all tokens at once.

In a chunk of T tokens h[t] = a[t] * h[t - 1] + u[t] is e[t] * (h[-1] + sum over s <= t of
u[s] / e[s]), where e[t] is the product of a[0] to a[t]. The sum is a product with a triangular
matrix; h[-1] is the same for the chunks before, level by level, until one is left. So that neither
e nor 1 / e leaves the range of fp32, both are taken relative to the root of the chunk's decay.
`search_spaces/_scans.py` says how tokens are cut and what that costs.

Sources: Gu and Dao, Mamba: Linear-Time Sequence Modeling with Selective State Spaces (2023),
section 3; Yang et al., Gated Linear Attention Transformers with Hardware-Efficient Training (2024),
section 4. Departure: decays are bounded to make that possible. A token of linear attention, whose
products of queries and keys hold 1 / e once more, keeps at least exp(-80 / T) of the state, 0.007
where T is 16; of other scans its square, 0.00005.

Shapes: B batch, with all that is scanned alike, L tokens, C chunks, T tokens of a chunk, K keys,
V values, W decays of a key (1 or V), D channels of either.
"""

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces._scans import chunk_lengths

LEAST_LOG = -80.0
"""Of what is taken the exponential of, and its negative the most: about 6e34."""


@final
class Recurrence(nn.Module):
    """States of all tokens, by their decays and inputs.

    Args:
        tokens: L.
        keys: K.
        values: V.
        decays: W.
        is_before: Whether states are those before a token's own input and decay.
    """

    earlier_TT: Tensor
    least: Tensor

    def __init__(
        self, tokens: int, keys: int, values: int, decays: int, *, is_before: bool = False
    ) -> None:
        super().__init__()
        self.keys, self.values, self.decays = keys, values, decays
        self.tokens, self.is_before = tokens, is_before
        self.length, *above = chunk_lengths(tokens)
        self.chunks = math.prod(above)
        self.missing = self.length * self.chunks - tokens
        self.carried = (
            Recurrence(self.chunks, keys, values, decays, is_before=True) if above else None
        )
        with torch.device("cpu"):  # not part of the state, and real on the meta device
            earlier_TT = torch.ones(self.length, self.length).tril(-1)
            least = torch.full((1,), 2 * LEAST_LOG / self.length)
        self.register_buffer("earlier_TT", earlier_TT, persistent=False)
        self.register_buffer("least", least, persistent=False)

    def forward(self, log_BLKW: Tensor, u_BLKV: Tensor) -> Tensor:
        """(B, L, K, V).

        Args:
            log_BLKW: Logarithms of the decays, at most 0.
            u_BLKV: Inputs.
        """
        if self.missing:
            log_BLKW = F.pad(log_BLKW, (0, 0, 0, 0, 0, self.missing))
            u_BLKV = F.pad(u_BLKV, (0, 0, 0, 0, 0, self.missing))
        chunks = -1, self.chunks, self.length, self.keys
        log_BCTKW = torch.maximum(log_BLKW.reshape(*chunks, self.decays), self.least)
        sum_BCTKW = log_BCTKW.cumsum(2)
        whole_BCKW = sum_BCTKW.select(2, -1)
        root_BCKW = whole_BCKW * 0.5
        power_BCTKW = sum_BCTKW - root_BCKW.unsqueeze(2)
        # Not divided by e: the gradient of a division has its square, which is 0 in fp32.
        own_BCTKV = u_BLKV.reshape(*chunks, self.values) * (-power_BCTKW).exp()
        rows = own_BCTKV.reshape(-1, self.chunks, self.length, self.keys * self.values)
        rows = self.earlier_TT.to(rows.dtype) @ rows
        before_BCTKV = rows.reshape(*chunks, self.values)
        if self.carried is not None:
            scale_BCKW = root_BCKW.exp()
            input_BCKV = before_BCTKV.select(2, -1) + own_BCTKV.select(2, -1)
            carried_BCKV = self.carried(whole_BCKW, input_BCKV * scale_BCKW)
            before_BCTKV = before_BCTKV + (carried_BCKV * scale_BCKW).unsqueeze(2)
        if self.is_before:
            states = before_BCTKV * (power_BCTKW - log_BCTKW).exp()
        else:
            states = (before_BCTKV + own_BCTKV) * power_BCTKW.exp()
        states = states.reshape(-1, self.chunks * self.length, self.keys, self.values)
        return states.narrow(1, 0, self.tokens) if self.missing else states


@final
class GatedLinearAttention(nn.Module):
    """S[t] = diag(a[t]) S[t - 1] + k[t] v[t]^T, of which each token reads q[t]^T S[t].

    Args:
        tokens: L.
        key_dim: K.
        value_dim: V.
    """

    until_TT: Tensor
    least: Tensor

    def __init__(self, tokens: int, key_dim: int, value_dim: int) -> None:
        super().__init__()
        self.tokens, self.key_dim, self.value_dim = tokens, key_dim, value_dim
        self.length, *above = chunk_lengths(tokens)
        self.chunks = math.prod(above)
        self.missing = self.length * self.chunks - tokens
        self.carried = (
            Recurrence(self.chunks, key_dim, value_dim, 1, is_before=True) if above else None
        )
        with torch.device("cpu"):  # as those of `Recurrence`
            until_TT = torch.ones(self.length, self.length).tril()
            least = torch.full((1,), LEAST_LOG / self.length)
        self.register_buffer("until_TT", until_TT, persistent=False)
        self.register_buffer("least", least, persistent=False)

    def forward(self, q_BLK: Tensor, k_BLK: Tensor, v_BLV: Tensor, log_BLK: Tensor) -> Tensor:
        """(B, L, V).

        Args:
            q_BLK: Queries.
            k_BLK: Keys.
            v_BLV: Values.
            log_BLK: Logarithms of the decays, at most 0.
        """
        q, k, log = (self._chunks(x, self.key_dim) for x in (q_BLK, k_BLK, log_BLK))
        v, log = self._chunks(v_BLV, self.value_dim), torch.maximum(log, self.least)
        sum_BCTK = log.cumsum(2)
        decay_BCTK = sum_BCTK.exp()
        q, k_BCKT = q * decay_BCTK, (k * (-sum_BCTK).exp()).transpose(-2, -1)
        read = ((q @ k_BCKT) * self.until_TT) @ v
        if self.carried is not None:
            last_BCK1 = decay_BCTK.select(2, -1).unsqueeze(-1)
            sum_BCK1 = sum_BCTK.select(2, -1).unsqueeze(-1)
            read = read + q @ self.carried(sum_BCK1, (k_BCKT @ v) * last_BCK1)
        read = read.reshape(-1, self.chunks * self.length, self.value_dim)
        return read.narrow(1, 0, self.tokens) if self.missing else read

    def _chunks(self, x_BLD: Tensor, channels: int) -> Tensor:
        """(B, C, T, D)."""
        if self.missing:
            x_BLD = F.pad(x_BLD, (0, 0, 0, self.missing))
        return x_BLD.reshape(-1, self.chunks, self.length, channels)
