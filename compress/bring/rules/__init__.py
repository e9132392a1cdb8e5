"""What each operation of torch does to axes."""

from compress.bring.rules import layers as _layers
from compress.bring.rules import pointwise as _pointwise
from compress.bring.rules import products as _products
from compress.bring.rules import shapes as _shapes
from compress.bring.rules._base import apply_rule as apply_rule
from compress.bring.rules._base import rule as rule

_ = (_layers, _pointwise, _products, _shapes)  # which register themselves
