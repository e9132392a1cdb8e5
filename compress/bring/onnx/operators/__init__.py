"""What each operator of ONNX does, in torch's functions; the files of this folder register it.

An operator is given its node, and what it reads: tensors, numbers (arrays of NumPy, of which sizes
of batches are symbols while a network is traced), or None where nothing is given.

Source: the specification of ONNX's operators, opsets 13 to 20 (onnx.ai/onnx/operators).
"""

from compress.bring.onnx.operators import arithmetic as arithmetic
from compress.bring.onnx.operators import layers as layers
from compress.bring.onnx.operators import pooling as pooling
from compress.bring.onnx.operators import shapes as shapes
from compress.bring.onnx.operators import sizes as sizes
from compress.bring.onnx.operators._base import OPERATORS as OPERATORS
