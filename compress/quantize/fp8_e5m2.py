"""Floating-point numbers of eight bits with two of mantissa: see `_small_floats.py`.

Source: Micikevicius et al., FP8 Formats for Deep Learning (2022), table 1. Departure: the paper
keeps this format for gradients; here it is of weights and activations, as the other one.
"""

from typing import ClassVar, final

import torch

from compress.quantize._base import QUANTIZATIONS
from compress.quantize._small_floats import AbstractSmallFloatQuantization


@final
@QUANTIZATIONS.register
class FP8E5M2Quantization(AbstractSmallFloatQuantization):
    """Relative errors of 1/8 at most, down to 2^-14."""

    dtype: ClassVar[torch.dtype] = torch.float8_e5m2
