"""How formats compute: one file per format, of the name of its declaration in
`search_spaces/formats/`; `_base.py` is the contract.
"""

from compress.quantize._base import QUANTIZATIONS, AbstractQuantization, LayerStats
from compress.quantize._weights import conv_options, weight_and_bias

__all__ = [
    "QUANTIZATIONS",
    "AbstractQuantization",
    "LayerStats",
    "conv_options",
    "weight_and_bias",
]
