"""S4 with a diagonal state matrix: the kernel is what a linear recurrence answers to an impulse.

Source: Gu et al., Efficiently Modeling Long Sequences with Structured State Spaces (2022): x' = A x
+ B u, y = C x + D u, evaluated as a convolution; A is diagonal, as in Gu et al., On the
Parameterization and Initialization of Diagonal State Space Models (2022), with its zero-order hold,
B of ones and modes that begin as decaying waves of the frequencies pi * n (S4D-Lin). Departures:
columns and rows of a map, one after the other, in place of a sequence (`_long.py`); both directions
share A and the step and have a C each, the backward one from distance 1 on; steps begin between
0.05 and 1 of a pixel, for maps of 8 to 32 px instead of sequences of thousands; A and the step take
the rate and weight decay of other depthwise weights; the slot's channel part follows instead of
activation and linear layer.
"""

from typing import ClassVar, final

from search_spaces._choice import Options
from search_spaces._slot import Shape
from search_spaces.operators._base import OPERATORS
from search_spaces.operators._long import AbstractLongMixer


@final
@OPERATORS.register
class S4D(AbstractLongMixer):
    """Long kernels of a diagonal state space, deployed as their taps."""

    mixer_dims: ClassVar[tuple[str, ...]] = ("num_modes",)

    def kernel_pick(self, pick: Options, shape: Shape) -> Options:
        """The number of modes: decaying waves, each a pair of conjugate states."""
        return Options({"num_modes": pick["num_modes"]})

    def kernel_params(self, pick: Options, side: int) -> int:
        """Of every mode decay, frequency and two complex coefficients; a step and a skip."""
        return 6 * pick.number("num_modes") + 2
