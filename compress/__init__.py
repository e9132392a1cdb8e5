"""From a supernet and a policy to a small plain network, and from there to files.

`compress(supernet, candidate, ...)` extracts, prunes, recalibrates, folds and quantizes in that
order; `export_onnx` writes what it returns.
"""

from compress.apply import Compressed as Compressed
from compress.apply import compress as compress
from compress.export import export_onnx as export_onnx
from compress.plan import Plan as Plan
from compress.plan import plan_compression as plan_compression
