"""Full precision: everything stays as it is."""

from typing import ClassVar, final

from torch import nn

from compress.quantize._base import QUANTIZATIONS, AbstractQuantization, LayerStats


@final
@QUANTIZATIONS.register
class NoQuantization(AbstractQuantization):
    """Replaces nothing."""

    layers: ClassVar[tuple[type[nn.Module], ...]] = ()
    on_grid: ClassVar[tuple[type[nn.Module], ...]] = ()
    quantizer: ClassVar[type[nn.Module] | None] = None

    def layer(self, layer: nn.Module, stats: LayerStats) -> nn.Module:
        """The layer itself."""
        return layer
