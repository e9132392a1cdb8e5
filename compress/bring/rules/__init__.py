"""What each operation of torch does to axes; the files of this folder register it."""

from compress.bring.rules import layers as layers
from compress.bring.rules import pointwise as pointwise
from compress.bring.rules import products as products
from compress.bring.rules import shapes as shapes
from compress.bring.rules._base import apply_rule as apply_rule
