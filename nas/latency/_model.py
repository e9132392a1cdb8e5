"""A latency model of a target: the call, a sum over slots, and what networks add to it.

The time of a slot, with the joining of what feeds it, is a non-negative combination of its kernels'
count, multiply-adds (dense, depthwise, attention) and activation values written, with slopes of its
own per kind of slot (operator, precision, shifted or not), and what files with slots like it have
taken beyond that (`_corrections.py`). Two terms say what sums miss (measured on onnxruntime: mixed
precision is not additive): the number of changes of precision, and floating-point convolutions in a
network that also has integer ones, which lose their blocked layout. A target names further ones
(`AbstractTarget.context_terms`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from nas.latency._corrections import Correction, corrected
from nas.latency._features import context_units, features, is_float_conv
from nas.latency._rows import kind_of
from nas.targets import choose
from search_spaces import Additive, SearchSpace, Slot, format_of


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """What is fitted.

    Attributes:
        slopes: Kind of slot -> milliseconds per unit of each of `FEATURES`.
        mixed_slopes: The same for floating-point convolutions, in addition, beside integer ones.
        change_ms: Milliseconds per change of precision.
        overhead_ms: Milliseconds that calling the runtime takes by itself.
        context_ms: Milliseconds per unit of each of the target's own terms, by name.
        corrections: Kind of slot -> what files with such slots took beyond the slopes.
    """

    slopes: Mapping[str, Sequence[float]]
    mixed_slopes: Sequence[float]
    change_ms: float
    overhead_ms: float
    context_ms: Mapping[str, float] = field(default_factory=dict)
    corrections: Mapping[str, Correction] = field(default_factory=dict)

    def slots_ms(self, slots: Sequence[Slot]) -> np.ndarray:
        """What slots take, and take more beside integer ones, milliseconds, (2, S)."""
        values_SF = np.array([features(slot) for slot in slots])
        slopes_SF = np.array([self.slopes[kind_of(slot.signature)] for slot in slots])
        own_S = corrected(slots, (values_SF * slopes_SF).sum(axis=1), self.corrections)
        is_float_S = np.array([is_float_conv(slot.signature) for slot in slots])
        return np.stack([own_S, values_SF @ np.asarray(self.mixed_slopes) * is_float_S])

    def around_ms(self, space: SearchSpace, target: str, encodings_NC: np.ndarray) -> np.ndarray:
        """What networks take besides their slots, milliseconds, (N,)."""
        around_N = np.full(len(encodings_NC), self.overhead_ms)
        names = choose(target).target.context_terms
        context_ms = (self.change_ms, *(self.context_ms.get(name, 0.0) for name in names))
        units_TN = context_units(space, target, encodings_NC)
        for ms, units_N in zip(context_ms, units_TN, strict=True):
            around_N += ms * units_N
        return around_N


class LatencyModel:
    """Predicts `latency_ms` of any candidate of a space.

    Args:
        space: With its policy choices.
        target: Whose latency it is, with its options.
        coefficients: As fitted.
    """

    metrics = ("latency_ms",)

    def __init__(self, space: SearchSpace, target: str, coefficients: Coefficients) -> None:
        assert space.tables is not None
        self.space, self.target, self.coefficients = space, target, coefficients
        self._sums = Additive(space.tables, self._terms(), ("own", "integer", "if_mixed"))

    def of(self, metric: str, encodings_NC: np.ndarray) -> np.ndarray:
        """Predicted milliseconds of every encoding, shape (N,)."""
        assert metric == "latency_ms", metric
        encodings_NC = np.asarray(encodings_NC)
        own_N, integer_N, if_mixed_N = (
            self._sums.of(name, encodings_NC) for name in self._sums.metrics
        )
        slots_N: np.ndarray = own_N + if_mixed_N * (integer_N > 0)
        return slots_N + self.coefficients.around_ms(self.space, self.target, encodings_NC)

    def least(self, fixed: Mapping[int, int]) -> float:
        """Milliseconds that no network with these options is predicted to fall below.

        Exact but for what mixing precisions and the target's own terms cost, which is left out.

        Args:
            fixed: Option indices, by index of the choice.
        """
        return self.coefficients.overhead_ms + self._sums.minimum("own", fixed)[0]

    def to_json(self) -> dict[str, Any]:
        """What `from_json` needs besides the space."""
        return {"target": self.target, **asdict(self.coefficients)}

    @staticmethod
    def from_json(document: Mapping[str, Any], space: SearchSpace) -> "LatencyModel":
        """The inverse of `to_json`; what a document does not say of a term is 0."""
        names = ("slopes", "mixed_slopes", "change_ms", "overhead_ms")
        corrections = document.get("corrections", {})
        coefficients = Coefficients(
            **{name: document[name] for name in names},
            context_ms=document.get("context_ms", {}),
            corrections={kind: Correction(**own) for kind, own in corrections.items()},
        )
        model = LatencyModel(space, document["target"], coefficients)
        predicted = model.of("latency_ms", np.zeros((1, len(space.choices)), int))
        if predicted.shape != (1,):  # lists where numbers belong
            raise ValueError(f"of one network it predicts latencies of shape {predicted.shape}")
        return model

    def _terms(self) -> Callable[[Slot], Mapping[str, float]]:
        """What gives one slot's part of the sums; worked out for all slots together."""
        assert self.space.tables is not None
        slots = [slot for slot in self.space.tables.filled if slot is not None]
        own_S, if_mixed_S = self.coefficients.slots_ms(slots).tolist()
        place = {id(slot): number for number, slot in enumerate(slots)}

        def terms(slot: Slot) -> dict[str, float]:
            number = place[id(slot)]
            is_integer = format_of(slot.signature.precision).is_integer
            return {
                "own": own_S[number],
                "integer": float(is_integer),
                "if_mixed": if_mixed_S[number],
            }

        return terms
