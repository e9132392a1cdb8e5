"""The contract of an allocation: from what is known of a network's parts to one policy.

Which parts lose how much matters more than which of their members do. An allocation decides it for
the limits of a problem without trying: the first candidates of a search are such policies
(`nas/prepare/starts.py`).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from nas.problem.problem import Problem
from search_spaces import Registry


@dataclass(frozen=True)
class Weight:
    """A tensor of weights that pruning makes smaller.

    Attributes:
        shape: Of the whole one; outputs first.
        columns: Choices that make it smaller, by their places in the space.
        num_axes: How many of its axes get shorter.
        scores: How much the network's output hangs on each weight, 1-D; empty where nobody asked.
    """

    shape: tuple[int, ...]
    columns: tuple[int, ...]
    num_axes: int
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0), compare=False)


@dataclass(frozen=True, kw_only=True)
class Compressible:
    """A network that is to be compressed, and what is known of its parts.

    Attributes:
        problem: Its modelled limits are to be met.
        base: The network as it is, an encoding.
        columns: The choices that may be decided, by their places in the space; in all others the
            network stays as it is.
        distortions: By choice, what each option alone does to the network's outputs, (K,); 0 for
            its option in `base`.
        importance: By choice of a sparsity, how important each member of its groups is, 1-D.
        weights: That one of the choices makes smaller.
    """

    problem: Problem
    base: tuple[int, ...]
    columns: tuple[int, ...]
    distortions: Mapping[int, np.ndarray] = field(default_factory=dict)
    importance: Mapping[int, np.ndarray] = field(default_factory=dict)
    weights: Sequence[Weight] = ()

    @cached_property
    def sparsities(self) -> dict[int, np.ndarray]:
        """Of the choices that may be decided, those of a sparsity: what their options remove."""
        found = {column: self.problem.space.choices[column].options for column in self.columns}
        return {
            column: np.array(options, float)
            for column, options in found.items()
            if not isinstance(options[0], str)
        }

    def pruned(self, removed_LS: np.ndarray) -> np.ndarray:
        """The network with the options that come closest to what is to be removed: (L, C).

        Args:
            removed_LS: Shares, one column for each of `sparsities`, in their order.
        """
        rows_LC = np.tile(np.array(self.base), (len(removed_LS), 1))
        for removed_L, (column, options_K) in zip(
            removed_LS.T, self.sparsities.items(), strict=True
        ):
            rows_LC[:, column] = np.abs(removed_L[:, None] - options_K).argmin(axis=1)
        return rows_LC

    def first_within(self, rows_LC: np.ndarray) -> tuple[int, ...] | None:
        """The canonical form of the first row within all modelled limits; None if there is none."""
        places = np.flatnonzero(self.problem.is_feasible(rows_LC))
        return self.problem.space.canonical(rows_LC[places[0]]) if len(places) else None


class AbstractAllocation(ABC):
    """Decides how much of each part goes. Plug-ins have no state."""

    needs: frozenset[str] = frozenset()
    """What is to be known: any of `distortions`, `importance` and `scores` (of weights)."""

    @abstractmethod
    def allocate(self, network: Compressible) -> tuple[int, ...] | None:
        """The canonical encoding of a policy within the problem's modelled limits.

        Args:
            network: With what this way needs to know.

        Returns:
            None if there is none, or this way leads to none. The network as it is, if that is
            within the limits.
        """


ALLOCATIONS = Registry("nas.allocations", "allocation", AbstractAllocation)
NO_ALLOCATION = "none"
"""What is said instead of a name where a search is to begin without any."""
