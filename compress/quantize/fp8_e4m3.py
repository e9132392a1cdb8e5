"""Floating-point numbers of eight bits with three of mantissa: see `_small_floats.py`.

Source: Micikevicius et al., FP8 Formats for Deep Learning (2022), table 1.
"""

from typing import ClassVar, final

import torch

from compress.quantize._base import QUANTIZATIONS
from compress.quantize._small_floats import AbstractSmallFloatQuantization


@final
@QUANTIZATIONS.register
class FP8E4M3Quantization(AbstractSmallFloatQuantization):
    """Relative errors of 1/16 at most, down to 2^-6."""

    dtype: ClassVar[torch.dtype] = torch.float8_e4m3fn
