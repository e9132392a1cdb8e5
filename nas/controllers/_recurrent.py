"""A small recurrent network that decides one choice after the other, and its gradient.

Its weights know nothing of a space: a step reads features of a choice and of the option that was
taken before it, and options have features, too. So the same weights decide about any network.

Long short-term memory as in Hochreiter and Schmidhuber, Long Short-Term Memory (1997), with a
forget gate. Departures: no peepholes; an option's score is a product of its features with what the
memory says, instead of an output of its own, because choices differ in their options.

Shapes: B sequences, T choices of at most O options, I inputs, H of memory, F features of an option.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """The choices in the order of decisions.

    Attributes:
        inputs_TI: Features of each.
        options_TOF: Features of their options; 0 beyond the last.
        is_option_TO: Which options there are.
    """

    inputs_TI: np.ndarray
    options_TOF: np.ndarray
    is_option_TO: np.ndarray

    @property
    def num_read(self) -> int:
        """Numbers that a step reads: of the choice and of the option before."""
        return self.inputs_TI.shape[1] + self.options_TOF.shape[2]


@dataclass(frozen=True)
class Recurrent:
    """Weights of the network.

    Attributes:
        gates_RG: From what is read, the output before and 1 to the four gates, 4 H of them: what
            comes in, what is kept, what goes out, and the new content.
        scores_RF: From the output and 1 to factors of the features of options.
    """

    gates_RG: np.ndarray
    scores_RF: np.ndarray

    @staticmethod
    def fresh(num_read: int, memory: int, features: int, rng: np.random.Generator) -> "Recurrent":
        """Small random weights; all options are about equally likely.

        Args:
            num_read: What a step reads.
            memory: H.
            features: F.
            rng: All draws come from it.
        """
        shapes = (num_read + memory + 1, 4 * memory), (memory + 1, features)
        gates, scores = (0.1 * rng.standard_normal(shape) for shape in shapes)
        return Recurrent(gates, scores)

    @property
    def memory(self) -> int:
        """Of the output and of the content, each: H."""
        return len(self.scores_RF) - 1

    def plus(self, step: "Recurrent", length: float) -> "Recurrent":
        """A step with that factor from here."""
        return Recurrent(
            self.gates_RG + length * step.gates_RG, self.scores_RF + length * step.scores_RF
        )

    @property
    def norm(self) -> float:
        """Euclidean, of all weights."""
        return float(np.hypot(np.linalg.norm(self.gates_RG), np.linalg.norm(self.scores_RF)))

    def drawn(self, decisions: Decisions, n: int, rng: np.random.Generator) -> np.ndarray:
        """Options of every choice, each as likely as the network says after those before: (n, T).

        Args:
            decisions: The choices.
            n: How many sequences.
            rng: All draws come from it.
        """
        output_BH = content_BH = np.zeros((n, self.memory))
        before_BF = np.zeros((n, decisions.options_TOF.shape[2]))
        taken = []
        for choice, options_OF in enumerate(decisions.options_TOF):
            inputs_BI = np.repeat(decisions.inputs_TI[[choice]], n, axis=0)
            read_BR = _with_one(inputs_BI, before_BF, output_BH)
            output_BH, content_BH, _ = self._step(read_BR, content_BH)
            likelihood_BO = self._likelihood(output_BH, options_OF, decisions.is_option_TO[choice])
            taken_B = (rng.random((n, 1)) > likelihood_BO.cumsum(axis=1)).sum(axis=1)
            taken_B = np.minimum(taken_B, decisions.is_option_TO[choice].sum() - 1)
            before_BF = options_OF[taken_B]
            taken.append(taken_B)
        return np.stack(taken, axis=1)

    def likelihoods(self, decisions: Decisions, taken_T: np.ndarray) -> np.ndarray:
        """Of all options of every choice, given those that were taken before it: (T, O)."""
        return np.concatenate([step.likelihood_1O for step in self._steps(decisions, taken_T)])

    def gradient(
        self, decisions: Decisions, taken_T: np.ndarray, is_counted_T: np.ndarray
    ) -> "Recurrent":
        """Of the logarithm of the likelihood of options, by all weights.

        Args:
            decisions: The choices.
            taken_T: Index of the option that was taken.
            is_counted_T: Which choices decide about it; the others are read all the same.
        """
        steps = self._steps(decisions, taken_T)
        gates_RG, scores_RF = np.zeros_like(self.gates_RG), np.zeros_like(self.scores_RF)
        outputs = slice(decisions.num_read, decisions.num_read + self.memory)
        by_output_1H = by_content_1H = np.zeros((1, self.memory))
        for choice in reversed(range(len(steps))):
            step, options_OF = steps[choice], decisions.options_TOF[choice]
            is_taken_1O = np.arange(len(options_OF)) == taken_T[choice]
            logits_1O = is_counted_T[choice] * (is_taken_1O - step.likelihood_1O)
            factors_1F = logits_1O @ options_OF
            scores_RF += _with_one(step.output_1H).T @ factors_1F
            by_output_1H = by_output_1H + factors_1F @ self.scores_RF[:-1].T
            comes_in, kept, goes_out, new = step.gates
            squashed = np.tanh(step.content_1H)
            by_content_1H = by_content_1H + by_output_1H * goes_out * (1 - squashed**2)
            by_gate = (
                by_content_1H * new * comes_in * (1 - comes_in),
                by_content_1H * step.before_1H * kept * (1 - kept),
                by_output_1H * squashed * goes_out * (1 - goes_out),
                by_content_1H * comes_in * (1 - new**2),
            )
            gates_1G = np.concatenate(by_gate, axis=1)
            gates_RG += step.read_1R.T @ gates_1G
            by_output_1H = (gates_1G @ self.gates_RG.T)[:, outputs]
            by_content_1H = by_content_1H * kept
        return Recurrent(gates_RG, scores_RF)

    def _steps(self, decisions: Decisions, taken_T: np.ndarray) -> list["_Step"]:
        """What the network computes along one sequence of options."""
        output_1H = content_1H = np.zeros((1, self.memory))
        before_1F = np.zeros((1, decisions.options_TOF.shape[2]))
        steps = []
        for choice, options_OF in enumerate(decisions.options_TOF):
            read_1R = _with_one(decisions.inputs_TI[[choice]], before_1F, output_1H)
            output_1H, new_1H, gates = self._step(read_1R, content_1H)
            likelihood_1O = self._likelihood(output_1H, options_OF, decisions.is_option_TO[choice])
            steps.append(_Step(read_1R, content_1H, gates, new_1H, output_1H, likelihood_1O))
            content_1H, before_1F = new_1H, options_OF[[taken_T[choice]]]
        return steps

    def _step(
        self, read_BR: np.ndarray, content_BH: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
        """Output and content after one more choice, and the gates."""
        *opened, new = np.split(read_BR @ self.gates_RG, 4, axis=1)
        comes_in, kept, goes_out = (expit(gate) for gate in opened)
        new = np.tanh(new)
        content_BH = kept * content_BH + comes_in * new
        return goes_out * np.tanh(content_BH), content_BH, (comes_in, kept, goes_out, new)

    def _likelihood(
        self, output_BH: np.ndarray, options_OF: np.ndarray, is_option_O: np.ndarray
    ) -> np.ndarray:
        """Of every option: (B, O)."""
        logits_BO = _with_one(output_BH) @ self.scores_RF @ options_OF.T
        logits_BO = np.where(is_option_O, logits_BO, -np.inf)
        weight_BO = np.exp(logits_BO - logits_BO.max(axis=1, keepdims=True))
        return np.asarray(weight_BO / weight_BO.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class _Step:
    """One decision: what was read, the content before, the gates, content and output after."""

    read_1R: np.ndarray
    before_1H: np.ndarray
    gates: tuple[np.ndarray, ...]
    content_1H: np.ndarray
    output_1H: np.ndarray
    likelihood_1O: np.ndarray


def _with_one(*parts_BX: np.ndarray) -> np.ndarray:
    """Side by side, with a column of ones at the end."""
    return np.concatenate([*parts_BX, np.ones((len(parts_BX[0]), 1))], axis=1)
