"""How formats compute: one file per format, of the name of its declaration in
`search_spaces/formats/`; `_base.py` is the contract.
"""

from compress.quantize._base import QUANTIZATIONS, AbstractQuantization, LayerStats

__all__ = ["QUANTIZATIONS", "AbstractQuantization", "LayerStats"]
