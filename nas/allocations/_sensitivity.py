"""What each option of each choice alone does to a network's outputs: measured, or interpolated.

Source: Xu et al., Efficient Joint Optimization of Layer-Adaptive Weight Pruning in Deep Neural
Networks (2023), as `nas/allocations/distortion.py`. Departure: where not all options were measured,
distortion is taken for a power of the sparsity between those that were, the square below the first
one; a choice of which nothing was measured has the mean of others' options of the same value.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search_spaces import Option, SearchSpace

POWER = 2.0
"""Of the sparsity, below the least that was measured and where nothing was."""

LEAST = 0.05
"""Times the least distortion of a usual part: of what nothing is done to, for logarithms."""

FAILED = 100.0
"""Times the largest distortion: of options that cannot be carried out."""


@dataclass(frozen=True)
class Change:
    """What was measured of one policy.

    Attributes:
        options: Of the choices in which it differs from the network as it is.
        distortion: Squared difference of outputs, summed over outputs, mean of images; NaN if the
            policy cannot be carried out.
        loss: Of the task.
        seconds: That this took.
    """

    options: Mapping[str, Option]
    distortion: float
    loss: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        numbers = {"distortion": self.distortion, "loss": self.loss, "seconds": self.seconds}
        finite = {name: v if np.isfinite(v) else None for name, v in numbers.items()}
        return {"options": dict(self.options), **finite}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> "Change":
        """The inverse of `to_json`."""
        numbers = (document[name] for name in ("distortion", "loss", "seconds"))
        found = [float("nan") if value is None else float(value) for value in numbers]
        return Change(dict(document["options"]), *found)


@dataclass(frozen=True)
class Sensitivity:
    """All measurements of one network.

    Attributes:
        space: With its policy choices.
        base: The network as it is, an encoding.
        changes: Single ones and joint ones.
    """

    space: SearchSpace
    base: tuple[int, ...]
    changes: Sequence[Change]

    def distortions(self, columns: Sequence[int]) -> dict[int, np.ndarray]:
        """By choice the distortion of each of its options, (K,); 0 for that of the network."""
        known = self._single()
        largest = max((d for found in known.values() for d in found.values()), default=1.0)
        by_value: dict[Option, list[float]] = {}
        for column, found in known.items():
            for option, distortion in found.items():
                by_value.setdefault(self.space.choices[column].options[option], []).append(
                    distortion
                )
        means = {value: float(np.mean(found)) for value, found in by_value.items()}
        return {
            column: self._curve(column, known.get(column, {}), means, largest) for column in columns
        }

    def joint(self) -> Iterator[tuple[Change, float]]:
        """Measured policies of several changes, and the sums of what these do alone."""
        columns = [i for i, choice in enumerate(self.space.choices) if len(choice.options) > 1]
        distortions = self.distortions(columns)
        for change in self.changes:
            if len(change.options) > 1 and change.distortion > 0.0:
                places = [(self.space.index(name), o) for name, o in change.options.items()]
                chosen = [(c, self.space.choices[c].options.index(o)) for c, o in places]
                yield change, float(sum(distortions[c][option] for c, option in chosen))

    def summed(self, columns: Sequence[int]) -> "Summed":
        """What policies of these choices are expected to lose."""
        distortions = self.distortions(columns)
        smallest = [d_K[d_K > 0.0].min() for d_K in distortions.values() if (d_K > 0.0).any()]
        return Summed(distortions, LEAST * float(np.median(smallest)) if smallest else 1.0)

    def _single(self) -> dict[int, dict[int, float]]:
        """Distortions of single changes by choice and option, finite ones or those that failed."""
        found: dict[int, dict[int, float]] = {}
        single = [change for change in self.changes if len(change.options) == 1]
        largest = max([c.distortion for c in single if np.isfinite(c.distortion)], default=1.0)
        for change in single:
            ((name, option),) = change.options.items()
            column = self.space.index(name)
            place = self.space.choices[column].options.index(option)
            value = change.distortion if np.isfinite(change.distortion) else FAILED * largest
            found.setdefault(column, {})[place] = value
        return found

    def _curve(
        self, column: int, known: Mapping[int, float], means: Mapping[Option, float], largest: float
    ) -> np.ndarray:
        """All options of one choice, from those that were measured.

        Args:
            column: Which choice.
            known: By option, what was measured of it.
            means: By value of an option, of all choices that were measured.
            largest: Of all that was measured.
        """
        options, own = self.space.choices[column].options, self.base[column]
        found = {**known, own: 0.0}
        if not known:
            found |= {k: means[o] for k, o in enumerate(options) if o in means and k != own}
        if isinstance(options[0], str):
            return np.array([found.get(k, largest) for k in range(len(options))])
        numbers_K = np.array(options, float)
        places = sorted((k for k in found if k != own), key=numbers_K.__getitem__)
        if not places:
            return (numbers_K / max(numbers_K.max(), 1e-9)) ** POWER * largest
        curve_K = _powers(numbers_K, numbers_K[places], np.array([found[k] for k in places]))
        curve_K[[*found]] = [*found.values()]
        same = [self._same(column, option) for option in range(len(options))]
        return curve_K[same]

    def _same(self, column: int, option: int) -> int:
        """The first option that makes the same network."""
        changed = [*self.base]
        changed[column] = option
        return self.space.canonical(changed)[column]


@dataclass(frozen=True, eq=False)
class Summed:
    """How much policies are expected to lose: the logarithm of what their parts do in sum.

    Attributes:
        distortions: By choice, of each of its options, (K,).
        least: Added to all sums.
    """

    distortions: Mapping[int, np.ndarray]
    least: float

    def __call__(self, encodings_NC: np.ndarray) -> np.ndarray:
        """Of every encoding, (N,)."""
        total_N = np.full(len(encodings_NC), self.least)
        for column, distortion_K in self.distortions.items():
            total_N += distortion_K[encodings_NC[:, column]]
        return np.asarray(np.log(total_N))


def _powers(sparsity_K: np.ndarray, known_P: np.ndarray, distortion_P: np.ndarray) -> np.ndarray:
    """Distortions at all sparsities: straight lines between known ones if both are logarithms."""
    least = max(1e-12, 1e-6 * float(distortion_P.max()))
    x_P, y_P = np.log(np.maximum(known_P, 1e-9)), np.log(np.maximum(distortion_P, least))
    x_K = np.log(np.maximum(sparsity_K, 1e-9))
    y_K = np.interp(x_K, x_P, y_P)
    outside_K = np.minimum(x_K - x_P[0], 0.0) + np.maximum(x_K - x_P[-1], 0.0)
    curve_K: np.ndarray = np.exp(y_K + POWER * outside_K)
    return curve_K
