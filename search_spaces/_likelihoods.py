"""One likelihood for every option of every choice: what policies that learn by their gradient hold.

Choices are independent, each a softmax over its options. Shapes: C choices of at most O options, N
encodings.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from search_spaces._space import SearchSpace


def even_logits(space: "SearchSpace") -> np.ndarray:
    """Logits with which all options are equally likely: (C, O), minus infinity beyond the last."""
    cardinality_C = np.array(space.cardinalities)
    is_option_CO = np.arange(cardinality_C.max()) < cardinality_C[:, None]
    return np.where(is_option_CO, 0.0, -np.inf)


def likelihoods(logits_CO: np.ndarray) -> np.ndarray:
    """Of every option: (C, O). Those of a choice add up to 1."""
    weight_CO = np.exp(logits_CO - logits_CO.max(axis=1, keepdims=True))
    return np.asarray(weight_CO / weight_CO.sum(axis=1, keepdims=True))


def drawn(logits_CO: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Encodings as likely as the logits say: (n, C), not canonicalised."""
    threshold_CO = likelihoods(logits_CO).cumsum(axis=1)
    found_NC = (rng.random((n, len(logits_CO), 1)) > threshold_CO).sum(axis=2)
    return np.asarray(np.minimum(found_NC, np.isfinite(logits_CO).sum(axis=1) - 1))


def towards(
    logits_CO: np.ndarray, encodings_NC: np.ndarray, is_counted_NC: np.ndarray
) -> np.ndarray:
    """Gradients of the logarithm of encodings' likelihood by logits: (N, C, O).

    Args:
        logits_CO: Of the options.
        encodings_NC: Whose likelihood should rise.
        is_counted_NC: Which of their choices decide about it.
    """
    is_chosen_NCO = np.arange(logits_CO.shape[1]) == encodings_NC[:, :, None]
    return np.where(is_counted_NC[:, :, None], is_chosen_NCO - likelihoods(logits_CO), 0.0)


def entropies(logits_CO: np.ndarray) -> np.ndarray:
    """How undecided every choice is, in nats: (C,). 0 where one option has all likelihood."""
    likelihood_CO = likelihoods(logits_CO)
    return -(likelihood_CO * _log(likelihood_CO)).sum(axis=1)


def entropy_gradient(logits_CO: np.ndarray) -> np.ndarray:
    """Of the sum of `entropies` by logits: (C, O)."""
    likelihood_CO = likelihoods(logits_CO)
    return -likelihood_CO * (_log(likelihood_CO) + entropies(logits_CO)[:, None])


def _log(likelihood_CO: np.ndarray) -> np.ndarray:
    """The logarithm, and 0 of 0: what is never drawn weighs nothing."""
    return np.log(np.where(likelihood_CO > 0.0, likelihood_CO, 1.0))
