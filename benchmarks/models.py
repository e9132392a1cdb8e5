"""Which kind of model ranks networks best from few of them: `predictor`'s process and others.

    python benchmarks/models.py [--tables 5]

Each is fitted to the same random networks of a made-up table (benchmarks/families.py), on the scale
that `predictor` uses, and ranks 400 others: Kendall tau, mean over tables. Ridge, forest, boosting
and the small network are scikit-learn's, on one-hot encodings.
"""

import argparse
import warnings
from collections.abc import Callable

import numpy as np
from controllers import one_hot
from families import FAMILIES
from scipy.stats import kendalltau
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor

from nas.bench.benchmark import mean
from nas.controllers._base import one_blas_thread
from nas.controllers._beliefs import Warp
from nas.controllers._gaussian_process import GaussianProcess, features_of, fit_kernel
from search_spaces import SearchSpace

SIZES, OTHERS = (16, 32, 64, 128), 400

Model = Callable[[SearchSpace, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Space, encodings and standardised targets to learn from, encodings to predict: predictions."""


def process(
    space: SearchSpace, rows_NC: np.ndarray, target_N: np.ndarray, others_KC: np.ndarray
) -> np.ndarray:
    """The Gaussian process of `predictor`."""
    features = features_of(space)
    rows_NF = features(rows_NC, space.is_active(rows_NC))
    kernel = fit_kernel(rows_NF, target_N, features)
    others_KF = features(others_KC, space.is_active(others_KC))
    return GaussianProcess.of(kernel, rows_NF, target_N).predict(others_KF)[0]


def of_sklearn(make: Callable[[], object]) -> Model:
    """A model of scikit-learn."""

    def model(
        space: SearchSpace, rows_NC: np.ndarray, target_N: np.ndarray, others_KC: np.ndarray
    ) -> np.ndarray:
        fitted = make().fit(one_hot(rows_NC, space.cardinalities), target_N)  # type: ignore[attr-defined]
        return np.asarray(fitted.predict(one_hot(others_KC, space.cardinalities)))

    return model


MODELS: dict[str, Model] = {
    "predictor": process,
    "ridge": of_sklearn(lambda: Ridge(alpha=1.0)),
    "forest": of_sklearn(lambda: RandomForestRegressor(200, random_state=0)),
    "boosting": of_sklearn(lambda: GradientBoostingRegressor(random_state=0)),
    "mlp": of_sklearn(
        lambda: MLPRegressor(hidden_layer_sizes=(64, 64), alpha=0.1, max_iter=500, random_state=0)
    ),
}


def main() -> None:
    """Prints a table per family."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=5)
    number = parser.parse_args().tables
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("family     model      " + "".join(f"{size:>8}" for size in SIZES))
    for family in FAMILIES:
        for name, model in MODELS.items():
            cells = [
                mean([tau(family, seed, size, model) for seed in range(number)]) for size in SIZES
            ]
            print(f"{family:10} {name:10} " + "".join(f"{cell:8.2f}" for cell in cells), flush=True)


def tau(family: str, seed: int, size: int, model: Model) -> float:
    """Kendall tau between predicted and true quality of networks that were not learnt from."""
    table = FAMILIES[family](seed).table
    losses_N = -table.column("quality")
    order = np.random.default_rng(seed).permutation(np.flatnonzero(np.isfinite(losses_N)))
    known, others = order[:size], order[size : size + OTHERS]
    warped_N = Warp.of(losses_N[known])(losses_N[known])
    target_N = (warped_N - warped_N.mean()) / (warped_N.std() or 1.0)
    with one_blas_thread():
        predicted_K = model(table.space, table.rows_NC[known], target_N, table.rows_NC[others])
    return float(kendalltau(predicted_K, losses_N[others]).statistic)


if __name__ == "__main__":
    main()
